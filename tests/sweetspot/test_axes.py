"""Tests of the prompt axis in ``loraspec.sweetspot.axes``: what is asked of a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from loraspec.sweetspot.axes import Draws, axes_of
from loraspec.sweetspot.measured import Gate, Measured, Scores, heard

KAPPA = 0.25


def prompt_axis(margins: Any, *, progress: float | None, base: Any = (1.0, 1.0)) -> float:
    """The prompt axis of one cell with two prompts and one seed, at a style progress (None: no style metric)."""
    values = np.array(margins, float).reshape(1, 1, 2, 1)
    made = [Measured("prompt", "prompt", values, np.array(base, float).reshape(2, 1), np.full(4, KAPPA), KAPPA)]
    if progress is not None:
        made.append(Measured("style", "style", np.full((1, 1, 2, 1), progress), np.zeros((2, 1))))
    scores = Scores((1,), (1.0,), ("a", "b"), (1,), tuple(made), 3)
    return float(axes_of(scores, Draws.make(2, 1, count=3, seed=0)).score["prompt"][0, 0, 0])


@pytest.mark.parametrize(("progress", "asked"), [(0.0, 1.0), (0.5, 0.625), (1.0, KAPPA), (1.7, KAPPA), (-0.3, 1.0), (None, KAPPA)])
def test_what_is_asked_goes_from_the_base_s_margin_to_kappa(progress: float | None, asked: float) -> None:
    """A picture with half of what is asked counts half, one with more counts no more than whole, one with less than nothing nothing."""
    assert prompt_axis([asked / 2, asked / 2], progress=progress) == pytest.approx(0.5)
    assert prompt_axis([asked, 2 * asked], progress=progress) == pytest.approx(1.0)
    assert prompt_axis([-asked, 0.0], progress=progress) == pytest.approx(0.0)


def test_voices_of_an_axis_count_alike() -> None:
    """The mean of those that are heard; one that fails a gate is not."""
    one, shape = np.ones((2, 1)), (1, 1, 2, 1)
    obeys, strays = Measured("a", "prompt", np.full(shape, 1.0), one), Measured("b", "prompt", np.full(shape, 0.0), one)
    failed = Measured("c", "prompt", np.full(shape, 1.0), one, gates=(Gate("alive", 0.5, 0.75, False, ""),))

    def prompt(*measured: Measured) -> float:
        scores = Scores((1,), (1.0,), ("a", "b"), (1,), measured, 3)
        return float(axes_of(scores, Draws.make(2, 1, count=3, seed=0)).score["prompt"][0, 0, 0])

    assert prompt(obeys, strays) == prompt(strays, obeys) == 0.5
    assert prompt(strays) == prompt(strays, failed) == 0.0
    assert heard([obeys, strays, failed]) == [obeys, strays]


def test_a_plain_prompt_does_not_pay_for_a_lost_one() -> None:
    """One picture with ten times its margin and one with none: half of the pictures obey."""
    assert prompt_axis([10 * KAPPA, 0.0], progress=1.0) == pytest.approx(0.5)


def test_each_picture_is_held_to_the_base_s_of_its_own_prompt() -> None:
    """What the base hardly obeys is asked for less, yet not for nothing; an unknown one is asked for the mean."""
    assert prompt_axis([0.5 * KAPPA, 1.5 * KAPPA], progress=1.0, base=(0.5, 1.5)) == pytest.approx(1.0)
    assert prompt_axis([0.0, 2.0 * KAPPA], progress=1.0, base=(0.0, 2.0)) == pytest.approx(0.5)
    assert prompt_axis([KAPPA, 0.0], progress=1.0, base=(np.nan, 1.0)) == pytest.approx(0.5)
