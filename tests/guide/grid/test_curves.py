"""Tests of ``loraspec_guide.grid.curves``."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from loraspec_guide.grid.curves import HEIGHT, Line, by_epoch

NAN = math.nan


@pytest.mark.parametrize("values", [(0.5, 0.5, 0.5), (None, 0.2, 0.3), (0.1, None, 0.2), (0.1, NAN, 0.2)])
def test_a_curve_without_movement_or_with_gaps_is_drawn(values: Any) -> None:
    """Equal values do not divide by nothing; gaps are skipped; names are escaped."""
    svg = by_epoch("a <title>", (1, 2, 3), [Line("<b>", "curve", values), Line("c", "other", values)], rest=0.5)
    assert "nan" not in svg
    assert "&lt;b&gt;" in svg
    assert "a &lt;title&gt;" in svg
    assert 'class="rest"' in svg


@pytest.mark.parametrize("values", [(), (0.5,), (None, 0.5), (NAN, NAN)])
def test_fewer_than_two_values_are_no_curve(values: Any) -> None:
    """Nothing is drawn of nothing."""
    assert by_epoch("t", tuple(range(1, len(values) + 1)), [Line("", "curve", values)]) == ""


def test_bands_lines_and_the_chosen_epoch_lie_where_they_belong() -> None:
    """With bounds what lies beyond is cut; the band goes along the upper edge and back along the lower one."""
    line = Line("", "curve", (0.0, 2.0, 0.5), ((-1.0, 0.5), (0.5, 3.0), (0.25, NAN)))
    svg = by_epoch("t", (1, 2, 3), [line], bounds=(0.0, 1.0), chosen=2)
    [points] = re.findall(r'<polyline class="curve" points="([^"]*)"', svg)
    places = [tuple(map(float, point.split(","))) for point in points.split()]
    bottom, top = HEIGHT - 38, 12
    assert [y for _, y in places] == [bottom, top, (bottom + top) / 2]
    assert f'class="chosen" x1="{places[1][0]}"' in svg
    [band] = re.findall(r'<polygon class="band" points="([^"]*)"', svg)
    assert [float(point.split(",")[1]) for point in band.split()] == [(bottom + top) / 2, top, (bottom + top) / 2, bottom]
    assert 'class="chosen"' not in by_epoch("t", (1, 2, 3), [line])
