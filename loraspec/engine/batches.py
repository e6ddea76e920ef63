"""Micro-batches on the device: latents drawn from their posterior, captions encoded, geometry attached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from loraspec.contracts import Batch, Visit
from loraspec.engine.prepare import Latents
from loraspec.engine.text import Encodings
from loraspec.randomness import Rng
from loraspec.stream import Seen

if TYPE_CHECKING:
    from loraspec.engine.run import Run


def draw_latents(visits: Sequence[Visit], *, latents: Mapping[str, Latents], rng: Rng) -> Tensor:
    """Return fresh VAE samples ``mean + std * normal``, float32 ``[B, C, h, w]`` on the host."""
    drawn = []
    for visit in visits:
        entry = latents[visit.key]
        noise = rng("vae", *visit.index).standard_normal(tuple(entry.mean.shape), dtype=np.float32)
        drawn.append(entry.mean + entry.std * torch.from_numpy(noise))
    return torch.stack(drawn)


def make_batch(run: Run, visits: Sequence[Visit], *, latents: Mapping[str, Latents], encodings: Encodings) -> Batch:
    """Assemble one micro-batch."""
    captions = [run.data.caption(visit) for visit in visits]
    placements = [run.placements[visit.key] for visit in visits]
    shown = zip(visits, captions, placements, strict=True)
    seen = tuple(Seen(visit, run.content[visit.key], caption, placement) for visit, caption, placement in shown)
    conditioning = run.family.condition(encodings.of(captions), placements=placements)
    pixels = draw_latents(visits, latents=latents, rng=run.rng).to(run.precision.device, non_blocking=True)
    return Batch(visits=tuple(visits), latents=pixels, conditioning=conditioning, rng=run.rng, seen=seen)
