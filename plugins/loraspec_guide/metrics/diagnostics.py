"""Diagnostics, which never vote: ``heldout-loss``, ``member-auc``, ``prior-drift``."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from loraspec.metrics import Metric, Shown
from loraspec.sweetspot.gates import auc
from loraspec.sweetspot.measured import Axis, Measured
from loraspec_guide.metrics.model import Model, by_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEVELS = (0.05, 0.2, 0.4, 0.6, 0.8, 0.95)
NOISES = 2
MEMBERS = 12  # training pictures that are asked; more say no more
GENERIC = (
    "a house by a river", "a man with a hat", "a dog on a street", "a bowl of fruit on a table", "mountains at night", "a ship at sea",
)  # fmt: skip
"""Everyday prompts without any style's words: what a LoRA should leave as it was."""


class Diagnostic(Metric):
    """A metric that goes through the epochs itself."""

    axis: ClassVar[Axis] = "diagnostic"

    def evaluate(self, run: Any) -> Mapping[str, float]:
        """Measure every judged epoch at full weight, keep the numbers, return the last epoch's mean."""
        from loraspec.engine.judging import name_of, save

        measured = self.measured(run, name_of(run, self))
        save(run, measured)
        at = min(range(len(run.gallery.weights)), key=lambda w: abs(run.gallery.weights[w] - 1))
        last = measured.values[-1, at]
        return {"last": float(np.nanmean(last))} if np.isfinite(last).any() else {}

    @abstractmethod
    def measured(self, run: Any, name: str) -> Measured:
        """Return what was measured."""


class HeldoutLoss(Diagnostic):
    """The loss of held-out pictures against the base's, at fixed timesteps and noises; it is a bad chooser, so it does not vote."""

    cost = f"{len(LEVELS) * NOISES} U-Net forwards for each of the user's pictures and each epoch"
    validity = "3 held-out pictures; rank correlation with the truth was between -0.7 and 0.8"

    def measured(self, run: Any, name: str) -> Measured:
        """Log ratios of held-out pictures, and their means by epoch and by timestep, for training pictures too."""
        own, other = log_ratios(run)
        rows = own if own.shape[2] else other
        facts = {
            "heldout": _means(own), "training": _means(other),
            **{f"heldout at {level:.0%} noise": _means(own[:, i : i + 1]) for i, level in enumerate(LEVELS)},
        }  # fmt: skip
        return _diagnostic(run, name, rows.mean(1), facts, () if own.shape[2] else ("no picture is held out: these are training pictures",))


class MemberAuc(Diagnostic):
    """How well the loss tells training pictures from held-out ones: 0.5 not at all, 1 always. An early warning of memorising."""

    cost = "nothing beyond heldout-loss"
    validity = "8 held-out pictures; it reaches 1 while samples still improve, so it does not vote"

    def measured(self, run: Any, name: str) -> Measured:
        """The area under the curve by epoch."""
        own, other = log_ratios(run)
        areas = np.array([auc(-other[e].mean(0), -own[e].mean(0)) if own.shape[2] else np.nan for e in range(len(own))])
        return _diagnostic(run, name, areas[:, None], {"auc": [None if np.isnan(value) else float(value) for value in areas]}, ())


class PriorDrift(Diagnostic):
    """How far the LoRA moves predictions for prompts that name nothing of the style, in units of the base's own error."""

    cost = f"{2 * len(GENERIC) * 3} U-Net forwards an epoch"
    validity = "grows with every training; a label and a tie-break, not a vote"

    def measured(self, run: Any, name: str) -> Measured:
        """``|lora - base|^2 / |base - noise|^2`` on pictures that the base draws of generic prompts."""
        model = Model(run)
        pictures = [one for one in run.gallery.pictures(0, 0.0, prompts=GENERIC, seeds=run.gallery.seeds[:1]) if one is not None]
        size, prompts = pictures[0].image.size, [one.prompt for one in pictures]
        with model.weight(0.0):
            latents = model.latents([one.image for one in pictures])
            asked = []
            for level, timestep in enumerate(model.timesteps((0.2, 0.5, 0.8))):
                noisy, target = model.noisy(latents, model.noise("prior-drift", latents.shape[1:], level), timestep)
                base = model.predict(noisy, timestep, prompts, size)
                asked.append((timestep, noisy, base, (base - target).square().flatten(1).mean(1)))
        rows = []
        for epoch in run.gallery.epochs:
            run.check_interrupt()
            run.use_epoch(epoch)
            with model.weight(1.0):
                parts = [
                    (model.predict(noisy, t, prompts, size) - base).square().flatten(1).mean(1) / error for t, noisy, base, error in asked
                ]
            rows.append(np.mean([part.double().cpu().numpy() for part in parts], axis=0))
        return _diagnostic(run, name, np.stack(rows), {"drift": [float(row.mean()) for row in rows]}, ())


def log_ratios(run: Any) -> tuple[Floats, Floats]:
    """Log ratios of the loss to the base's for held-out and for training pictures: ``[E, levels, H]`` and ``[E, levels, T]``.

    They are computed once in a run: two metrics read them.
    """
    kept = getattr(run.gallery, "kept", None)
    if kept is not None and "log_ratios" in kept:
        found: tuple[Floats, Floats] = kept["log_ratios"]
        return found
    model = Model(run)
    step = max(1, len(run.gallery.training) // MEMBERS)
    training = list(run.gallery.training)[::step][:MEMBERS]
    pictures = [*run.gallery.heldout, *training]
    with model.weight(0.0):
        base = _losses(model, pictures)
    rows = []
    for number, epoch in enumerate(run.gallery.epochs):
        run.check_interrupt()
        run.use_epoch(epoch)
        with model.weight(1.0):
            rows.append(np.log(_losses(model, pictures) / base).mean(1))
        run.progress("measure heldout-loss", number + 1, len(run.gallery.epochs))
    stacked = np.stack(rows)
    count = len(run.gallery.heldout)
    found = stacked[:, :, :count], stacked[:, :, count:]
    if kept is not None:
        kept["log_ratios"] = found
    return found


def _losses(model: Model, pictures: Sequence[Shown]) -> Floats:
    """Errors ``[levels, noises, n]``; the same noises for every picture and epoch."""
    found = np.empty((len(LEVELS), NOISES, len(pictures)))
    for size, places in by_size(pictures).items():
        latents, prompts = model.latents([pictures[i].image for i in places]), [pictures[i].prompt for i in places]
        for level, timestep in enumerate(model.timesteps(LEVELS)):
            for number in range(NOISES):
                noise = model.noise("heldout-loss", latents.shape[1:], level, number)
                errors = model.errors(latents, prompts, size, timestep=timestep, noise=noise)
                found[level, number, places] = errors.double().cpu().numpy()
    return found


def _means(values: Floats) -> list[float | None]:
    return [float(row.mean()) if row.size else None for row in values]


def _diagnostic(run: Any, name: str, rows: Floats, facts: Mapping[str, Any], notes: tuple[str, ...]) -> Measured:
    """Rows ``[E, N]`` at full weight become ``[E, W, N, 1]``."""
    weights = run.gallery.weights
    values = np.full((len(rows), len(weights), rows.shape[1], 1), np.nan)
    values[:, min(range(len(weights)), key=lambda w: abs(weights[w] - 1)), :, 0] = rows
    return Measured(name, "diagnostic", values, np.full((1, 1), np.nan), facts=facts, notes=notes)
