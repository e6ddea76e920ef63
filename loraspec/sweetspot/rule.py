"""The guide's rule: prefer the epoch that is best at full weight, and say how sure that is.

    U(epoch, weight) = style x prompt x originality x sqrt(variety)
    key(epoch)       = U(epoch, 1.0) - max(0, best of U(epoch, 0.8 .. below 1.0) - U(epoch, 1.0))

Resamplings of prompts and seeds, the same ones for every cell, give every number its interval, the share of resamplings in which an
epoch is best, and the tie set: the epochs of which 3 in a hundred resamplings, or more, find the key at least as high as the best one's.
The best of the tie set are drawn again on fresh seeds. What decides within it is the mean of both keys, each as heavy as it has seeds: on
puppets, with as many fresh ones, that halves the misses of either alone. And only those stay tied that all of their pictures cannot tell
from the best: puppets' tie sets lose a seventh of their epochs so, and 3 in a hundred the truly best one, which 93 % of them still hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve

from loraspec.sweetspot import words
from loraspec.sweetspot.axes import VOTING, Axes, Draws, axes_of
from loraspec.sweetspot.keys import Keys, Standing, full_weight, interval
from loraspec.sweetspot.labels import labels_of
from loraspec.sweetspot.measured import Scores, heard
from loraspec.sweetspot.ranking import CellScore, Confidence, EpochScore, GateRow, Ranking

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RESAMPLINGS = 2000
LEFT_OUT = 200  # resamplings where a metric is left out: they say which neighbours are alike, and no interval
NEAR = 0.02  # keys that differ by less are decided by the weight at the peak


def rank(scores: Scores, *, fresh: Scores | None = None, seed: int = 0, resamplings: int = RESAMPLINGS) -> Ranking:
    """Rank the epochs.

    Args:
        scores: What was measured on the screening seeds.
        fresh: The same for the tie set, or its best, on seeds that the screening did not use: decides within the tie set, and narrows it.
        seed: Of the resampling.
        resamplings: Number of resamplings.

    Raises:
        ValueError: ``fresh`` is of other prompts or weights.
    """
    draws = Draws.make(len(scores.prompts), len(scores.seeds), count=resamplings, seed=seed)
    axes = axes_of(scores, draws)
    keys = Keys.of(axes.utility, scores.weights)
    standing = Standing.of(keys.key)
    if standing is None:
        return _nothing(scores, axes)
    peaks = [peak_weight(axes.utility[0, e], scores.weights) for e in range(len(scores.epochs))]
    confirmed = _fresh_keys(scores, fresh, seed)
    chosen = _choose(scores, standing, confirmed, len(fresh.seeds) if fresh else 0, peaks, axes)
    final = standing if fresh is None else _confirmed(standing, scores, fresh, chosen, seed, draws.count)
    labels = labels_of(scores, axes, keys)
    epochs = tuple(
        EpochScore(
            epoch,
            interval(keys.key[:, e]),
            interval(keys.regret[:, e]),
            peaks[e],
            float(final.share[e]),
            bool(final.tied[e]),
            confirmed.get(epoch),
            labels[e],
            bool(standing.tied[e]),
        )
        for e, epoch in enumerate(scores.epochs)
    )
    confidence, reasons = _confidence(scores, axes, epochs, chosen, _hangs_on(scores, standing, seed))
    ranking = Ranking(
        epoch=scores.epochs[chosen],
        weight=scores.weights[full_weight(scores.weights)],
        confidence=confidence,
        reasons=reasons,
        sentences=(),
        epochs=epochs,
        cells=_cells(scores, axes),
        missing=dict(axes.missing),
        gates=_gates(scores),
        pictures=len(scores.prompts) * len(scores.seeds),
        prompts=scores.prompts,
        seeds=scores.seeds,
        fresh_seeds=fresh.seeds if fresh else (),
        pairs=tuple(pair for m in scores.measured for pair in m.facts.get("pairs", ())),
    )
    return words.told(ranking)


def peak_weight(utility: Floats, weights: tuple[float, ...]) -> float:
    """Return the weight at which a parabola through U is highest, within the weights; the best weight where it is no hill."""
    places, known = np.array(weights), np.isfinite(utility)
    if not known.any():
        return float("nan")
    highest = float(places[known][utility[known].argmax()])
    if known.sum() < 3:
        return highest
    bend, slope, _ = np.polyfit(places[known], utility[known], 2)
    return float(np.clip(-slope / (2 * bend), places.min(), places.max())) if bend < -1e-9 else highest


def _confirmed(standing: Standing, scores: Scores, fresh: Scores, chosen: int, seed: int, count: int) -> Standing:
    """Return how epochs stand by the pictures of both."""
    both = scores.joined(fresh)
    places = [scores.epochs.index(epoch) for epoch in both.epochs]
    axes = axes_of(both, Draws.make(len(both.prompts), len(both.seeds), count=count, seed=seed))
    again = Standing.of(Keys.of(axes.utility, both.weights).key, places)
    return standing if again is None else standing.narrowed(again, places, chosen)


def _fresh_keys(scores: Scores, fresh: Scores | None, seed: int) -> dict[int, float]:
    if fresh is None:
        return {}
    axes = axes_of(fresh, Draws.make(len(fresh.prompts), len(fresh.seeds), count=1, seed=seed))
    key = Keys.of(axes.utility, fresh.weights).key[0]
    return {epoch: float(key[e]) for e, epoch in enumerate(fresh.epochs) if epoch in scores.epochs and np.isfinite(key[e])}


def _choose(
    scores: Scores, standing: Standing, fresh: dict[int, float], fresh_seeds: int, peaks: list[float], axes: Axes
) -> int:
    """Choose within the tie set: the highest key; of keys within ``NEAR`` the peak nearest to 1, fewer copies, then the higher key.

    Peaks that differ by less than half the step between two weights are alike: a parabola through a few weights places them no better.

    Neither "less drift" nor "the earlier" decides before the key does: drift grows with every epoch, so both mean the first of a plateau,
    and that is the one nearest to being under-cooked (docs/experiments/sweet-spot.md).
    """
    candidates = [int(e) for e in np.flatnonzero(standing.tied)]
    if not fresh:
        return max(candidates, key=lambda e: (standing.smooth[e], -e))
    candidates = [e for e in candidates if scores.epochs[e] in fresh] or candidates
    heavy = (len(scores.seeds), fresh_seeds)
    value = {e: float(np.average([standing.smooth[e], fresh.get(scores.epochs[e], -np.inf)], weights=heavy)) for e in candidates}
    top = max(value.values())
    near = [e for e in candidates if value[e] >= top - NEAR]
    at = full_weight(scores.weights)

    step = min((heavier - lighter for lighter, heavier in pairwise(scores.weights)), default=0.0)
    alike = min(abs(peaks[e] - 1) for e in near) + max(step / 2 - 1e-9, 0)

    def order(e: int) -> tuple[float, float, int]:
        return (float(np.nan_to_num(axes.copies[0, e, at])), -value[e], e)

    return min((e for e in near if abs(peaks[e] - 1) <= alike), key=order)


def _hangs_on(scores: Scores, standing: Standing, seed: int) -> list[tuple[str, int]]:
    """Return metrics without which an epoch outside the tie set would come first, and that epoch.

    Resampling tells how far a metric is sure of itself. What it gets wrong is in all of its resamplings alike, and shows where another
    metric of the same axis sees otherwise.
    """
    found = []
    draws = Draws.make(len(scores.prompts), len(scores.seeds), count=LEFT_OUT, seed=seed)
    for axis in VOTING:
        voices = heard([m for m in scores.measured if m.axis == axis])
        for one in voices if len(voices) > 1 else ():
            rest = evolve(scores, measured=tuple(m for m in scores.measured if m is not one))
            other = Standing.of(Keys.of(axes_of(rest, draws).utility, scores.weights).key)
            first = None if other is None else int(other.smooth.argmax())
            if first is not None and not standing.tied[first]:
                found.append((one.name, scores.epochs[first]))
    return found


def _confidence(
    scores: Scores, axes: Axes, epochs: tuple[EpochScore, ...], chosen: int, hangs_on: Sequence[tuple[str, int]]
) -> tuple[Confidence, tuple[str, ...]]:
    tied = [one.epoch for one in epochs if one.tied]
    places = [e for e, one in enumerate(epochs) if one.tied]
    reasons = []
    low = []
    if "style" in axes.missing:
        low.append(f"style was not measured ({axes.missing['style']})")
    if not scores.heldout:
        low.append("no picture was held out, so style was measured on pictures that the LoRA was trained on; set grid.heldout")
    if len(scores.epochs) == 1:
        low.append("there is only one epoch to choose from")
    elif len(tied) > 6 or len(tied) == len(epochs):
        low.append(f"{len(tied)} of {len(epochs)} epochs cannot be told apart by these pictures")
    if np.nan_to_num(epochs[chosen].key.value) < 0.05:
        low.append("no epoch reaches the style and keeps the prompt at weight 1.0")
    others = [axis for axis in VOTING if axis in axes.missing and axis != "style"]
    reasons += [f"{axis} was not measured ({axes.missing[axis]})" for axis in others]
    if 3 < len(tied) <= 6 and len(tied) < len(epochs):
        reasons.append(f"{len(tied)} epochs cannot be told apart by these pictures")
    elif len(tied) > 1 and places[-1] - places[0] >= len(places) and len(tied) <= 6:
        reasons.append("the tied epochs do not lie side by side")
    if epochs[chosen].best < 0.5 and len(tied) > 1:
        reasons.append(f"the chosen epoch is best in {epochs[chosen].best:.0%} of resamplings")
    reasons += [f"without {name} epoch {epoch} would come first" for name, epoch in hangs_on]
    level: Confidence = "low" if low or len(others) > 1 else "medium" if reasons else "high"
    return level, (*low, *reasons)


def _cells(scores: Scores, axes: Axes) -> tuple[CellScore, ...]:
    utility = axes.utility
    front = _front(axes)
    return tuple(
        CellScore(
            epoch,
            weight,
            interval(utility[:, e, w]),
            {axis: interval(score[:, e, w]) for axis, score in axes.score.items()},
            interval(axes.progress[:, e, w]),
            interval(axes.copies[:, e, w]),
            bool(front[e, w]),
        )
        for e, epoch in enumerate(scores.epochs)
        for w, weight in enumerate(scores.weights)
    )


def _front(axes: Axes) -> NDArray[np.bool_]:
    measured = [axes.score[axis][0] for axis in VOTING[:3] if axis in axes.score]
    if not measured:
        return np.zeros(axes.progress.shape[1:], bool)
    points = np.stack(measured, -1)
    flat = np.nan_to_num(points.reshape(-1, points.shape[-1]), nan=-1.0)
    beaten = (flat[None] >= flat[:, None]).all(-1) & (flat[None] > flat[:, None]).any(-1)
    found: NDArray[np.bool_] = ~beaten.any(1)
    return found.reshape(points.shape[:-1])


def _gates(scores: Scores) -> tuple[GateRow, ...]:
    return tuple(
        GateRow(m.name, m.axis, gate.name, gate.passed, gate.value, gate.limit, gate.words) for m in scores.measured for gate in m.gates
    )


def _nothing(scores: Scores, axes: Axes) -> Ranking:
    why = [f"{axis} was not measured ({reason})" for axis, reason in axes.missing.items()] or ["no cell could be measured"]
    return Ranking(
        epoch=0, weight=1.0, confidence="low", reasons=tuple(why),
        sentences=("The epochs could not be ranked: no metric gave numbers for them.",), epochs=(), cells=(), missing=dict(axes.missing),
        gates=_gates(scores), pictures=len(scores.prompts) * len(scores.seeds), prompts=scores.prompts, seeds=scores.seeds,
    )  # fmt: skip
