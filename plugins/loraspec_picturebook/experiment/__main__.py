"""The sweet-spot experiment: ``python -m loraspec_picturebook.experiment``, or ``make truth``; hours, and may be stopped anywhere."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from loraspec_picturebook.experiment.cases import cases
from loraspec_picturebook.experiment.train import judged, trained

STAGES = ("train", "judge")


def main() -> None:
    """Carry out the stages for the first cases; start it twice to use two cores."""
    parser = argparse.ArgumentParser(prog="python -m loraspec_picturebook.experiment", description=__doc__)
    parser.add_argument("--target", type=Path, default=Path("build/truth"), help="runs and specs, about 15 MB a case")
    parser.add_argument("--root", type=Path, default=Path(), help="the project's folder")
    parser.add_argument("--cases", type=int, default=0, help="only the first so many")
    parser.add_argument("--stage", choices=STAGES, action="append", help="only this one; may be repeated")
    given = parser.parse_args()
    chosen = list(cases())[: given.cases or None]
    for stage in given.stage or STAGES:
        for number, case in enumerate(chosen, 1):
            done = {"train": trained, "judge": judged}[stage](case, given.target, given.root)
            sys.stdout.write(f"{stage} {number}/{len(chosen)} {case.name}: {'done' if done else 'not now'}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
