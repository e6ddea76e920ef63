"""Tests of ``loraspec_guide.metrics.denoiser``: who reads the prompts, and how much of the U-Net a style costs."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from loraspec_guide.metrics.denoiser import LEVELS, READABLE, READERS, DiffusionMargin, UnetProgress
from PIL import Image

from loraspec.metrics import Shown

IMAGE = Image.new("RGB", (8, 8))
BASE, OWN = Shown(IMAGE, "drawn", 1), Shown(IMAGE, "mine", key="a")


def prepared(margin: Any) -> DiffusionMargin:
    """A metric after ``prepare``, whose readers find ``margin(weight, own)`` in the base's and in the user's pictures."""
    cells = SimpleNamespace(batch_size=8)
    run = SimpleNamespace(use_epoch=lambda epoch: ("state of", epoch), gallery=SimpleNamespace(cells=cells))
    gallery: Any = SimpleNamespace(
        run=run, prompts=("drawn",), epochs=(1, 2), heldout=(OWN,), training=(OWN,) * 20, pictures=lambda epoch, weight: [BASE, None]
    )

    class Rigged(DiffusionMargin):
        def _margin(self, pictures: Any) -> float:
            return float(margin(self._reader, pictures[0] is OWN))

    metric = Rigged()
    metric.prepare(gallery)
    return metric


@pytest.mark.parametrize(("kept", "chosen"), [
    ((READABLE, 1, 1, 1), 0.0), ((0.1, READABLE, 1, 1), 0.3), ((0.1, 0.39, 0.41, 2), 0.5), ((0.1, 0.2, 0.3, 0.35), 0.7),
    ((0.1, 0.3, 0.2, 0.05), 0.3), ((math.nan, 0.2, math.nan, 0.1), 0.3), ((math.nan,) * 4, 0.0), ((-1, -1, -1, -1), 0.0),
])  # fmt: skip
def test_the_least_of_the_lora_that_can_read_is_taken(kept: tuple[float, ...], chosen: float) -> None:
    """The first that reads the user's own pictures well enough, else the best; what measures nothing is no reader."""
    by_weight = dict(zip(READERS, kept, strict=True))
    metric = prepared(lambda weight, own: by_weight[weight] if own else 1.0)
    assert metric._reader == chosen
    assert metric._last == ("state of", 2)
    [note] = metric.notes
    assert ("the base alone" in note) == (chosen == 0)
    assert chosen == 0 or f"LoRA at {chosen:g}" in note


def test_a_base_that_does_not_obey_its_own_prompts_gives_no_reader() -> None:
    """Without a margin of the base's pictures there is nothing to keep a share of: the base reads, and the gates say how badly."""
    assert prepared(lambda weight, own: 0.5 if own else -0.1)._reader == 0.0


class Deeper(torch.nn.Module):
    """A layer that nobody may reach."""

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Never."""
        raise AssertionError("the style was to be read from the first two layers alone")


def test_a_style_costs_the_first_layers() -> None:
    """Deviations of their channels at every level; the rest of the U-Net does not run, and no hook stays."""
    first, second = torch.nn.Conv2d(3, 5, 3, padding=1), torch.nn.Conv2d(5, 4, 3, padding=1)
    block = torch.nn.Module()
    block.resnets = torch.nn.ModuleList([second, Deeper()])

    def predict(noisy: torch.Tensor, *rest: Any) -> torch.Tensor:
        hidden = first(noisy)
        for layer in block.resnets:
            hidden = layer(hidden)
        return hidden

    family = SimpleNamespace(denoiser=SimpleNamespace(conv_in=first, down_blocks=[block]))
    metric = UnetProgress()
    metric._model = SimpleNamespace(  # type: ignore[assignment]
        run=SimpleNamespace(family=family), batch=2, weight=lambda weight: torch.no_grad(), predict=predict,
        latents=lambda images: torch.arange(len(images) * 48.0).reshape(-1, 3, 4, 4), noise=lambda *what: torch.zeros(3, 4, 4),
        timesteps=lambda shares: [round(1000 * share) for share in shares], noisy=lambda latents, noise, at: (latents + at, noise),
    )  # fmt: skip
    found = metric.values([BASE, OWN, BASE])
    assert found.shape == (3, len(LEVELS) * (5 + 4))
    with torch.no_grad():
        seen = first(torch.arange(48.0).reshape(1, 3, 4, 4) + 100)
        wanted = [*seen[0].flatten(1).std(1).tolist(), *second(seen)[0].flatten(1).std(1).tolist()]
    assert found[0, :9] == pytest.approx(wanted, rel=1e-4)
    assert not first._forward_hooks
    assert not second._forward_hooks
