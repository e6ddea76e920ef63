"""The four axes and the health check of every cell, for the pictures as they are and for every resampling of them.

Letters: B resamplings (the first row is no resampling), E epochs, W weights, P prompts, S seeds, N = P x S pictures of a cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from attrs import field, frozen

from loraspec.sweetspot.measured import Measured, Scores, heard

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

VOTING = ("style", "prompt", "originality", "variety")
HEALTHY = 0.9
ALLOWED = 0.05  # nearer than tau by chance: tau is the 5th percentile
LEAST = 0.25  # of the base's mean margin: what is asked of a picture whose prompt the base itself hardly obeys
COPY = 0.5  # of tau: a picture at this distance, or nearer, is wholly a copy; one at tau is none
CHUNK = 100  # resamplings at once where an array of every picture is needed


@frozen(eq=False)
class Draws:
    """How often each picture and each reference counts.

    Attributes:
        pictures: ``[B, N]``: prompts are drawn with replacement, then seeds within each prompt; the same for every cell (paired).
        generator: Draws references: a stream of the run's seed.
        count: B.
    """

    pictures: Floats
    generator: np.random.Generator
    count: int

    @classmethod
    def make(cls, prompts: int, seeds: int, *, count: int, seed: int) -> Draws:
        """Draw ``count`` resamplings of prompts and of the seeds within them; row 0 counts every picture once."""
        generator = np.random.Generator(np.random.Philox(key=[seed & (2**64 - 1), 0x5EE7]))
        rows = np.ones((count + 1, prompts, seeds))
        drawn = generator.multinomial(prompts, np.full(prompts, 1 / prompts), size=count)
        for b in range(count):
            for p in np.flatnonzero(drawn[b]):
                rows[b + 1, p] = generator.multinomial(seeds * drawn[b, p], np.full(seeds, 1 / seeds))
            rows[b + 1, drawn[b] == 0] = 0
        return cls(rows.reshape(count + 1, -1), generator, count)

    def references(self, values: Floats) -> Floats:
        """Return resampled references ``[B, R]``; row 0 as they are."""
        chosen = self.generator.integers(len(values), size=(self.count, len(values)))
        return np.concatenate([values[None], values[chosen]])


@frozen(eq=False)
class Axes:
    """Scores of every cell.

    Attributes:
        score: ``[B, E, W]`` in 0..1 for each axis that was measured: ``style``, ``prompt``, ``originality``, ``variety``, ``health``.
        progress: ``[B, E, W]``: style progress, over 1 for more than the artist; all NaN without a style metric.
        copies: ``[B, E, W]``: share of pictures nearer to a training picture than real works are; NaN without a metric.
        missing: Axis -> why it does not vote.
    """

    score: Mapping[str, Floats]
    progress: Floats
    copies: Floats
    missing: Mapping[str, str] = field(factory=dict)

    @property
    def utility(self) -> Floats:
        """U: ``[B, E, W]``: style x prompt x originality x sqrt(variety), 0 for cells whose pictures are broken."""
        found = np.ones_like(self.progress)
        for axis in VOTING:
            if axis in self.score:
                found = found * (np.sqrt(self.score[axis]) if axis == "variety" else self.score[axis])
        if "health" in self.score:
            found = found * (self.score["health"] >= HEALTHY)
        return found if any(axis in self.score for axis in VOTING) else np.full_like(self.progress, np.nan)


def axes_of(scores: Scores, draws: Draws) -> Axes:
    """Return the axes; several metrics of one axis are averaged after each got its own scale (never z-scores across epochs)."""
    shape = (draws.count + 1, len(scores.epochs), len(scores.weights))
    found: dict[str, Floats] = {}
    extra: dict[str, Floats] = {}
    missing: dict[str, str] = {}
    for axis in (*VOTING, "health"):
        of_axis = [m for m in scores.measured if m.axis == axis]
        voices = heard(of_axis)
        if not voices:
            failed = ", ".join(f"{m.name} failed {_failed(m)}" for m in of_axis)
            missing[axis] = failed or "no metric measures it"
            continue
        made = [_prompt(m, draws, extra.get("style")) if axis == "prompt" else _SCORE[axis](m, draws) for m in voices]
        found[axis] = np.mean([score for score, _ in made], axis=0)
        extra[axis] = np.mean([raw for _, raw in made], axis=0)
    nothing = np.full(shape, np.nan)
    missing.pop("health", None)
    return Axes(found, extra.get("style", nothing), extra.get("originality", nothing), missing)


def mean_of(values: Floats, draws: Draws) -> Floats:
    """Weighted means of pictures, ``[..., N]`` -> ``[B, ...]``; pictures that are NaN do not count."""
    known = np.isfinite(values)
    flat, there = np.where(known, values, 0).reshape(-1, values.shape[-1]), known.reshape(-1, values.shape[-1]).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        rows = (draws.pictures @ flat.T) / (draws.pictures @ there.T)
    found: Floats = rows.reshape(draws.count + 1, *values.shape[:-1])
    return found


def _cells(m: Measured) -> Floats:
    return m.values.reshape(*m.values.shape[:2], -1)


def style_of(m: Measured, draws: Draws) -> tuple[Floats, Floats]:
    """Return a style metric's score and its progress, ``[B, E, W]`` each.

    The score is how close a cell's pictures are to the artist's in every direction; where that was not measured, how far they are along
    the line to the artist (going too far costs like falling short). The line alone shows nothing of what goes astray late in training
    (docs/experiments/sweet-spot.md).
    """
    progress = mean_of(_cells(m), draws)
    if len(m.references) > 2:  # how sure 1 is
        progress = progress / np.maximum(draws.references(m.references).mean(1), 0.25)[:, None, None]
    if m.closeness is None:
        return (1 - np.abs(1 - progress)).clip(0, 1), progress
    return mean_of(m.closeness.reshape(*m.closeness.shape[:2], -1), draws).clip(0, 1), progress


def _prompt(m: Measured, draws: Draws, progress: Floats | None) -> tuple[Floats, Floats]:
    """Mean over pictures of the share that each has of the margin that is asked of it, 0 to 1.

    Asked is the margin of the base's picture of the same prompt and seed, the more like the artist's the more style there is: all of it
    at no progress, kappa of it at 1. So an early epoch that has lost subjects is not excused by a style that it has yet to reach, nor a
    style that is hard to read taken for a loss. Picture by picture: a plain prompt cannot pay for a lost one.
    """
    base, known = m.base.reshape(-1), np.isfinite(m.base.reshape(-1))
    mean = float(base[known].mean()) if known.any() else 0.0
    reached = np.ones(m.values.shape[:2]) if progress is None else progress[0].clip(0, 1)
    asked = np.where(known, base, mean).clip(LEAST * mean) * (1 + np.nan_to_num(reached, nan=1.0)[..., None] * (m.scale - 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (_cells(m) / asked).clip(0, 1) if mean > 0 else np.full_like(_cells(m), np.nan)
    kept = mean_of(share, draws)
    return kept, kept


def _variety(m: Measured, draws: Draws) -> tuple[Floats, Floats]:
    """Share of the base's value that is kept, against what the artist's own pictures have."""
    ours, base = mean_of(_cells(m), draws), mean_of(m.base.reshape(1, -1), draws)[:, 0]
    with np.errstate(invalid="ignore", divide="ignore"):
        kept = ours / np.where(base > 0, m.scale * base, np.nan)[:, None, None]
    return kept.clip(0, 1), kept


def _originality(m: Measured, draws: Draws) -> tuple[Floats, Floats]:
    """One less the mean degree of copying, and the share of pictures nearer than tau.

    By share alone a prompt that is near to training, whose honest pictures lie about tau, would weigh as much as a copy.
    """
    values = _cells(m)
    taus = np.full(draws.count + 1, m.scale)
    if len(m.references) > 2:
        from loraspec.sweetspot.readouts import TAIL

        taus[1:] = np.percentile(draws.references(m.references)[1:], TAIL, axis=1)
    share, degree = (np.empty((draws.count + 1, *values.shape[:2])) for _ in range(2))
    known = np.isfinite(values)
    flat = values.reshape(-1, values.shape[-1])
    for start in range(0, len(taus), CHUNK):
        part = slice(start, start + CHUNK)
        nearer = 1 - flat[None] / np.maximum(taus[part, None, None], 1e-12)
        nearer = np.where(known.reshape(flat.shape), nearer, 0).astype(np.float32)
        weights = draws.pictures[part]
        counted = weights @ known.reshape(flat.shape).T.astype(float)
        for found, each in ((share, nearer > 0), (degree, (nearer / (1 - COPY)).clip(0, 1))):
            with np.errstate(invalid="ignore", divide="ignore"):
                rows = np.einsum("bcn,bn->bc", each.astype(np.float32), weights.astype(np.float32)) / counted
            found[part] = rows.reshape(-1, *values.shape[:2])
    return (1 - degree).clip(0, 1), share


def _health(m: Measured, draws: Draws) -> tuple[Floats, Floats]:
    sound = mean_of(_cells(m), draws)
    return sound, sound


_SCORE = {"style": style_of, "originality": _originality, "variety": _variety, "health": _health}


def _failed(m: Measured) -> str:
    gates = [gate.name for gate in m.gates if gate.passed is False]
    return "the gate " + " and ".join(gates) if gates else "to measure a single picture"
