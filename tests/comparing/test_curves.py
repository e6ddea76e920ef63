"""Charts of several runs, their numbers, and their lines of bars."""

from __future__ import annotations

import math
import xml.etree.ElementTree as Tree
from itertools import pairwise
from pathlib import Path

import pytest
from finished_run import finished_run

from loraspec.comparing.curves import chart, rows, sparks, ticks
from loraspec.comparing.sides import sides
from loraspec.finished import read


def test_every_run_has_its_line_on_one_scale(tmp_path: Path) -> None:
    """Two lines, two bands, a dot at each choice; a run without a ranking is left out; a higher value stands higher."""
    high = finished_run(tmp_path / "high", keys={1: 0.2, 2: 0.8})
    low = finished_run(tmp_path / "low", keys={1: 0.1, 2: 0.3, 3: 0.2, 4: 0.1})
    compared = sides([read(high), read(low), read(finished_run(tmp_path / "bare", keys={}))])
    root = Tree.fromstring(chart("key", compared))
    lines = [one.get("points", "").split() for one in root.iter("polyline")]
    assert [len(points) for points in lines] == [2, 4]
    assert len(list(root.iter("polygon"))) == 2
    dots = {one.get("class"): (float(one.get("cx", 0)), float(one.get("cy", 0))) for one in root.iter("circle")}
    assert set(dots) == {"dot s0", "dot s1"}
    assert dots["dot s0"][1] < dots["dot s1"][1]  # SVG counts downwards
    assert [f"{value:.1f}" for value in dots["dot s1"]] == lines[1][1].split(",")
    said = "style (high) from 0.2 at epoch 1 to 0.8 at epoch 2; style (low) from 0.1 at epoch 1 to 0.1 at epoch 4"
    assert root.get("aria-label") == f"Key by epoch: {said}"
    assert len(list(Tree.fromstring(chart("loss", compared)).iter("polyline"))) == 3


def test_one_epoch_equal_values_and_nothing(tmp_path: Path) -> None:
    """A single point is a dot; a flat line stays in sight; without numbers there is no chart."""
    one = sides([read(finished_run(tmp_path / "one", epochs=1, keys={1: 0.0}))])
    root = Tree.fromstring(chart("key", one))
    assert len(list(root.iter("circle"))) == 1
    flat = sides([read(finished_run(tmp_path / "flat", keys={1: 0.0, 2: 0.0}))])
    for word in ("nan", "inf"):
        assert word not in chart("key", flat)
    bare = sides([read(finished_run(tmp_path / "bare", keys={}))])
    assert chart("key", bare) == ""
    assert sparks("key", bare) == [("", "")]


def test_titles_are_escaped(tmp_path: Path) -> None:
    """A run's name is text in the chart's label."""
    run = read(finished_run(tmp_path / "run"))
    side = sides([run])[0]
    object.__setattr__(side, "title", '"><script>\u202e')
    text = chart("loss", [side])
    assert "<script" not in text
    assert "\u202e" not in text
    assert "script" in Tree.fromstring(text).get("aria-label", "")


def test_numbers_and_bars(tmp_path: Path) -> None:
    """A row for each epoch of any run, a dash where a run has none; bars on one scale, with the best epoch."""
    keys = {"one": {1: 0.0, 2: 0.7}, "two": {2: 0.35, 3: 0.3}}
    compared = sides([read(finished_run(tmp_path / name, keys=mine)) for name, mine in keys.items()])
    assert rows("key", compared) == (
        ["epoch", "style (one)", "style (two)"],
        [["1", "0 [-0.05, 0.05]", "-"], ["2", "0.7 [0.65, 0.75]", "0.35 [0.3, 0.4]"], ["3", "-", "0.3 [0.25, 0.35]"]],
    )
    (bars, words), (other, _) = sparks("key", compared)
    assert bars == "▁█"
    assert other in ("▅▄", "▄▄", "▅▅")
    assert words.endswith("most 0.7 at epoch 2")
    assert sparks("loss", compared)[0][1].endswith("least 0.42 at epoch 4")


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 7), (0.001, 0.0012), (1, 20), (-1e9, 1e9)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    """Three to eleven of them."""
    found = ticks(low, high)
    assert 3 <= len(found) <= 11
    assert all(low - 1e-9 * abs(low) <= one <= high + 1e-9 * abs(high) for one in found)
    steps = {round((b - a) / 10 ** math.floor(math.log10(b - a)), 6) for a, b in pairwise(found)}
    assert steps <= {1.0, 2.0, 5.0, 10.0}
