"""Trust gates: what a metric has to show on the user's own data before it may vote.

Each takes numbers of the metric, in the unit of its readout, and says with a sentence whether it passes. ``span`` is the distance
between what the base has and what the artist's own pictures have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from loraspec.sweetspot.measured import Gate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ALIVE, KNOWN = 0.75, 0.75  # area under the curve
NULL = 0.25  # of the span
QUANTISATION, TONE = 0.10, 0.25  # of the span


def auc(high: Floats, low: Floats) -> float:
    """Probability that one of ``high`` is above one of ``low``, ties half: the area under the ROC curve; NaN without values."""
    high, low = high[np.isfinite(high)], low[np.isfinite(low)]
    if not len(high) or not len(low):
        return float("nan")
    return float(((high[:, None] > low).mean() + (high[:, None] >= low).mean()) / 2)


def alive(right: Floats, wrong: Floats, *, words: str) -> Gate:
    """The metric tells ``right`` (the artist's pictures; pictures with their own prompt) from ``wrong`` at all."""
    value = auc(right, wrong)
    return Gate("alive", value, ALIVE, _over(value, ALIVE), f"{words}: told apart in {_share(value)} of pairs, {ALIVE:.0%} is asked")


def null(base: Floats, again: Floats, span: float) -> Gate:
    """The base against itself at other seeds is a tie: the means differ by less than a quarter of the span, or than chance."""
    value = _part(abs(_mean(again) - _mean(base)), span)
    noise = _part(2 * float(np.hypot(_error(base), _error(again))), span)
    limit = max(NULL, noise) if np.isfinite(noise) else NULL
    return Gate("null", value, limit, _under(value, limit), f"the base against itself at other seeds: {_share(value)} of the span apart")


def known_difference(ours: Floats, control: Floats, *, words: str) -> Gate:
    """Real pictures of the artist are told from a control that is known to be none (other style, rotated colours, swapped prompts)."""
    value = auc(ours, control)
    return Gate(
        "known-difference", value, KNOWN, _over(value, KNOWN), f"{words}: told apart in {_share(value)} of pairs, {KNOWN:.0%} is asked"
    )


def quantisation(before: Floats, after: Floats, span: float) -> Gate:
    """Saving as JPEG 95 and reading again moves the value by less than a tenth of the span."""
    value = _part(_mean(np.abs(after - before)), span)
    return Gate(
        "quantisation",
        value,
        QUANTISATION,
        _under(value, QUANTISATION),
        f"a round trip through JPEG moves it by {_share(value)} of the span",
    )


def tone(before: Floats, brighter: Floats, darker: Floats, span: float) -> Gate:
    """Ten steps of brightness more or less move the mean by less than a quarter of the span."""
    value = _part(max(abs(_mean(brighter) - _mean(before)), abs(_mean(darker) - _mean(before))), span)
    return Gate("tone", value, TONE, _under(value, TONE), f"ten steps of brightness move it by {_share(value)} of the span")


def not_for(name: str, why: str) -> Gate:
    """A gate that has nothing to say of an axis."""
    return Gate(name, float("nan"), float("nan"), None, why)  # type: ignore[arg-type]


def _mean(values: Floats) -> float:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float("nan")


def _error(values: Floats) -> float:
    values = values[np.isfinite(values)]
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def _part(distance: float, span: float) -> float:
    return distance / abs(span) if abs(span) > 1e-12 else float("nan")


def _over(value: float, limit: float) -> bool:
    return bool(value >= limit)


def _under(value: float, limit: float) -> bool:
    return bool(value < limit)


def _share(value: float) -> str:
    return f"{value:.0%}" if np.isfinite(value) else "an unknown share"
