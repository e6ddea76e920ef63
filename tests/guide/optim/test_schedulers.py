"""Exact values of the lr schedules."""

from __future__ import annotations

import math

import pytest
import torch
from loraspec_guide.optim.schedulers import factor, scheduler


def values(name: str, total: int, warmup: float) -> list[float]:
    """The learning rates that ten optimizer steps really use."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = scheduler(name, warmup=warmup)(optimizer, total_steps=total)
    used = []
    for _ in range(total):
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return used


def test_constant_is_constant() -> None:
    """Without a warm-up every step has the full rate."""
    assert values("constant", 5, 0.0) == [2.0] * 5


def test_warmup_rises_in_a_line_and_never_starts_at_zero() -> None:
    """A quarter of 8 steps: 1/3 and 2/3, then the full rate."""
    assert values("constant", 8, 0.25) == pytest.approx([2 / 3, 4 / 3, 2, 2, 2, 2, 2, 2])


def test_linear_falls_to_zero_after_the_last_step() -> None:
    """Five steps: 1, 4/5 ... 1/5 of the rate."""
    assert values("linear", 5, 0.0) == pytest.approx([2.0, 1.6, 1.2, 0.8, 0.4])


def test_linear_after_a_warmup() -> None:
    """The fall begins where the warm-up ends and spans the rest."""
    assert values("linear", 6, 1 / 3) == pytest.approx([2 / 3, 4 / 3, 2.0, 1.5, 1.0, 0.5])


def test_cosine_is_half_a_cosine() -> None:
    """Four steps at 0, 1/4, 2/4, 3/4 of the way."""
    assert values("cosine", 4, 0.0) == pytest.approx([2 * 0.5 * (1 + math.cos(math.pi * k / 4)) for k in range(4)])
    assert values("cosine", 4, 0.0)[2] == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["constant", "cosine", "linear"])
def test_a_warmup_of_everything_only_rises(name: str) -> None:
    """warmup = 1 is allowed and divides by nothing."""
    assert values(name, 4, 1.0) == pytest.approx([2 * k / 5 for k in (1, 2, 3, 4)])


def test_steps_after_the_end_stay_in_range() -> None:
    """LambdaLR asks once more after the last step; nothing turns negative."""
    assert factor("linear", 7, total_steps=5, warmup=0.0) == 0.0
    assert factor("cosine", 7, total_steps=5, warmup=0.0) == pytest.approx(0.0)
