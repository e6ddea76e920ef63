"""Strengths of epochs from comparisons: Bradley and Terry's model (1952), fitted by the MM algorithm of Hunter (2004).

    P(i is preferred to j) = s_i / (s_i + s_j)

A tie counts half for each. Each epoch has also won and lost one comparison against an epoch of strength 1: a weak prior, without which
an epoch that never lost would be infinitely strong. Intervals come from the Bayesian bootstrap (Rubin 1981): answers and the prior's
comparisons weigh by gamma draws of mean 1 instead of by 1, so that even a row of equal answers has a width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from loraspec.blind.answers import Answer
from loraspec.randomness import generator
from loraspec.sweetspot.ranking import Interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PRIOR = 1.0  # comparisons that each epoch has won, and lost, beforehand
RESAMPLINGS = 2000
STEPS, CLOSE = 2000, 1e-9  # of the iteration; relative
INTERVAL = (5.0, 95.0)


@frozen
class Strength:
    """One epoch.

    Attributes:
        epoch: Which.
        chance: Chance to be preferred to an average one of these epochs, with its 90 % interval.
        best: Share of resamplings in which this epoch is the strongest.
        won, tied, lost: Comparisons.
    """

    epoch: int
    chance: Interval
    best: float
    won: int
    tied: int
    lost: int


def fit(epochs: Sequence[int], answers: Sequence[Answer], *, seed: int = 0, resamplings: int = RESAMPLINGS) -> tuple[Strength, ...]:
    """Return the strength of each epoch, in the order of ``epochs``.

    Args:
        epochs: At least one; answers of others are left out.
        answers: What was preferred.
        seed: Of the resampling.
        resamplings: Number of resamplings.
    """
    import numpy as np

    at = {epoch: number for number, epoch in enumerate(epochs)}
    given = [answer for answer in answers if answer.left in at and answer.right in at]
    scores = np.array([{"left": 1.0, "right": 0.0, "tie": 0.5}[answer.choice] for answer in given])
    sides = np.array([[at[answer.left], at[answer.right]] for answer in given], dtype=int).reshape(-1, 2)
    rng = generator(seed, "bradley-terry", len(given))
    weights = np.vstack([np.ones(len(given)), rng.standard_exponential((resamplings, len(given)))])  # gamma of shape 1
    prior = np.full((resamplings + 1, 2, len(epochs)), PRIOR)
    prior[1:] = rng.standard_gamma(PRIOR, (resamplings, 2, len(epochs)))
    logs = np.log(_strengths(weights, scores, sides, prior))
    chances = 1 / (1 + np.exp(logs.mean(1, keepdims=True) - logs))
    low, high = np.percentile(chances[1:], INTERVAL, axis=0)
    best = np.bincount(logs[1:].argmax(1), minlength=len(epochs)) / max(1, resamplings)
    return tuple(
        Strength(epoch, Interval(float(chances[0, e]), float(low[e]), float(high[e])), float(best[e]), *_counts(epoch, given))
        for e, epoch in enumerate(epochs)
    )


def _strengths(weights: Floats, scores: Floats, sides: NDArray[Any], prior: Floats) -> Floats:
    """Return ``[B, E]``: the fit of every resampling.

    Args:
        weights: ``[B, N]`` of the answers.
        scores: ``[N]``, 1 where the left one was preferred, 0 the right one, 0.5 of a tie.
        sides: ``[N, 2]``, places of the left and the right epoch.
        prior: ``[B, 2, E]``, comparisons won and lost beforehand.
    """
    import numpy as np

    rows, count = len(weights), prior.shape[2]
    left, right = (np.eye(count)[sides[:, side]] for side in (0, 1))
    won = weights @ (left * scores[:, None] + right * (1 - scores[:, None])) + prior[:, 0]
    pairs = np.einsum("bn,ni,nj->bij", weights, left, right, optimize=True)
    pairs += pairs.transpose(0, 2, 1)
    against = prior.sum(1)
    found = np.ones((rows, count))
    for _ in range(STEPS):
        rates = (pairs / (found[:, :, None] + found[:, None, :])).sum(2) + against / (found + 1)
        new = np.maximum(won, 1e-12) / np.maximum(rates, 1e-12)
        moved = float(np.abs(np.log(new / found)).max())
        found = new
        if moved < CLOSE:
            break
    return found


def _counts(epoch: int, answers: Sequence[Answer]) -> tuple[int, int, int]:
    mine = [answer for answer in answers if epoch in (answer.left, answer.right)]
    won, tied = sum(answer.winner == epoch for answer in mine), sum(answer.winner is None for answer in mine)
    return won, tied, len(mine) - won - tied
