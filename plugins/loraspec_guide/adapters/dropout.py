"""Dropout whose mask is a pure function of (seed, module, step, pass, element): the same after a resume and on every device.

A mask of PyTorch's own would come from its global generator. Here each element's number goes through the finaliser of
SplitMix64 (Steele et al. 2014) in 64-bit integers that wrap, which every device computes alike.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from loraspec.randomness import Rng


class Clock:
    """Which optimizer step it is; forward passes of one step are counted by each module."""

    def __init__(self) -> None:
        self.step = 0

    def start(self, step: int) -> None:
        """Begin a step."""
        self.step = step


def _mixed(value: Tensor) -> Tensor:
    for shift, factor in ((30, -4658895280553007687), (27, -7723592293110705685)):
        value = (value ^ ((value >> shift) & ((1 << (64 - shift)) - 1))) * factor
    return value ^ ((value >> 31) & ((1 << 33) - 1))


class KeyedDropout(nn.Module):
    """Drops each element with probability ``p`` in training, scales the rest by ``1 / (1 - p)``."""

    def __init__(self, p: float, module: str, rng: Rng, clock: Clock) -> None:
        super().__init__()
        self.p, self._module, self._rng, self._clock = p, module, rng, clock
        self._step, self._passes = -1, 0

    def forward(self, values: Tensor) -> Tensor:
        """Any shape, the same shape back."""
        if not self.training:
            return values
        if self._clock.step != self._step:
            self._step, self._passes = self._clock.step, 0
        # a forward pass inside a backward pass is gradient checkpointing repeating the last one: same mask
        elif torch._C._current_graph_task_id() == -1:
            self._passes += 1
        key = int(self._rng("dropout", self._module, self._step, self._passes).integers(-(2**63), 2**63 - 1))
        number = torch.arange(values.numel(), device=values.device, dtype=torch.int64)
        drawn = (_mixed(_mixed(number + key) ^ key) >> 11) & ((1 << 53) - 1)
        keep = (drawn >= int(self.p * 2**53)).view(values.shape)
        return values * keep / (1 - self.p)
