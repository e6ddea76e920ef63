"""The long part of the experiment: one run for each case, trained and drawn; several processes share the work, each case is one's."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from loraspec_picturebook.experiment.cases import TRUTH_SEEDS, Case, spec_of

MORE: Final = "grid/truth"
"""Below a run's folder: the sheets and the index of what is drawn for the truth alone."""


def folder_of(case: Case, target: Path) -> Path:
    """Return the run folder of a case."""
    return target / "runs" / case.name


def trained(case: Case, target: Path, style_file: Path) -> bool:
    """Train and draw a case, or go on with it; what is done is left alone.

    Returns:
        False when another process has it, or it failed (its output lies beside the spec).
    """
    return _run(case, target, style_file, judged=False)


def judged(case: Case, target: Path, style_file: Path) -> bool:
    """Measure and rank a trained case with the metrics of the embedded profile; scores that are there stay. Returns as ``trained``."""
    return _run(case, target, style_file, judged=True)


def widened(case: Case, target: Path, style_file: Path) -> bool:
    """Draw a trained case with more seeds at full weight, for the truth alone. Returns as ``trained``."""
    with _mine(case, target) as mine:
        if not mine:
            return False
        folder = folder_of(case, target)
        index = folder / MORE / "index.json"
        if index.exists() and tuple(json.loads(index.read_text(encoding="utf-8"))["seeds"]) == TRUTH_SEEDS:
            return True
        words = ["grid", str(folder), "--weights", "1.0", "--seeds", ",".join(map(str, TRUTH_SEEDS)), "--output", str(folder / MORE)]
        return _loraspec(case, target, words)


def _run(case: Case, target: Path, style_file: Path, *, judged: bool) -> bool:
    with _mine(case, target) as mine:
        if not mine:
            return False
        specs, folder = target / "specs", folder_of(case, target)
        shutil.copyfile(style_file, specs / style_file.name)
        spec = specs / f"{case.name}.toml"
        spec.write_text(spec_of(case, style_file, judged=judged), encoding="utf-8")
        return _loraspec(case, target, ["run", str(spec), "--output", str(folder)])


def _loraspec(case: Case, target: Path, words: list[str]) -> bool:
    with (target / "specs" / f"{case.name}.log").open("ab") as log:
        return subprocess.run([sys.executable, "-m", "loraspec", *words], stdout=log, stderr=log, check=False).returncode == 0


@contextmanager
def _mine(case: Case, target: Path) -> Iterator[bool]:
    """Hold a case while it is worked on; no process waits for another."""
    specs = target / "specs"
    specs.mkdir(parents=True, exist_ok=True)
    with (specs / f"{case.name}.held").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
