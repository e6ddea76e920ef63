"""What the metrics that ask the base model share: latents, conditioning, predictions, and the adapter switched off meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from loraspec.engine.cells import weighing
from loraspec.engine.device import autocast
from loraspec.values import Placement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PIL.Image import Image
    from torch import Tensor

    from loraspec.metrics import Shown


class Model:
    """The run's model, for looking at pictures.

    Attributes:
        run: ``loraspec.engine.run.Run`` after training.
        batch: Pictures at once: as many as cells are drawn.
    """

    def __init__(self, run: Any) -> None:
        self.run = run
        self.batch: int = run.gallery.cells.batch_size
        self._conditions: dict[str, Mapping[str, Tensor]] = {}

    @property
    def device(self) -> torch.device:
        """The run's device."""
        found: torch.device = self.run.precision.device
        return found

    @contextmanager
    def weight(self, weight: float) -> Iterator[None]:
        """Scale the adapter for a while; 0 is the base."""
        with weighing(self.run.adapter, weight), torch.no_grad():
            yield

    def latents(self, images: Sequence[Image]) -> Tensor:
        """The posterior means of pictures of one size, float32 ``[n, C, h, w]``, scaled for the denoiser."""
        found = []
        for start in range(0, len(images), self.batch):
            rows = np.stack([np.asarray(image.convert("RGB")) for image in images[start : start + self.batch]])
            pixels = torch.from_numpy(rows).to(self.device).permute(0, 3, 1, 2).float() / 127.5 - 1
            found.append(self.run.family.encode_images(pixels)[0])
        return torch.cat(found)

    def noise(self, purpose: str, shape: Sequence[int], *index: int) -> Tensor:
        """Fixed normal noise of a purpose: the same for every picture, epoch and weight."""
        values = self.run.rng(purpose, *index).standard_normal(tuple(shape))
        return torch.from_numpy(np.asarray(values, np.float32)).to(self.device)

    def timesteps(self, shares: Sequence[float]) -> list[int]:
        """Timesteps at shares of the base's schedule, 0 clean, 1 noise."""
        last = len(self.run.family.schedule.alphas_cumprod) - 1
        return [round(share * last) for share in shares]

    def noisy(self, latents: Tensor, noise: Tensor, timestep: int) -> tuple[Tensor, Tensor]:
        """Latents at a timestep, and what a perfect base would predict."""
        schedule = self.run.family.schedule
        kept = schedule.alphas_cumprod[timestep].to(latents)
        clean, dirty = kept.sqrt(), (1 - kept).sqrt()
        target = noise.expand_as(latents) if schedule.prediction == "epsilon" else clean * noise - dirty * latents
        return clean * latents + dirty * noise, target

    def predict(self, noisy: Tensor, timestep: int, prompts: Sequence[str], size: tuple[int, int]) -> Tensor:
        """The denoiser's prediction, float32, for one prompt a picture; ``size`` is the pictures' (width, height)."""
        rows = [self._condition(prompt, size) for prompt in prompts]
        conditioning = {key: torch.cat([row[key] for row in rows]) for key in rows[0]}
        steps = torch.full((len(noisy),), timestep, dtype=torch.int64, device=self.device)
        with autocast(self.run.precision):
            found: Tensor = self.run.family.denoise(noisy, timesteps=steps, conditioning=conditioning)
        return found.float()

    def _condition(self, prompt: str, size: tuple[int, int]) -> Mapping[str, Tensor]:
        key = f"{size} {prompt}"
        if key not in self._conditions:
            family = self.run.family
            encoded = family.encode_tokens(torch.from_numpy(family.tokenize([prompt])).to(self.device))
            self._conditions[key] = family.condition(encoded, placements=[Placement(*size, size, (0, 0), size)])
        return self._conditions[key]

    def errors(self, latents: Tensor, prompts: Sequence[str], size: tuple[int, int], *, timestep: int, noise: Tensor) -> Tensor:
        """Mean squared error of the prediction of each picture, ``[n]``."""
        found = []
        for start in range(0, len(latents), self.batch):
            part = latents[start : start + self.batch]
            noisy, target = self.noisy(part, noise, timestep)
            predicted = self.predict(noisy, timestep, prompts[start : start + self.batch], size)
            found.append((predicted - target).square().flatten(1).mean(1))
        return torch.cat(found)


def by_size(pictures: Sequence[Shown]) -> dict[tuple[int, int], list[int]]:
    """Return the places of pictures by (width, height): only equal sizes can share a batch."""
    groups: dict[tuple[int, int], list[int]] = {}
    for place, shown in enumerate(pictures):
        groups.setdefault(shown.image.size, []).append(place)
    return groups
