"""Learning-rate schedulers over optimizer steps, as ``LambdaLR``: a pure function of the step, so resuming needs one integer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch.optim.lr_scheduler import LambdaLR

if TYPE_CHECKING:
    import torch

    from loraspec.contracts import LRSchedulerFactory


def factor(name: str, step: int, *, total_steps: int, warmup: float) -> float:
    """Share of the full learning rate at a step.

    Args:
        name: ``constant``, ``cosine`` or ``linear``.
        step: Optimizer steps already taken: 0 for the first step, ``total_steps - 1`` for the last.
        total_steps: Optimizer steps of the whole run.
        warmup: Share of all steps, 0 to 1; ``round(warmup * total_steps)`` steps are below the full rate.

    Returns:
        0 to 1. During the warm-up ``(step + 1) / (warmup steps + 1)``, so the first step is never lost at 0.
        Afterwards ``cosine`` and ``linear`` fall from 1 and would reach 0 one step after the last.
    """
    rising = round(warmup * total_steps)
    if step < rising:
        return (step + 1) / (rising + 1)
    if name == "constant":
        return 1.0
    progress = min(1.0, (step - rising) / max(1, total_steps - rising))
    if name == "linear":
        return 1.0 - progress
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def scheduler(name: str, *, warmup: float) -> LRSchedulerFactory:
    """Return ``factory(optimizer, *, total_steps)`` for one of the built-in schedules."""

    def factory(optimizer: torch.optim.Optimizer, *, total_steps: int) -> LambdaLR:
        return LambdaLR(optimizer, lambda step: factor(name, step, total_steps=total_steps, warmup=warmup))

    return factory
