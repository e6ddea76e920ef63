"""Charts: ticks, scales, well-formed SVG."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from loraspec_guide.grid.charts import BOTTOM, HEIGHT, LEFT, POINTS, RIGHT, TOP, WIDTH, Chart, label, log_ticks, smoothed, svg, ticks


def test_ticks_are_round_and_within() -> None:
    """1, 2 or 5 times a power of ten."""
    assert ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(0, 2060) == [0, 500, 1000, 1500, 2000]
    assert ticks(0.093, 0.161) == [0.1, 0.12, 0.14, 0.16]
    assert ticks(3, 3) == [3]


def test_log_ticks_are_powers() -> None:
    """Four decades give powers; less than one gives 1, 2, 5."""
    assert log_ticks(1e-6, 1e-3) == pytest.approx([1e-6, 1e-5, 1e-4, 1e-3])
    assert log_ticks(1.5, 60) == pytest.approx([3, 10, 30])


def test_smoothing_is_a_centred_mean() -> None:
    """A line stays a line to its ends; a constant stays itself; a spike is spread."""
    assert smoothed([1, 2, 3, 4, 5], 3) == [1, 2, 3, 4, 5]
    assert smoothed([0, 0, 3, 0, 0], 3) == [0, 1, 1, 1, 0]


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (0.05, "0.05"), (1200, "1,200"), (3e-4, "3e-4"), (1e-6, "1e-6"), (2e6, "2e6")])
def test_labels_are_short(value: float, text: str) -> None:
    """As a person writes numbers."""
    assert label(value) == text


def lines(drawn: str, kind: str) -> list[tuple[float, float]]:
    [found] = [e for e in ET.fromstring(drawn) if e.get("class") == kind]
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in (found.get("points") or "").split())]


def test_points_land_where_they_belong() -> None:
    """The first and last step, the least and the largest value."""
    drawn = svg(Chart("t", "u", ((0, 0), (50, 10), (100, 5)), smooth=False))
    points = lines(drawn, "curve")
    assert points[0] == (LEFT, HEIGHT - BOTTOM)
    assert points[-1][0] == WIDTH - RIGHT
    assert points[1][0] == pytest.approx((LEFT + WIDTH - RIGHT) / 2)
    assert TOP < points[1][1] < points[2][1] < points[0][1]


def test_a_curve_over_decades_is_logarithmic() -> None:
    """Equal factors are equal distances, and the axis says so."""
    drawn = svg(Chart("d", "d × lr", tuple((i, 10.0**-i) for i in range(5, 0, -1))[::-1], smooth=False))
    heights = [y for _, y in lines(drawn, "curve")]
    steps = [b - a for a, b in pairwise(heights)]
    assert max(steps) - min(steps) < 0.25
    assert "logarithmic" in drawn


@pytest.mark.parametrize(
    "points", [((3, 2.0),), ((1, 5.0), (2, 5.0)), ((1, 0.0), (2, 0.0)), ((1, -3.0), (2, 4.0)), ((1, math.nan), (2, 1.0))]
)
def test_odd_data_still_draws(points: tuple[tuple[float, float], ...]) -> None:
    """One point, constants, zeros, negatives, nan."""
    root = ET.fromstring(svg(Chart("t", "u", points)))
    assert root.tag == "svg"
    assert "nan" not in ET.tostring(root, "unicode")


def test_no_points_no_chart() -> None:
    """A run that logged nothing has no empty frame."""
    assert svg(Chart("t", "u", ())) == ""
    assert svg(Chart("t", "u", ((1, math.inf),))) == ""


def test_titles_are_escaped() -> None:
    """A chart is markup: nothing in its words is."""
    drawn = svg(Chart("<script>alert(1)</script>", '"><b>', ((1, 1), (2, 2))))
    assert "<script" not in drawn
    assert "<b>" not in drawn


def test_long_runs_are_thinned() -> None:
    """A hundred thousand steps make a chart of bounded size that still ends at the last step."""
    drawn = svg(Chart("t", "u", tuple((float(i), 1.0 + i % 2) for i in range(1, 100_001)), smooth=False))
    points = lines(drawn, "curve")
    assert len(points) <= POINTS
    assert points[-1][0] == WIDTH - RIGHT
