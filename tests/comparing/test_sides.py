"""What is compared of each run, and which pictures stand side by side."""

from __future__ import annotations

import json
import math
from pathlib import Path

from finished_run import PROMPTS, finished_run

from loraspec.comparing.sides import facts, shots, sides, spread
from loraspec.engine.records import sealed, write_json
from loraspec.finished import read
from loraspec.picking import chosen, keep
from loraspec.sweetspot.ranking import Interval


def test_a_pick_goes_before_the_ranking(tmp_path: Path) -> None:
    """The person's epoch and weight; else what is recommended; else nothing."""
    picked = read(finished_run(tmp_path / "picked"))
    keep(picked, chosen(picked, epoch=2, weight=0.9, note="softer"))
    ranked, bare = read(finished_run(tmp_path / "ranked")), read(finished_run(tmp_path / "bare", keys={}))
    one, two, three = sides([picked, ranked, bare])
    assert (one.title, two.title, three.title) == ("style (picked)", "style (ranked)", "style (bare)")
    assert [facts(side)["picked"] for side in (one, two, three)] == ["epoch 2 at 0.9", "epoch 3 at 1.0", "-"]
    assert (facts(one)["by"], facts(one)["note"]) == ("a person", "softer")
    assert facts(two)["by"] == "recommended, confidence high"
    assert facts(one)["U"] == "0.40 [0.35, 0.45]"
    assert one.cell is not None
    assert one.cell.weight == 0.9
    assert three.cell is None


def test_a_pick_that_does_not_fit_is_told(tmp_path: Path) -> None:
    """The ranking stands in, and the note says why."""
    run = read(finished_run(tmp_path / "run"))
    (run.folder / "pick.json").write_text("{}")
    side = sides([run])[0]
    assert facts(side)["picked"] == "epoch 3 at 1.0"
    assert side.notes == ("pick.json: is no choice of an epoch: it is of no version that this loraspec reads (1)",)


def test_curves_hold_what_was_measured(tmp_path: Path) -> None:
    """Loss of the index; U, key and progress of the ranking at full weight; what is no number, or too large to draw, is left out."""
    folder = finished_run(tmp_path / "run", keys={1: 0.2, 2: math.nan, 3: 0.4})
    index = json.loads((folder / "epochs" / "index.json").read_text())
    index["epochs"][0]["loss"], index["epochs"][1]["loss"], index["epochs"][2]["loss"] = "low", True, 1e300
    write_json(folder / "epochs" / "index.json", sealed({key: value for key, value in index.items() if key != "seal"}))
    curves = sides([read(folder)])[0].curves
    assert list(curves["loss"]) == [4]
    assert {epoch: one.value for epoch, one in curves["utility"].items()} == {1: 0.2, 3: 0.4}
    assert list(curves["key"]) == list(curves["progress"]) == [1, 3]


def test_runs_show_the_prompts_that_they_share(tmp_path: Path) -> None:
    """Other prompts before other seeds; a run that lacks one shows its own; one without pictures nothing."""
    one, two = finished_run(tmp_path / "one"), finished_run(tmp_path / "two")
    other = finished_run(tmp_path / "other", prompts=("a tree",))
    none = finished_run(tmp_path / "none", pictures=False)
    rows = shots(sides([read(folder) for folder in (one, two, other, none)]))
    assert [(row[0].prompt, row[0].seed) for row in rows if row[0]] == [(PROMPTS[0], 7), (PROMPTS[1], 7), (PROMPTS[0], 8), (PROMPTS[1], 8)]
    for row in rows:
        assert row[0] is not None
        assert row[1] is not None
        assert (row[0].prompt, row[0].seed, row[0].epoch, row[0].weight) == (row[1].prompt, row[1].seed, 3, 1.0)
        assert row[3] is None
    assert rows[0][2] is not None
    assert rows[0][2].prompt == "a tree"
    assert rows[1][2] is None


def test_runs_without_common_prompts_show_their_own(tmp_path: Path) -> None:
    """A row for each, as many as the longest has."""
    one, other = finished_run(tmp_path / "one"), finished_run(tmp_path / "other", prompts=("a tree",))
    rows = shots(sides([read(one), read(other)]))
    assert [[shot.prompt if shot else None for shot in row] for row in rows] == [[PROMPTS[0], "a tree"], [PROMPTS[1], None]]


def test_the_nearest_weight_is_shown(tmp_path: Path) -> None:
    """A pick at 0.8 where 0.9 and 1.0 were drawn."""
    run = read(finished_run(tmp_path / "run"))
    keep(run, chosen(run, epoch=2, weight=0.8, note=""))
    shot = shots(sides([run]))[0][0]
    assert shot is not None
    assert shot.weight == 0.9


def test_numbers_are_written_short() -> None:
    """With an interval where there is one; nothing for what is not known; no negative zero."""
    nan = math.nan
    assert spread(Interval(0.123, 0.1, 0.2)) == "0.12 [0.10, 0.20]"
    assert spread(Interval(-0.001, -0.002, 0.3)) == "0.00 [0.00, 0.30]"
    assert spread(Interval(0.5, nan, nan)) == "0.50"
    assert spread(Interval(nan, nan, nan)) == ""
