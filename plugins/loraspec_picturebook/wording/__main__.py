"""The caption experiment: ``python -m loraspec_picturebook.wording``, or ``make wording``; about two hours on one core.

It may be stopped anywhere, and started twice to use two cores: each run is done by one process, and what is done is left alone.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loraspec_picturebook.wording.arms import ARMS, SEEDS, STYLE_NAMES, written
from loraspec_picturebook.wording.measure import measured
from loraspec_picturebook.wording.page import json_of, markdown_of


def main() -> None:
    """Train and measure what is not measured yet; write the page."""
    parser = argparse.ArgumentParser(prog="python -m loraspec_picturebook.wording", description=__doc__)
    parser.add_argument("--target", type=Path, default=Path("build/wording"), help="runs and numbers")
    parser.add_argument("--root", type=Path, default=Path(), help="the project's folder")
    parser.add_argument("--style", choices=STYLE_NAMES, action="append", help="only this one; may be repeated")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="only the first so many")
    parser.add_argument("--page", action="store_true", help="only write the page")
    given = parser.parse_args()
    styles, seeds = given.style or STYLE_NAMES, SEEDS[: given.seeds]
    if not given.page:
        for style in styles:
            for seed in seeds:
                for name in ("base", *(arm.name for arm in ARMS)):
                    with _mine(given.target / f"{style}-{seed}-{name}") as folder:
                        said = "another process has it" if folder is None else _done(folder, style, seed, name, given.target)
                    sys.stdout.write(f"{style} {seed} {name}: {said}\n")
                    sys.stdout.flush()
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(given.target.glob("*/numbers.json"))]
    folder = given.root / "docs/experiments"
    kept = json_of(rows)
    (folder / "captions.json").write_text(kept, encoding="utf-8")
    rows = json.loads(kept)["runs"]  # the page is that of the numbers that are kept
    page = folder / "captions.md"
    page.write_text(markdown_of(rows, before=page.read_text(encoding="utf-8") if page.exists() else ""), encoding="utf-8")


def _done(folder: Path, style: str, seed: int, name: str, cache: Path) -> str:
    """Train and measure one run, unless it is done."""
    numbers = folder / "numbers.json"
    if numbers.exists():
        return "done before"
    run = None
    if name != "base":
        [arm] = [one for one in ARMS if one.name == name]
        run = folder / "run"
        command = ["run", str(written(arm, style, seed, folder)), "--output", str(run), "--set", "evaluators=[]"]
        with (folder / "log").open("ab") as log:
            if subprocess.run([sys.executable, "-m", "loraspec", *command], stdout=log, stderr=log, check=False).returncode:
                return f"failed: see {folder / 'log'}"
    found: dict[str, Any] = {"style": style, "seed": seed, "arm": name, **_measured(run, style, seed, cache)}
    numbers.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return ", ".join(f"{key} {value:.2f}" for key, value in found.items() if key.startswith("own"))


def _measured(run: Path | None, style: str, seed: int, cache: Path) -> dict[str, float]:
    from loraspec_picturebook.export import load_pipeline

    return measured(load_pipeline(), run, style, seed, cache)


@contextmanager
def _mine(folder: Path) -> Iterator[Path | None]:
    """Hold a folder while it is worked on; no process waits for another."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "held").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield None
        else:
            yield folder


if __name__ == "__main__":
    main()
