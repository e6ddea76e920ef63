"""Caption transforms: pure functions of the descriptors and of one visit's own random generator."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, ClassVar

from attrs import frozen

from loraspec.captions import flatten
from loraspec.randomness import order_of, uniform53
from loraspec.values import Sample

if TYPE_CHECKING:
    import numpy as np

    from loraspec_guide.captions.registry import DropoutOptions, EnsureOptions, ShuffleOptions, TidyOptions

Descriptors = tuple[str, ...]


def clean(descriptor: str) -> str:
    """Return a descriptor in Unicode's composed form (NFC), on one line, with single spaces."""
    return flatten(unicodedata.normalize("NFC", descriptor))


def _same(descriptor: str) -> str:
    """What makes two descriptors equal: neither case nor form."""
    return clean(descriptor).casefold()


@frozen
class Tidy:
    """Cleans each descriptor and keeps the first of those that are equal but for case."""

    options: TidyOptions
    deterministic: ClassVar[bool] = True

    def __call__(self, descriptors: Descriptors, *, sample: Sample, rng: np.random.Generator) -> Descriptors:
        """Return the descriptors, cleaned; draws nothing."""
        found: dict[str, str] = {}
        for descriptor in map(clean, descriptors):
            if descriptor:
                found.setdefault(descriptor.casefold(), descriptor)
        return tuple(found.values())


@frozen
class Ensure:
    """Appends the descriptors that are missing, whatever the case of those that are there."""

    options: EnsureOptions
    deterministic: ClassVar[bool] = True

    def __call__(self, descriptors: Descriptors, *, sample: Sample, rng: np.random.Generator) -> Descriptors:
        """Return the descriptors with every asked one; draws nothing."""
        there = set(map(_same, descriptors))
        asked = dict.fromkeys(map(clean, self.options.descriptors))
        return (*descriptors, *(descriptor for descriptor in asked if _same(descriptor) not in there))


@frozen
class Shuffle:
    """A uniform order of all descriptors but the first ``keep``."""

    options: ShuffleOptions
    deterministic: ClassVar[bool] = False

    def __call__(self, descriptors: Descriptors, *, sample: Sample, rng: np.random.Generator) -> Descriptors:
        """Return the same descriptors in a new order."""
        kept, rest = descriptors[: self.options.keep], descriptors[self.options.keep :]
        return (*kept, *(rest[place] for place in order_of(rng, len(rest))))


@frozen
class Dropout:
    """Empties a caption with probability ``caption``; else leaves out each descriptor after ``keep`` with ``descriptor``."""

    options: DropoutOptions

    @property
    def deterministic(self) -> bool:
        """True when nothing can be left out."""
        return not (self.options.caption or self.options.descriptor)

    def __call__(self, descriptors: Descriptors, *, sample: Sample, rng: np.random.Generator) -> Descriptors:
        """Return what is left; the number of draws depends on the number of descriptors only."""
        draws = [uniform53(rng) / 2**53 for _ in range(1 + len(descriptors))]
        if draws[0] < self.options.caption:
            return ()
        keep, chance = self.options.keep, self.options.descriptor
        return tuple(word for place, word in enumerate(descriptors) if place < keep or draws[1 + place] >= chance)
