"""How long a person waits before anything heavy happens: whole processes in turns; read the ratio to `import click`."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.table import row

ROOT = Path(__file__).resolve().parents[2]
SPEC = "specs/daumier.toml"
COMMANDS = {
    "import click": ["-c", "import click"],
    "--help": ["-m", "loraspec", "--help"],
    "validate": ["-m", "loraspec", "validate", SPEC],
    "plan": ["-m", "loraspec", "plan", SPEC, "--profile", "embedded"],
}


def test_commands_over_importing_click(benchmark: Any) -> None:
    """Help, validate and plan of the Daumier spec."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}

    def turn() -> None:
        for name, words in COMMANDS.items():
            since = time.perf_counter()
            result = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, check=False)
            seconds[name].append(time.perf_counter() - since)
            assert result.returncode == 0, result.stderr.decode()

    turn()
    for taken in seconds.values():
        taken.clear()
    benchmark.pedantic(turn, rounds=1 if benchmark.disabled else 9)
    for name in list(COMMANDS)[1:]:
        row(benchmark, f"{name} over `import click`, clock", seconds[name], seconds["import click"])
