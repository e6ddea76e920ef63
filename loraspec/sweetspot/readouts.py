"""From features to numbers with a meaning at 0 and 1: style progress, closeness, nearest neighbours, spread, margins.

Letters: n, m pictures, D features, T training pictures, H held-out pictures, P prompts, S seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve, frozen

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

COMPONENTS = 12
RIDGE = 0.2  # share of the mean variance that is added to the covariance: few pictures, many directions
LEFT_OUT = 12  # references that are left out one by one; each costs a fit
TAIL = 5.0  # %, of the distances between real pictures that count as suspiciously near


@frozen(eq=False)
class StyleAxis:
    """The direction from the base to the artist: a shrinkage LDA on the leading components of standardised features.

    Attributes:
        centre, spread: Of the features that it was fitted on, ``[D]``.
        components: ``[K, D]``, orthonormal.
        direction: ``[K]``, scaled so that the base's mean lies at 0 and the references' at 1.
        origin: The base's mean on the direction.
    """

    centre: Floats
    spread: Floats
    components: Floats
    direction: Floats
    origin: float

    @classmethod
    def fit(cls, base: Floats, references: Floats) -> StyleAxis:
        """Fit the axis to ``[n, D]`` features of the base's pictures and ``[m, D]`` of the artist's, n and m at least 2.

        Raises:
            ValueError: Too few pictures, or the two sets cannot be told apart at all.
        """
        if len(base) < 2 or len(references) < 2:
            raise ValueError(f"a style axis needs 2 pictures on either side; there are {len(base)} and {len(references)}")
        both = np.concatenate([base, references])
        centre = both.mean(0)
        spread = _moving(both.std(0), centre)
        rows = (both - centre) / spread
        _, strengths, components = np.linalg.svd(rows, full_matrices=False)
        kept = components[: min(COMPONENTS, int((strengths > 1e-9 * max(strengths[0], 1e-300)).sum()))]
        places = rows @ kept.T
        ours, theirs = places[: len(base)], places[len(base) :]
        step = theirs.mean(0) - ours.mean(0)
        covariance = 0.5 * (np.cov(ours, rowvar=False) + np.cov(theirs, rowvar=False)).reshape(len(kept), len(kept))
        solved = np.linalg.solve(covariance + (RIDGE * np.trace(covariance) / len(kept) + 1e-12) * np.eye(len(kept)), step)
        length = float(step @ solved)
        if not length > 1e-9:
            raise ValueError("the base's pictures and the artist's have the same features; there is no style to measure")
        direction = solved / length
        return cls(centre, spread, kept, direction, float(ours.mean(0) @ direction))

    def standardised(self, features: Floats) -> Floats:
        """Return ``[n, D]`` in the units of the fit."""
        return (features - self.centre) / self.spread

    def progress(self, features: Floats) -> Floats:
        """Return ``[n]``: 0 for the base's mean, 1 for the references' mean."""
        found: Floats = self.standardised(features) @ self.components.T @ self.direction - self.origin
        return found


@frozen(eq=False)
class Style:
    """A fitted axis whose 1 is what unseen pictures of the artist reach: ``progress`` of pictures, ``references`` of the artist's own.

    ``near`` says how close a cell's pictures are to the artist's in every direction, where that can be said.
    """

    axis: StyleAxis
    scale: float
    references: Floats
    near: Closeness | None

    @classmethod
    def fit(cls, base: Floats, training: Floats, heldout: Floats) -> Style:
        """Fit to all references; measure 1 on those that were left out of the fit, one by one.

        Held-out pictures where there are any (``[h, D]``, h may be 0), else training pictures. A picture that takes part in a fit lies
        nearer to 1 than a new one of the same artist, so the axis alone would ask too much of a LoRA.

        Raises:
            ValueError: As ``StyleAxis.fit``; or left-out pictures lie no nearer to the artist than to the base.
        """
        every = np.concatenate([training, heldout]) if len(heldout) else training
        first = len(training) if len(heldout) else 0
        places = np.unique(np.linspace(first, len(every) - 1, LEFT_OUT).round().astype(int))
        axis = StyleAxis.fit(base, every)
        near = Closeness.fit(base, every, len(training))
        if len(every) < 3:
            return cls(axis, 1.0, axis.progress(every[places]), near)
        left = np.array([StyleAxis.fit(base, np.delete(every, i, 0)).progress(every[i : i + 1])[0] for i in places])
        scale = float(left.mean())
        if not scale > 0.1:
            raise ValueError(
                f"pictures that the axis was not fitted on reach {scale:.2f} of the way from the base to the artist; no style to measure"
            )
        return cls(axis, scale, left / scale, near)

    def progress(self, features: Floats) -> Floats:
        """Return ``[n]``: 0 the base, 1 the artist."""
        return self.axis.progress(features) / self.scale


@frozen(eq=False)
class Closeness:
    """How much of the way from the base's pictures to the artist's is gone, in every direction: 1 - D / D(base).

    D is the energy distance (Szekely and Rizzo 2013) between the pictures of a cell and the artist's. Style progress looks along one line,
    and goes on calling pictures right that leave it sideways, or have become all alike; their distance grows. Each picture's nearest
    training picture is left out of what it is compared with: else copies would be nearer to the artist than the artist's own works, and
    a cell of nothing but copies the nearest of all.

    Features count in units of their deviation within the two sets, as in a discriminant analysis. Their deviation over both sets together
    would be largest where base and artist differ most, and the style itself would count least.

    Attributes:
        centre: Mean of the artist's pictures, ``[D]``.
        spread: Deviation of each feature within the base's pictures and within the artist's, ``[D]``; infinite where it never moves.
        references: The artist's pictures about the one in units of the other, ``[m, D]``: the training pictures first.
        trained: How many of them are training pictures.
        within: Mean distance between two of them.
        start: D of the base's pictures.
    """

    centre: Floats
    spread: Floats
    references: Floats
    trained: int
    within: float
    start: float

    @classmethod
    def fit(cls, base: Floats, references: Floats, trained: int) -> Closeness | None:
        """Take the artist's pictures, ``[m, D]``, the first ``trained`` (at least 1) of them training pictures, and the base's, ``[n, D]``.

        m and n are at least 2.

        Returns:
            None when the base's pictures are as near to the artist's as those are to each other: there is no way to go.
        """
        share = len(base) / (len(base) + len(references))
        centre = references.mean(0)  # moves no distance, but large numbers would lose their last digits in them
        spread = _moving(np.sqrt(share * base.var(0) + (1 - share) * references.var(0)), centre)
        rows = (references - centre) / spread
        made = cls(centre, spread, rows, trained, between(rows).mean(), 1.0)
        start = 1 - float(made.of(base).mean())
        return evolve(made, start=start) if start > 1e-9 else None

    def of(self, features: Floats) -> Floats:
        """Return ``[n]`` for the n pictures of one cell: their mean is the cell's closeness, 0 the base, 1 the artist.

        A picture's number is what it adds, the distances to its cell counted from both ends, so that resampling pictures tells how sure
        the mean is. NaN for one picture alone.
        """
        known = np.isfinite(features).all(1)
        found = np.full(len(features), np.nan)
        if known.sum() > 1:
            rows = (features[known] - self.centre) / self.spread
            apart = distances(rows, self.references)
            away = (apart.sum(1) - apart[:, : self.trained].min(1)) / (apart.shape[1] - 1)
            own = between(rows)
            found[known] = 1 - (2 * away - 2 * own + own.mean() - self.within) / self.start
        return found


def _moving(spread: Floats, centre: Floats) -> Floats:
    """Return deviations ``[D]``, infinite for a feature that never moves: it says nothing."""
    found: Floats = np.where(spread > 1e-9 * (1 + np.abs(centre)), spread, np.inf)
    return found


def between(rows: Floats) -> Floats:
    """Mean distance of each of n pictures to the others, ``[n]``."""
    found: Floats = distances(rows, rows).sum(1) / (len(rows) - 1)
    return found


def distances(one: Floats, other: Floats) -> Floats:
    """Euclidean distances ``[n, m]`` of ``[n, D]`` and ``[m, D]``."""
    squared = (one**2).sum(1)[:, None] + (other**2).sum(1)[None] - 2 * one @ other.T
    found: Floats = np.sqrt(squared.clip(0))
    return found


def nearest(features: Floats, training: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Distance of each of ``[n, D]`` to its nearest training picture, and which that is, both ``[n]``."""
    apart = distances(features, training)
    which = apart.argmin(1)
    return apart[np.arange(len(features)), which], which


def real_distances(training: Floats, heldout: Floats) -> Floats:
    """How near real works are to each other: each training picture's nearest other one, and each held-out picture's nearest.

    Raises:
        ValueError: There is one picture only.
    """
    if len(training) < 2:
        raise ValueError("a copy threshold needs 2 training pictures; there is 1")
    within = distances(training, training)
    np.fill_diagonal(within, np.inf)
    own = within.min(1)
    return np.concatenate([own, nearest(heldout, training)[0]]) if len(heldout) else own


def threshold(real: Floats) -> float:
    """tau: the distance below which a twentieth of real works lie (Meehan et al. 2020 compare the same three samples)."""
    return float(np.percentile(real, TAIL))


def spread(features: Floats) -> Floats:
    """Mean distance of each picture to those of the same prompt and other seeds: ``[P, S, D]`` -> ``[P, S]``; NaN for one seed."""
    prompts, seeds = features.shape[:2]
    if seeds < 2:
        return np.full((prompts, seeds), np.nan)
    apart = np.sqrt(((features[:, :, None] - features[:, None]) ** 2).sum(-1))
    found: Floats = np.nansum(apart, -1) / np.maximum(np.isfinite(apart).sum(-1) - 1, 1)
    return np.where(np.isfinite(features).all(-1), found, np.nan)


def places_of(asked: Sequence[str], prompts: Sequence[str]) -> NDArray[np.intp]:
    """Return the place of each prompt that was asked for among P prompts, -1 when it is none of them: ``[n]``."""
    places = {prompt: number for number, prompt in enumerate(prompts)}
    return np.array([places.get(prompt, -1) for prompt in asked], dtype=np.intp)


def margins(fits: Floats, own: NDArray[np.intp]) -> Floats:
    """How much better pictures fit their own prompt than the others: ``[n, P + 1]`` -> ``[n]``.

    The last column is the own prompt's fit; ``own[i]`` is its place among the P prompts, -1 when it is none of them. NaN was not measured.
    """
    others = fits[:, :-1].copy()
    inside = own >= 0
    others[np.flatnonzero(inside), own[inside]] = np.nan
    measured = np.isfinite(others)
    mean = np.where(measured, others, 0).sum(1) / np.maximum(measured.sum(1), 1)
    return np.where(measured.any(1), fits[:, -1] - mean, np.nan)
