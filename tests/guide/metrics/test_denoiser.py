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
    assert metric.reserve == ("no other metric of prompts" in note) == (chosen > 0)
    assert chosen == 0 or f"LoRA at {chosen:g}" in note


def test_a_base_that_does_not_obey_its_own_prompts_gives_no_reader() -> None:
    """Without a margin of the base's pictures there is nothing to keep a share of: the base reads, and the gates say how badly."""
    assert prepared(lambda weight, own: 0.5 if own else -0.1)._reader == 0.0


class Deeper(torch.nn.Module):
    """A block that nobody may reach."""

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Never."""
        raise AssertionError("the style was to be read from the first block alone")


def test_a_style_costs_the_first_block() -> None:
    """Means and deviations of its channels at every level; the rest of the U-Net does not run, and no hook stays."""
    blocks = torch.nn.ModuleList([torch.nn.Conv2d(3, 5, 3, padding=1), Deeper()])

    def predict(noisy: torch.Tensor, *rest: Any) -> torch.Tensor:
        for block in blocks:
            noisy = block(noisy)
        return noisy

    family = SimpleNamespace(denoiser=SimpleNamespace(down_blocks=blocks))
    metric = UnetProgress()
    metric._model = SimpleNamespace(  # type: ignore[assignment]
        run=SimpleNamespace(family=family), batch=2, weight=lambda weight: torch.no_grad(), predict=predict,
        latents=lambda images: torch.arange(len(images) * 48.0).reshape(-1, 3, 4, 4), noise=lambda *what: torch.zeros(3, 4, 4),
        timesteps=lambda shares: [round(1000 * share) for share in shares], noisy=lambda latents, noise, at: (latents + at, noise),
    )  # fmt: skip
    found = metric.values([BASE, OWN, BASE])
    assert found.shape == (3, len(LEVELS) * 2 * 5)
    with torch.no_grad():
        first = blocks[0](torch.arange(48.0).reshape(1, 3, 4, 4) + 100)[0].flatten(1)
    assert found[0, :10] == pytest.approx([*first.mean(1).tolist(), *first.std(1).tolist()], rel=1e-4)
    assert not blocks[0]._forward_hooks
