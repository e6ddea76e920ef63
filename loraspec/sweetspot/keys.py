"""What epochs are ranked by, how sure it is, and which epochs cannot be told from the best.

Letters: B resamplings (the first row is no resampling), E epochs, W weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from loraspec.sweetspot.ranking import Interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

REDUCED = 0.8  # weights from here to below 1.0 are what the guide compares full weight with
TIE = 3.0  # % of the resamplings that find an epoch's key as high as the best one's: then it is tied
INTERVAL = (5.0, 95.0)


@frozen(eq=False)
class Keys:
    """What epochs are ranked by, ``[B, E]`` each: ``full`` is U at 1.0, ``regret`` what a reduced weight gains, ``key`` the difference."""

    full: Floats
    regret: Floats
    key: Floats

    @classmethod
    def of(cls, utility: Floats, weights: tuple[float, ...]) -> Keys:
        """Take them from U, ``[B, E, W]``."""
        at = full_weight(weights)
        full = utility[..., at]
        reduced = [i for i, weight in enumerate(weights) if REDUCED - 1e-9 <= weight < weights[at] - 1e-9]
        gain = np.max(utility[..., reduced], axis=-1) - full if reduced else np.zeros_like(full)
        regret = np.where(np.isfinite(gain), gain.clip(0), 0)
        return cls(full, regret, full - regret)


@frozen(eq=False)
class Standing:
    """How epochs stand by a set of pictures, ``[E]`` each.

    Attributes:
        smooth: The key, averaged over neighbours that cannot be told apart; -inf where it is not known.
        tied: Whether the epoch cannot be told from the best one.
        share: Share of resamplings in which it is best.
    """

    smooth: Floats
    tied: NDArray[np.bool_]
    share: Floats

    @classmethod
    def of(cls, key: Floats, places: Sequence[int] | None = None) -> Standing | None:
        """Take it from keys, ``[B, E]``; None where none is known.

        Args:
            key: The keys.
            places: Where the epochs are among all: those that do not lie side by side are no neighbours. None: these are all.
        """
        known = np.isfinite(key)
        if not known[0].any():
            return None
        key = np.where(known, key, -np.inf)
        smooth = _smoothed(key, range(key.shape[1]) if places is None else places)
        best = int(smooth.argmax())
        with np.errstate(invalid="ignore"):
            tied = known[0] & (np.percentile(key[1:, [best]] - key[1:], TIE, axis=0, method="lower") <= 0)
        tied[best] = True
        return cls(smooth, tied, _shares(key))

    def narrowed(self, again: Standing, places: Sequence[int], chosen: int) -> Standing:
        """Return how epochs stand when some of the tied ones, the best of them, were drawn again.

        Those that were not drawn again came behind all that were. They stay tied where most of these do, and not where more pictures
        told most of these, which had looked better, from the best.

        Args:
            again: How those stand by all of their pictures.
            places: Where those are among the epochs.
            chosen: Where the chosen epoch is: it is tied with the best in any case.
        """
        tied = self.tied & bool(again.tied.mean() > 1 / 2)
        tied[list(places)] = again.tied
        tied[chosen] = True
        share = self.share.copy()
        share[list(places)] = again.share * self.share[list(places)].sum()
        return Standing(self.smooth, tied, share)


def full_weight(weights: tuple[float, ...]) -> int:
    """Return the place of weight 1.0, or of the weight nearest to it."""
    return min(range(len(weights)), key=lambda i: abs(weights[i] - 1))


def interval(values: Floats) -> Interval:
    """Return the first value (no resampling) with the 90 % interval of the others."""
    rest = values[1:][np.isfinite(values[1:])]
    if not np.isfinite(values[0]) or not len(rest):
        return Interval(float(values[0]), float("nan"), float("nan"))
    low, high = np.percentile(rest, INTERVAL)
    return Interval(float(values[0]), float(low), float(high))


def _smoothed(key: Floats, places: Sequence[int]) -> Floats:
    """Average each key with those neighbours that cannot be told from it: a quarter, a half, a quarter.

    Neighbouring epochs of a slow training are two looks at one thing; of one that jumps they are not, so a neighbour counts only
    where the 90 % interval of the difference holds 0.
    """
    count = key.shape[1]
    found: Floats = key[0].copy()
    for e in range(count):
        near = []
        for other in (e - 1, e + 1):
            if 0 <= other < count and abs(places[other] - places[e]) == 1 and np.isfinite(key[0, [e, other]]).all():
                low, high = np.percentile(key[1:, other] - key[1:, e], INTERVAL)
                if low <= 0 <= high:
                    near.append(key[0, other])
        found[e] = (2 * key[0, e] + sum(near)) / (2 + len(near))
    return found


def _shares(key: Floats) -> Floats:
    """Share of resamplings in which an epoch is best; equal keys share."""
    rows = key[1:]
    top = rows == rows.max(1, keepdims=True)
    found: Floats = (top / top.sum(1, keepdims=True)).mean(0)
    return found
