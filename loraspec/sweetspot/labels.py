"""Remarks about epochs: each has a threshold, and is made only where the 90 % interval lies beyond it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from loraspec.sweetspot.axes import ALLOWED, Axes
from loraspec.sweetspot.keys import REDUCED, Keys, full_weight, interval
from loraspec.sweetspot.measured import Scores
from loraspec.sweetspot.ranking import Interval, Label

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CARICATURE = 1.1
UNDER = 0.9
DILUTED = 0.8
PROMPT, VARIETY = 0.85, 0.7
REPEATS, EXPOSURE = 20, 400
"""The guide warns of more than 20 repeats; 20 repeats over its 20 epochs are 400 visits of each picture."""


def labels_of(scores: Scores, axes: Axes, keys: Keys) -> list[tuple[Label, ...]]:
    """Return the labels of each epoch."""
    weights, at = scores.weights, full_weight(scores.weights)
    above = [w for w, weight in enumerate(weights) if weight > weights[at] + 1e-9]
    below = [w for w, weight in enumerate(weights) if REDUCED - 1e-9 <= weight < weights[at] - 1e-9]
    utility = axes.utility
    drift = _drift_of(scores, at)
    early = drift[: max(1, len(drift) // 2)]
    early = early[np.isfinite(early)]
    found = []
    for e, epoch in enumerate(scores.epochs):
        made: list[Label] = []
        full = utility[:, e, at]
        gain = interval(utility[:, e][:, below].max(1) - full) if below else None
        over = gain is not None and gain.low > 0
        progress = interval(axes.progress[:, e, at])
        if gain is not None and over:
            lost = f"{gain.value:.2f} [{gain.low:.2f}, {gain.high:.2f}]"
            made.append(Label("over-cooked", gain, f"a reduced weight would be better by {lost}: over-cooked at full weight"))
        if above:
            rise = interval(utility[:, e][:, above].max(1) - full)
            if rise.low > 0 and progress.value < UNDER:
                reached = f"{progress.value:.0%} of the way to the style at full weight"
                words = f"under-cooked: {reached}, and still rising at {weights[above[0]]:g}"
                made.append(Label("under-cooked", rise, words))
        if "style" in axes.score and below and over:
            style = axes.score["style"][:, e]
            with np.errstate(invalid="ignore", divide="ignore"):
                kept = interval(style[:, below[0]] / style[:, at])
            if kept.high < DILUTED:
                made.append(Label("dilutes", kept, f"reduced to {weights[below[0]]:g} it keeps only {kept.value:.0%} of its style"))
        if progress.low > CARICATURE:
            made.append(Label("caricature", progress, f"more style than the artist's own pictures: {progress.value:.0%}"))
        made += _simple(scores, axes, e, at)
        if len(early) > 1 and drift[e] > np.percentile(early, 90) and drift[e] > 2 * np.median(early):
            value = Interval(float(drift[e]), float("nan"), float("nan"))
            made.append(Label("bleeds", value, f"it changes pictures without the style's words too: drift {drift[e]:.2f}"))
        if scores.exposure > REPEATS or scores.exposure * epoch > EXPOSURE:
            visits = float(scores.exposure * epoch)
            seen = f"each picture was seen {visits:.0f} times ({scores.exposure} repeats)"
            words = f"{seen}: more than the guide's {EXPOSURE}, or its {REPEATS} repeats"
            made.append(Label("exposure", Interval(visits, visits, visits), words))
        found.append(tuple(made))
    return found


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 90 % interval of a share (Wilson 1927)."""
    z = 1.645
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return float(middle - half), float(middle + half)


def _simple(scores: Scores, axes: Axes, e: int, at: int) -> list[Label]:
    made = []
    share = axes.copies[0, e, at]
    if np.isfinite(share):
        low, high = wilson(float(share), len(scores.prompts) * len(scores.seeds))
        if low > ALLOWED:
            words = f"copying: {share:.0%} of its pictures lie nearer to a training picture than real works do to each other"
            made.append(Label("copying", Interval(float(share), low, high), words))
    for axis, limit, name, words in (
        ("prompt", PROMPT, "prompt loss", "it keeps {:.0%} of the base's obedience to the prompt"),
        ("variety", VARIETY, "collapsed", "its pictures of one prompt differ {:.0%} as much as the base's"),
    ):
        if axis in axes.score:
            value = interval(axes.score[axis][:, e, at])
            if value.high < limit:
                made.append(Label(name, value, words.format(value.value)))
    return made


def _drift_of(scores: Scores, at: int) -> Floats:
    """Return ``[E]``: how far each epoch moved the base's own pictures at full weight; NaN where nothing measured it."""
    for measured in scores.measured:
        if measured.name == "prior-drift":
            values = measured.values[:, at].reshape(len(scores.epochs), -1)
            known = np.isfinite(values)
            with np.errstate(invalid="ignore"):
                found: Floats = np.where(known, values, 0).sum(1) / np.where(known.any(1), known.sum(1), np.nan)
            return found
    return np.full(len(scores.epochs), np.nan)
