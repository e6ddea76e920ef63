"""How long a person waits before anything heavy happens; read the ratio to `import click`."""

import subprocess
import sys

import pytest

SPEC = "specs/daumier.toml"
COMMANDS = {
    "import click": ["-c", "import click"],
    "--help": ["-m", "loraspec", "--help"],
    "validate": ["-m", "loraspec", "validate", SPEC],
    "plan": ["-m", "loraspec", "plan", SPEC, "--profile", "embedded"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_command_takes(benchmark, name):
    """One whole process."""
    from pathlib import Path

    root = Path(__file__).resolve().parents[2]
    result = benchmark.pedantic(
        lambda: subprocess.run([sys.executable, *COMMANDS[name]], cwd=root, capture_output=True, check=False), rounds=5, warmup_rounds=1
    )

    assert result.returncode == 0, result.stderr.decode()
