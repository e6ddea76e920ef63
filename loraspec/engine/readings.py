"""A metric on one run's data: its pictures become one number each, and it goes through the gates. The axes are in ``scales``.

Letters: n pictures, D features, P prompts, S seeds.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from loraspec.engine import altered
from loraspec.errors import RunError
from loraspec.sweetspot import gates
from loraspec.sweetspot.measured import GATES, Gate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loraspec.metrics import Gallery, Metric, Shown

    Floats = NDArray[np.float64]
    Pictures = Sequence[Shown | None]

ASKED = 12  # of the user's own pictures go through the gates: more say no more


class Unreadable(Exception):
    """The user's own pictures give this metric no scale; the text says why."""


class Reading:
    """One metric on one run's data: its scale, its numbers, its gates.

    Attributes:
        metric: The metric, prepared.
        gallery: What it looks at.
        other_seeds: Seeds that are not judged, in which the base was drawn again.
        scale, references: As in ``loraspec.sweetspot.measured.Measured``.
    """

    scale = 1.0
    alive_words = known_words = ""

    def __init__(self, name: str, metric: Metric, gallery: Gallery, *, again: Sequence[int]) -> None:
        """Look at the base's and the user's own pictures.

        Args:
            name: The metric's name, for errors.
            metric: The metric.
            gallery: What it looks at.
            again: Seeds that are not judged, for the base against itself.

        Raises:
            Unreadable: See there.
        """
        self.name, self.metric, self.gallery = name, metric, gallery
        self.other_seeds = tuple(again)
        self.references: Floats = np.zeros(0)
        self.base_shown: list[Shown | None] = gallery.pictures(0, 0.0)
        self.base_features = self.features(self.base_shown)
        self.fit()
        self.base = self.read(self.base_features, self.base_shown, len(gallery.seeds))

    # -- what an axis says ---------------------------------------------------------------------------------------------

    def fit(self) -> None:
        """Find scale and references.

        Raises:
            Unreadable: They cannot be found.
        """

    @abstractmethod
    def read(self, features: Floats, shown: Pictures, seeds: int) -> Floats:
        """Turn features of n pictures (prompt by prompt, in each ``seeds`` of them) into ``[n]``, NaN for what is missing."""

    def closeness(self, features: Floats) -> Floats | None:
        """How near the pictures of one cell are to the artist's, ``[n]``; None for an axis that has no such thing."""
        return None

    @abstractmethod
    def right(self) -> tuple[Floats, Floats]:
        """Numbers that are to be high, and that are to be low: the gate ``alive``."""

    @abstractmethod
    def known(self) -> tuple[Floats, Floats] | str:
        """The same for the gate ``known-difference``, or why there is none."""

    def span(self) -> float:
        """Distance between what the base has and what the artist's own pictures have, or between right and wrong."""
        right, wrong = self._right
        return mean_of(right) - mean_of(wrong)

    # -- numbers -------------------------------------------------------------------------------------------------------

    def features(self, shown: Pictures) -> Floats:
        """Ask the metric; ``[n, D]`` with rows of NaN for pictures that are not there.

        Raises:
            RunError: It returned something else than it should.
        """
        there = [number for number, one in enumerate(shown) if one is not None]
        if not there:
            return np.full((len(shown), 1), np.nan)
        rows = np.asarray(self.metric.values([one for one in shown if one is not None]), dtype=np.float64)
        depth = 1 if self.metric.axis == "health" else 2
        if rows.ndim != depth or len(rows) != len(there):
            wanted = f"[{len(there)}]" if depth == 1 else f"[{len(there)}, D]"
            got = f"{self.name} returned an array {list(rows.shape)} for {len(there)} pictures"
            raise RunError(f"{got}; a metric of the axis {self.metric.axis!r} returns {wanted}")
        found = np.full((len(shown), 1 if depth == 1 else rows.shape[1]), np.nan)
        found[there] = np.where(np.isfinite(rows), rows, np.nan).reshape(len(there), -1)
        return found

    def numbers(self, shown: Pictures, seeds: int = 1) -> Floats:
        """Measure n pictures, prompt by prompt, in each ``seeds`` of them: ``[n]``."""
        return self.read(self.features(shown), shown, seeds)

    @cached_property
    def training(self) -> Floats:
        """Features of the training pictures, without those that could not be measured."""
        return known_rows(self.features(self.gallery.training))

    @cached_property
    def heldout(self) -> Floats:
        """Features of the held-out pictures."""
        return known_rows(self.features(self.gallery.heldout)) if self.gallery.heldout else np.zeros((0, self.training.shape[1]))

    # -- gates ---------------------------------------------------------------------------------------------------------

    @cached_property
    def own(self) -> list[Shown | None]:
        """Some of the user's own pictures: held-out ones where there are any."""
        return spaced(self.gallery.heldout or self.gallery.training, ASKED)

    @cached_property
    def again(self) -> list[Shown | None]:
        """The base's pictures at seeds that are not judged."""
        return self.gallery.pictures(0, 0.0, seeds=self.other_seeds)

    @cached_property
    def _right(self) -> tuple[Floats, Floats]:
        return self.right()

    def gates(self) -> tuple[Gate, ...]:
        """Ask all five gates."""
        right, wrong = self._right
        span, before = self.span(), self.numbers(self.again, len(self.other_seeds))
        known = self.known()

        def changed(change: Callable[[Any], Any]) -> Floats:
            return self.numbers(altered.each(change, self.again), len(self.other_seeds))

        return (
            gates.alive(right, wrong, words=self.alive_words),
            gates.null(self.base, before, span),
            gates.not_for("known-difference", known) if isinstance(known, str) else gates.known_difference(*known, words=self.known_words),
            gates.quantisation(before, changed(altered.jpeg), span),
            gates.tone(before, changed(altered.brighter), changed(altered.darker), span),
        )


def spaced(pictures: Sequence[Shown], most: int) -> list[Shown | None]:
    """Return all pictures, or ``most`` of them, evenly spaced."""
    places = np.unique(np.linspace(0, len(pictures) - 1, min(most, len(pictures))).round().astype(int))
    return [pictures[place] for place in places]


def unread(why: str) -> tuple[Gate, ...]:
    """Return the gates of a metric that found no scale: it is not alive."""
    return (
        Gate("alive", float("nan"), gates.ALIVE, False, why),
        *(gates.not_for(name, "not asked: the metric found no scale") for name in GATES[1:]),
    )


def known_rows(features: Floats) -> Floats:
    """Return the rows without NaN."""
    return features[np.isfinite(features).all(1)]


def mean_of(values: Floats) -> float:
    """Return the mean of what was measured; NaN when nothing was."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
