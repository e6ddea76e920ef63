"""Metrics that ask the base's U-Net about pictures: ``unet-progress`` and ``diffusion-margin``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from loraspec.engine.readings import ASKED, spaced
from loraspec.metrics import Gallery, Metric, Shown
from loraspec.sweetspot.readouts import margins, places_of
from loraspec_guide.metrics.model import Model, by_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loraspec.sweetspot.measured import Axis

    Floats = NDArray[np.float64]

LEVELS = (0.1, 0.3)  # shares of the schedule: textures show where there is little noise
DOUBT = (0.45, 0.65, 0.85)  # the prompt decides where there is much
DECOYS = 2
READERS = (0.0, 0.3, 0.5, 0.7)  # weights of the LoRA in the model that reads
READABLE = 0.4  # of the base's margin: what the user's own pictures have to have, or more of the LoRA has to help


class _Enough(Exception):
    """Ends a prediction whose rest nobody needs."""


class UnetProgress(Metric):
    """Style progress on the base U-Net's own features (after DiffSim, arXiv 2412.14580): channel deviations of its first two layers.

    Technique shows there; deeper layers see what is drawn, too, and channel means are as much of the subjects' colours as of the style
    (docs/experiments/sweet-spot.md).
    """

    axis: ClassVar[Axis] = "style"
    cost = "the first layers of two U-Net forwards a picture"
    validity = "16 pictures a cell; the best readout found without downloads"

    def prepare(self, gallery: Gallery) -> None:
        """Take the model."""
        self._model = Model(gallery.run)

    def values(self, pictures: Sequence[Shown]) -> Floats:
        """Features ``[n, D]``."""
        rows: list[Any] = [None] * len(pictures)
        with self._model.weight(0.0):
            for size, places in by_size(pictures).items():
                latents = self._model.latents([pictures[i].image for i in places])
                for start in range(0, len(places), self._model.batch):
                    part = latents[start : start + self._model.batch]
                    for i, row in zip(places[start:], self._features(part, size), strict=False):
                        rows[i] = row
        return np.stack(rows)

    def _features(self, latents: torch.Tensor, size: tuple[int, int]) -> Floats:
        found: list[torch.Tensor] = []

        def keep(_module: Any, _inputs: Any, output: torch.Tensor) -> None:
            found.append(output.float().flatten(2).std(2))

        def enough(*_: Any) -> None:
            raise _Enough

        denoiser: Any = self._model.run.family.denoiser
        layers = (denoiser.conv_in, denoiser.down_blocks[0].resnets[0])
        hooks = [layer.register_forward_hook(keep) for layer in layers]
        hooks.append(layers[-1].register_forward_hook(enough))
        try:
            for level, timestep in enumerate(self._model.timesteps(LEVELS)):
                noise = self._model.noise("unet-progress", latents.shape[1:], level)
                noisy, _ = self._model.noisy(latents, noise, timestep)
                with suppress(_Enough):
                    self._model.predict(noisy, timestep, [""] * len(latents), size)
        finally:
            for hook in hooks:
                hook.remove()
        return torch.cat(found, 1).double().cpu().numpy()


class DiffusionMargin(Metric):
    """Whether a picture fits its prompt better than others, by the model as a classifier (Li et al. 2023, Clark and Jaini 2023).

    A base that has never seen the style may be unable to read it, the artist's own pictures included. Then the last epoch's LoRA helps it,
    at the least weight at which the artist's pictures are read well enough: one reader for every cell, half of it still the base.

    Such a reader may take for right what the LoRA draws wrong; beside a reader that is not the base it errs elsewhere, and the mean of both
    finds better epochs than either alone (docs/experiments/sweet-spot.md).
    """

    axis: ClassVar[Axis] = "prompt"
    cost = f"{len(DOUBT) * (1 + DECOYS)} U-Net forwards a picture"
    validity = "16 pictures a cell; needs a base that knows its words: the gates tell"

    def prepare(self, gallery: Gallery) -> None:
        """Take the model and the prompts, and find the reader."""
        self._model = Model(gallery.run)
        self._prompts = list(gallery.prompts)
        self._last = gallery.run.use_epoch(gallery.epochs[-1])
        base = [one for one in gallery.pictures(0, 0.0) if one is not None]
        own = [*gallery.heldout, *(one for one in spaced(gallery.training, ASKED) if one is not None)]
        kept: dict[float, float] = {}
        for weight in READERS:
            self._reader = weight
            ours, theirs = self._margin(base), self._margin(own)
            kept[weight] = theirs / ours if ours > 0 and np.isfinite(theirs) else 0.0
            if kept[weight] >= READABLE:
                break
        self._reader = best = max(kept, key=lambda weight: kept[weight])
        told = f"the base with the last epoch's LoRA at {best:g}" if best else "the base alone"
        self.notes = (f"prompts are read by {told}, by which the user's own pictures have {kept[best]:.0%} of the base's margin",)

    def _margin(self, pictures: Sequence[Shown]) -> float:
        found = margins(self.values(pictures), places_of([shown.prompt for shown in pictures], self._prompts))
        return float(np.nanmean(found)) if np.isfinite(found).any() else float("nan")

    def values(self, pictures: Sequence[Shown]) -> Floats:
        """``[n, P + 1]``: minus the error of prediction, in units of the picture's mean error; two decoys a picture are tried."""
        count = len(self._prompts)
        fits = np.full((len(pictures), count + 1), np.nan)
        tried = [self._tried(shown) for shown in pictures]
        most = max(len(columns) for columns in tried)
        if self._reader:
            self._model.run.adapter.load_state(self._last)
        with self._model.weight(self._reader):
            for size, places in by_size(pictures).items():
                latents = self._model.latents([pictures[i].image for i in places])
                errors = np.full((len(DOUBT), len(places), most), np.nan)
                for level, timestep in enumerate(self._model.timesteps(DOUBT)):
                    noise = self._model.noise("diffusion-margin", latents.shape[1:], level)
                    for turn in range(most):
                        known = [k for k, i in enumerate(places) if turn < len(tried[i])]
                        words = [self._words(pictures[places[k]], tried[places[k]][turn]) for k in known]
                        found = self._model.errors(latents[known], words, size, timestep=timestep, noise=noise)
                        errors[level, known, turn] = found.double().cpu().numpy()
                relative = (errors / np.nanmean(errors, axis=2, keepdims=True)).mean(0)
                for k, i in enumerate(places):
                    for turn, column in enumerate(tried[i]):
                        fits[i, column] = -relative[k, turn]
        return fits

    def _tried(self, shown: Shown) -> list[int]:
        """Columns to fill: the own prompt (last), and the judged prompts that follow it."""
        count = len(self._prompts)
        own = self._prompts.index(shown.prompt) if shown.prompt in self._prompts else -1
        first = own if own >= 0 else sum(map(ord, shown.key or shown.prompt)) % count
        others = [(first + step) % count for step in range(0 if own < 0 else 1, count)]
        return [count, *[column for column in others if column != own][:DECOYS]]

    def _words(self, shown: Shown, column: int) -> str:
        return shown.prompt if column == len(self._prompts) else self._prompts[column]
