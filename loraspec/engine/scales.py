"""What numbers mean on each axis: where 0 and 1 are, and which pictures must be told apart before a metric may vote."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from loraspec.engine import altered
from loraspec.engine.altered import each
from loraspec.engine.leeway import leeways
from loraspec.engine.readings import ASKED, Reading, Unreadable, known_rows, mean_of, spaced
from loraspec.sweetspot.readouts import Style, between, margins, nearest, places_of, real_distances, spread, threshold

if TYPE_CHECKING:
    from loraspec.engine.readings import Floats, Pictures

KAPPA, RHO = (0.05, 1.0), (0.5, 1.0)  # what the artist's pictures may keep of the base's margin, and of its variety


class StyleReading(Reading):
    """Progress from the base (0) to the artist (1)."""

    alive_words = "the artist's pictures and the base's"
    known_words = "the artist's pictures and the same without their technique and colours"

    def fit(self) -> None:
        """Fit the axis to the base's and to all of the user's own pictures; those that define 1 are left out one by one."""
        try:
            self._style = Style.fit(known_rows(self.base_features), self.training, self.heldout)
        except ValueError as error:
            raise Unreadable(str(error)) from error
        self.references = self._style.references

    def read(self, features: Floats, shown: Pictures, seeds: int) -> Floats:
        """Progress."""
        return self._by(self._style.progress, features)

    def closeness(self, features: Floats) -> Floats | None:
        """Part of the way from the base to the artist in every direction."""
        return None if self._style.near is None else self._by(self._style.near.of, features)

    def _by(self, read: Callable[[Floats], Floats], features: Floats) -> Floats:
        """Read features, NaN where no picture of the cell was there to have any."""
        return read(features) if features.shape[1] == len(self._style.axis.centre) else np.full(len(features), np.nan)

    def span(self) -> float:
        """By construction."""
        return 1.0

    def right(self) -> tuple[Floats, Floats]:
        """The artist's pictures, left out of the fit, and the base's at other seeds."""
        return self.references, self.numbers(self.again)

    def known(self) -> tuple[Floats, Floats]:
        """The artist's pictures, and the same restyled."""
        return self.references, self.numbers(each(altered.restyled, self.own))


class PromptReading(Reading):
    """Margin of the own prompt over the others."""

    alive_words = "the base's pictures with their own prompt and with another"
    known_words = "the user's own pictures with their caption and with another's"

    def fit(self) -> None:
        """kappa: what the user's own pictures keep of the base's margin; a style may make content harder to read.

        Training pictures count too: the base, which is asked, was not trained on them, and few held-out ones would leave kappa to chance.
        """
        pictures = list(self.own)
        if self.gallery.heldout:
            pictures += spaced(self.gallery.training, ASKED)
        self.references = self.numbers(pictures)
        base = mean_of(self.read(self.base_features, self.base_shown, 1))
        kept = mean_of(self.references) / base if base > 0 else np.nan
        self.scale = float(np.clip(kept, *KAPPA)) if np.isfinite(kept) else 1.0

    def read(self, features: Floats, shown: Pictures, seeds: int) -> Floats:
        """Margins."""
        if features.shape[1] < 2:
            return np.full(len(features), np.nan)
        return margins(features, places_of(["" if one is None else one.prompt for one in shown], self.gallery.prompts))

    def right(self) -> tuple[Floats, Floats]:
        """The base's pictures with their own prompt, and with another."""
        return self.base, self.numbers(altered.other_prompts(self.base_shown))

    def known(self) -> tuple[Floats, Floats] | str:
        """The user's own pictures with their captions, and with another's."""
        swapped = altered.other_prompts(self.own)
        if sum(one is not None for one in swapped) < 2:
            return "the user's own pictures have no two captions"
        return self.references[: len(self.own)], self.numbers(swapped)


class OriginalityReading(Reading):
    """Distance to the nearest training picture, by what is usual for a prompt."""

    alive_words = "real works and near copies of training pictures"
    known_words = "real works and training pictures cut a little closer"

    def fit(self) -> None:
        """tau: the distance below which a twentieth of real works lie to each other."""
        try:
            self.references = real_distances(self.training, self.heldout)
        except ValueError as error:
            raise Unreadable(str(error)) from error
        self.scale = threshold(self.references)
        self._leeways = leeways(self)

    def read(self, features: Floats, shown: Pictures, seeds: int) -> Floats:
        """Distances, in units of what is usual for the pictures' prompts."""
        return self.nearest(features, shown)[0]

    def nearest(self, features: Floats, shown: Pictures) -> tuple[Floats, list[str]]:
        """The same, and keys of the pictures that lie nearest."""
        known = np.isfinite(features).all(1)
        apart, keys = np.full(len(features), np.nan), [""] * len(features)
        if known.any():
            found, which = nearest(features[known], self.training)
            apart[known] = found
            for place, number in zip(np.flatnonzero(known), which, strict=True):
                keys[place] = self.gallery.training[int(number)].key
        return apart / [1.0 if one is None or one.key else self._leeways.get(one.prompt, 1.0) for one in shown], keys

    def _copies(self, change: Callable[[Any], Any]) -> Floats:
        every = list(self.gallery.training)
        return self.numbers(each(change, every[:: max(1, len(every) // ASKED)]))

    def right(self) -> tuple[Floats, Floats]:
        """Distances between real works, and of training pictures that went through JPEG."""
        return self.references, self._copies(altered.jpeg)

    def known(self) -> tuple[Floats, Floats]:
        """Distances between real works, and of training pictures cut a little closer."""
        return self.references, self._copies(altered.shifted)


class VarietyReading(Reading):
    """Mean distance to the other seeds of the same prompt."""

    alive_words = "the base's seeds and one picture twice"
    known_words = "the base's seeds and one picture cut a little closer"

    def fit(self) -> None:
        """rho: how much the user's own pictures differ, against the base's of different prompts.

        Like with like: a style in one colour makes any two pictures more alike, those of one prompt too, and is not collapse for that.
        """
        own = np.concatenate([self.training, self.heldout])
        self.references = between(own) if len(own) > 1 else np.zeros(0)
        prompts = self.base_features.reshape(len(self.gallery.prompts), len(self.gallery.seeds), -1)
        base = mean_of(spread(prompts.swapaxes(0, 1)))
        kept = mean_of(self.references) / base if base > 0 else np.nan
        self.scale = float(np.clip(kept, *RHO)) if np.isfinite(kept) else 1.0

    def read(self, features: Floats, shown: Pictures, seeds: int) -> Floats:
        """Spreads."""
        return spread(features.reshape(-1, seeds, features.shape[1])).reshape(-1)

    def _twins(self, change: Callable[[Any], Any]) -> Floats:
        pairs = [one for shown in self.base_shown for one in (shown, *each(change, [shown]))]
        return self.numbers(pairs, 2)

    def right(self) -> tuple[Floats, Floats]:
        """Spread of the base's seeds, and of pictures beside themselves after JPEG."""
        return self.base, self._twins(altered.jpeg)

    def known(self) -> tuple[Floats, Floats]:
        """Spread of the base's seeds, and of pictures beside themselves, cut a little closer."""
        return self.base, self._twins(altered.shifted)


class HealthReading(Reading):
    """1 sound, 0 not."""

    alive_words = "sound pictures and black, flat or burnt ones"
    known_words = "the user's own pictures and the same under strong noise"

    def fit(self) -> None:
        """The user's own pictures are sound."""
        self.references = self.numbers(self.own)

    def read(self, features: Floats, shown: Pictures, seeds: int) -> Floats:
        """As it is."""
        return features[:, 0]

    def span(self) -> float:
        """By construction."""
        return 1.0

    def right(self) -> tuple[Floats, Floats]:
        """The user's own and the base's pictures, and what is left of them without anything to see."""
        broken = [one for change in (altered.black, altered.flat, altered.burnt) for one in each(change, self.base_shown)]
        return np.concatenate([self.references, self.base]), self.numbers(broken)

    def known(self) -> tuple[Floats, Floats]:
        """The user's own pictures, and the same under noise."""
        return self.references, self.numbers(each(altered.noisy, self.own))


READINGS: dict[str, type[Reading]] = {
    "style": StyleReading, "prompt": PromptReading, "originality": OriginalityReading, "variety": VarietyReading, "health": HealthReading,
}  # fmt: skip
