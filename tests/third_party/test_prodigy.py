"""A stranger's plugin, the way a stranger meets it: built, installed, planned, trained, found in the lock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from loraspec.testing import TINY_SPEC
from loraspec.testing.tiny import GRID_ONLY

SOURCE = Path(__file__).parents[2] / "plugins" / "prodigy"

HEAD = 'loraspec = 1\nrequires = ["loraspec-prodigy>=0.1"]\nevaluators = []\n'
SPEC = TINY_SPEC.replace(GRID_ONLY, "").replace("loraspec = 1\n", HEAD, 1)
SPEC = SPEC.replace("epochs = 2", "epochs = 1") + '\n[optimizer]\nuse = "prodigy"\nlr = 0.5\n'


def run(*words: object, environment: dict[str, str] | None = None, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run Python with words; stop the test with its output when it fails."""
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, env=environment, cwd=folder, check=False)
    assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
    return done


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with loraspec's own packages and the wheel of loraspec-prodigy, installed by pip."""
    pytest.importorskip("prodigyopt", reason="pip install prodigyopt")
    pytest.importorskip("hatchling", reason="pip install hatchling")
    folder = tmp_path_factory.mktemp("prodigy")
    quiet = ("-q", "--no-deps", "--disable-pip-version-check")
    run("-m", "pip", "wheel", *quiet, "--no-build-isolation", "--no-index", "-w", folder, SOURCE)
    [wheel] = folder.glob("loraspec_prodigy-*.whl")
    run("-m", "pip", "install", *quiet, "--no-index", "--no-compile", "--target", folder / "site", wheel)
    tiny = folder / "site" / "loraspec_tiny-1.0.dist-info"
    tiny.mkdir()
    (tiny / "METADATA").write_text("Metadata-Version: 2.1\nName: loraspec-tiny\nVersion: 1.0\n")
    (tiny / "entry_points.txt").write_text("[loraspec.v1]\ntiny = loraspec.testing.tiny\n")
    return {**os.environ, "PYTHONPATH": str(folder / "site"), "OMP_NUM_THREADS": "1"}


def test_plan_train_lock(installed: dict[str, str], tmp_path: Path) -> None:
    """The spec resolves, two steps train, and the lock names the distribution, its version and its library."""
    (tmp_path / "spec.toml").write_text(SPEC)

    plan = run("-m", "loraspec", "plan", "spec.toml", "--json", "--set", "data.repeats=1", environment=installed, folder=tmp_path)
    run("-m", "loraspec", "run", "spec.toml", "--set", "data.repeats=1", "--set", "run.output=out", environment=installed, folder=tmp_path)

    assert json.loads(plan.stdout)["steps"] == 2
    lock = json.loads((tmp_path / "out" / "lock.json").read_text())
    [locked] = lock["stages"]["optimizer"]
    assert (locked["use"], locked["distribution"]) == ("prodigy:prodigy", "loraspec-prodigy")
    assert lock["plugins"]["loraspec-prodigy"]["version"] == "0.1.0"
    assert lock["spec"]["resolved"]["optimizer"] == {"use": "prodigy:prodigy", "lr": 0.5, "weight_decay": 0.01}
    assert (lock["run"]["optimizer"]["lr"], lock["run"]["optimizer"]["weight_decay"]) == (0.5, 0.01)
    assert "prodigyopt" in lock["environment"]["packages"]
    assert len(list((tmp_path / "out" / "epochs").glob("*.safetensors"))) == 1


def test_its_own_tests_pass(installed: dict[str, str], tmp_path: Path) -> None:
    """The four lines that a plugin's author writes run the whole suite."""
    copy = tmp_path / "test_prodigy.py"
    copy.write_text((SOURCE / "tests" / "test_prodigy.py").read_text())

    done = run("-m", "pytest", "-q", "-p", "loraspec.testing", "-p", "no:cacheprovider", copy, environment=installed, folder=tmp_path)

    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


def test_without_it_the_spec_says_what_to_install(spec_file, loraspec_cli, tiny_plugin) -> None:
    """``requires`` is told first, with the pip line."""
    outcome = loraspec_cli("validate", spec_file(SPEC))

    outcome.assert_failed(2, "'loraspec-prodigy' is not installed")
    assert "pip install 'loraspec-prodigy>=0.1'" in outcome.err
