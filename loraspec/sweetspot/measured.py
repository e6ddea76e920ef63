"""What metrics measured: one number per picture, and the numbers of the user's own pictures that give them a scale.

Letters: E epochs, W weights, P prompts, S seeds, R reference pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from attrs import evolve, field, frozen

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Axis = Literal["style", "prompt", "originality", "variety", "health", "diagnostic"]
AXES: tuple[Axis, ...] = get_args(Axis)
GateName = Literal["alive", "null", "known-difference", "quantisation", "tone"]
GATES: tuple[GateName, ...] = get_args(GateName)


@frozen
class Gate:
    """A trust gate's answer.

    Attributes:
        name: Which gate.
        value: What was measured, NaN when it could not be.
        limit: What it is held to.
        passed: Whether the metric may vote as far as this gate goes; None when the gate does not apply to its axis.
        words: The sentence of the report.
    """

    name: GateName
    value: float
    limit: float
    passed: bool | None
    words: str


@frozen(eq=False)
class Measured:
    """One metric's numbers; what ``values`` means depends on the axis.

    ============ ============================================================ ==============================================
    axis         values and base                                              references (R), and scale
    ============ ============================================================ ==============================================
    style        progress: 0 the base, 1 the artist's pictures, over 1 more   progress of the held-out pictures; scale 1
    prompt       margin of the own prompt over the others                     margins of the user's pictures; scale kappa
    originality  distance to the nearest training picture, by the prompt      leave-one-out distances; scale tau
    variety      mean distance to the other seeds of the same prompt          spreads of the user's pictures; scale rho
    health       1 sound, 0 not                                               the same of the user's pictures; scale 1
    diagnostic   any number of an epoch and a weight; never votes             none; scale 1
    ============ ============================================================ ==============================================

    Attributes:
        name: The component: ``unet-progress``.
        axis: One of ``AXES``.
        values: ``[E, W, P, S]``; NaN where a cell could not be drawn or measured. Diagnostics: ``[E, W, N, 1]`` with N images.
        base: ``[P, S]``: the same of the base without LoRA.
        references: ``[R]``.
        scale: See the table.
        gates: Answers of the trust gates, in the order of ``GATES``.
        notes: Sentences that the report prints beside the numbers.
        closeness: Of a style metric, ``[E, W, P, S]``: how near a cell's pictures are to the artist's in every direction, 0 the base, 1 the
            artist (``loraspec.sweetspot.readouts.Closeness``). It votes with this; None: with how far its progress is from 1.
        facts: Further series of a diagnostic by name, lists of numbers one per epoch; of ``copy-rate`` the
            nearest pairs under ``pairs``, and ``self_lock``: what training captions give back.
    """

    name: str
    axis: Axis
    values: Floats
    base: Floats
    references: Floats = field(factory=lambda: np.zeros(0))
    scale: float = 1.0
    gates: tuple[Gate, ...] = ()
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(factory=dict)
    closeness: Floats | None = None

    @property
    def votes(self) -> bool:
        """Whether it may vote: no diagnostic, no gate failed."""
        return self.axis != "diagnostic" and not any(gate.passed is False for gate in self.gates)


def heard(measured: Sequence[Measured]) -> list[Measured]:
    """Return those that decide: with numbers, and through every gate."""
    return [one for one in measured if one.votes and np.isfinite(one.values).any()]


@frozen(eq=False)
class Scores:
    """Everything that the rule looks at.

    Attributes:
        epochs, weights: The judged epochs, ascending, and weights, ascending; with 1.0 and, where probed, one above.
        prompts, seeds: What P and S count.
        measured: One for each metric, on the same cells.
        heldout: Number of held-out pictures.
        exposure: Repeats, for the exposure label.
    """

    epochs: tuple[int, ...]
    weights: tuple[float, ...]
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    measured: tuple[Measured, ...]
    heldout: int
    exposure: int = 1

    def joined(self, fresh: Scores) -> Scores:
        """Return the epochs that both have, with the pictures of both: its seeds after one's own; and the metrics that both have.

        Raises:
            ValueError: Of other prompts or weights.
        """
        if (self.prompts, self.weights) != (fresh.prompts, fresh.weights):
            raise ValueError("scores of other prompts or weights cannot be joined")
        epochs = tuple(epoch for epoch in fresh.epochs if epoch in self.epochs)
        mine, theirs = [self.epochs.index(epoch) for epoch in epochs], [fresh.epochs.index(epoch) for epoch in epochs]
        others = {one.name: one for one in fresh.measured}
        measured = tuple(_joined(one, others[one.name], mine, theirs) for one in self.measured if one.name in others)
        return evolve(self, epochs=epochs, seeds=(*self.seeds, *fresh.seeds), measured=measured)


def _joined(one: Measured, other: Measured, mine: list[int], theirs: list[int]) -> Measured:
    closeness = None
    if one.closeness is not None and other.closeness is not None:
        closeness = np.concatenate([one.closeness[mine], other.closeness[theirs]], axis=-1)
    values = np.concatenate([one.values[mine], other.values[theirs]], axis=-1)
    return evolve(one, values=values, base=np.concatenate([one.base, other.base], axis=-1), closeness=closeness)
