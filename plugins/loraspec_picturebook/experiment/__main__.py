"""The sweet-spot experiment: ``python -m loraspec_picturebook.experiment``, or ``make truth``; hours, and may be stopped anywhere.

Four stages: ``train`` runs every case, ``judge`` measures and ranks it as the embedded profile does, ``more`` draws the pictures that
only the truth sees, ``table`` compares with the truth and writes the tables. Start the first three as often as there are cores: each case
is done by one process.

``--styles FILE`` does the same with styles of one's own: fewer cases a style, and the page beside the file.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from attrs import evolve

from loraspec_picturebook.experiment.cases import STYLE_FILE, Case, cases, cases_of, plugin_styles
from loraspec_picturebook.experiment.page import json_of, markdown_of, rows_of
from loraspec_picturebook.experiment.table import SCREENED, WITHOUT, Row, row_of
from loraspec_picturebook.experiment.train import MORE, folder_of, judged, trained, widened
from loraspec_picturebook.experiment.truth import truth_of

STAGES = ("train", "judge", "more", "table")
PAGE = "docs/experiments/sweet-spot.md"
TITLE = "# Is the chosen epoch the right one? The styles of {}\n"


def main() -> None:
    """Carry out the stages for the first cases."""
    parser = argparse.ArgumentParser(prog="python -m loraspec_picturebook.experiment", description=__doc__)
    parser.add_argument("--target", type=Path, default=Path("build/truth"), help="runs and specs, about 15 MB a case")
    parser.add_argument("--root", type=Path, default=Path(), help="the project's folder")
    parser.add_argument("--styles", type=Path, help="plugin file of other styles; its page comes beside it")
    parser.add_argument("--cases", type=int, default=0, help="only the first so many")
    parser.add_argument("--stage", choices=STAGES, action="append", help="only this one; may be repeated")
    parser.add_argument("--keep", action="store_true", help="keep the table's rows of runs that are not in the target: of other machines")
    given = parser.parse_args()
    style_file, page, every = given.root / STYLE_FILE, given.root / PAGE, cases()
    if given.styles is not None:
        style_file, page = given.styles, given.styles.with_suffix(".md")
        every = cases_of(style.name for style in plugin_styles(style_file))
    chosen = list(every)[: given.cases or None]
    stages = given.stage or STAGES
    for stage, work in (("train", trained), ("judge", judged), ("more", widened)):
        for number, case in enumerate(chosen, 1):
            if stage in stages:
                done = work(case, given.target, style_file)
                _say(f"{stage} {number}/{len(chosen)} {case.name}: {'done' if done else 'not now, or failed: see its log'}")
    if "table" in stages:
        numbers = page.with_suffix(".json")
        before = {row.case: row for row in rows_of(numbers.read_text(encoding="utf-8"))} if given.keep and numbers.exists() else {}
        found = [_row(case, given.target, style_file) or before.get(case) for case in chosen]
        rows = [Row.of(row.plain()) for row in found if row is not None]  # the summary is of the numbers that are committed
        numbers.write_text(json_of(rows), encoding="utf-8")
        words = page.read_text(encoding="utf-8") if page.exists() else TITLE.format(style_file.name)
        page.write_text(markdown_of(rows, before=words), encoding="utf-8")


def _row(case: Case, target: Path, style_file: Path) -> Row | None:
    """Return a judged case's row, ranked by the rule as it is now; None when the case was not judged, or not drawn for the truth, yet."""
    from loraspec.sweetspot.rule import rank
    from loraspec.sweetspot.scorefile import load

    folder = folder_of(case, target)
    scores = load(folder) if (folder / "ranking.json").exists() and (folder / MORE / "index.json").exists() else None
    if scores is None:
        _say(f"table: {case.name} was not judged here, or not drawn for the truth, yet")
        return None
    fresh = load(folder, fresh=True)
    others = {SCREENED: rank(scores, seed=case.seed)}
    for name, told in WITHOUT.items():
        blind = evolve(scores, measured=tuple(one for one in scores.measured if one.name != name))
        others[told] = rank(blind, seed=case.seed)
    return row_of(case, truth_of(case, target, style_file, cache=target), scores, rank(scores, fresh=fresh, seed=case.seed), others)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
