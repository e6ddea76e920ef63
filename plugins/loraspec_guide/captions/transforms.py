"""Caption transforms: pure functions of the descriptors and of one visit's own random generator."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, ClassVar

from attrs import frozen

from loraspec.captions import flatten
from loraspec.randomness import order_of, uniform53
from loraspec.values import Sample

if TYPE_CHECKING:
    import numpy as np

    from loraspec_guide.captions.registry import AffixOptions, DropoutOptions, EnsureOptions, ShuffleOptions, TidyOptions

Descriptors = tuple[str, ...]
_BETWEEN = "\x1f"  # between descriptors while a caption is one text; no caption holds control characters
_CHOICE = re.compile(r"\{([^{}]*\|[^{}]*)\}")
_CHOICES = 1000  # in one caption


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
class Affix:
    """Puts descriptors before and behind; those that are there already, but for case, are moved and not doubled."""

    options: AffixOptions
    deterministic: ClassVar[bool] = True

    def __call__(self, descriptors: Descriptors, *, sample: Sample, rng: np.random.Generator) -> Descriptors:
        """Return first, the others, last; draws nothing. A caption that is empty stays empty."""
        if not descriptors:
            return ()
        first, last = (tuple(map(clean, part)) for part in (self.options.first, self.options.last))
        given = set(map(_same, (*first, *last)))
        return (*first, *(part for part in descriptors if _same(part) not in given), *last)


@frozen
class Wildcard:
    """Replaces ``{a|b|c}`` by one of its parts, each as likely as the others; the innermost first. Parts may hold separators."""

    deterministic: ClassVar[bool] = False

    def __call__(self, descriptors: Descriptors, *, sample: Sample, rng: np.random.Generator) -> Descriptors:
        """Return the descriptors with every choice made; braces without a bar are text."""
        text = _BETWEEN.join(descriptors)
        for _ in range(_CHOICES):
            found = _CHOICE.search(text)
            if found is None:
                break
            parts = found[1].split("|")
            text = text[: found.start()] + parts[uniform53(rng) * len(parts) >> 53] + text[found.end() :]
        return tuple(part.strip() for part in text.split(_BETWEEN))


@frozen
class Shuffle:
    """A uniform order of all descriptors but the first ``keep``, or those outside of ``keep_separator``."""

    options: ShuffleOptions
    deterministic: ClassVar[bool] = False

    def __call__(self, descriptors: Descriptors, *, sample: Sample, rng: np.random.Generator) -> Descriptors:
        """Return the same descriptors in a new order; the separator itself is taken out."""
        first, rest, last = self._parts(descriptors)
        return (*first, *(rest[place] for place in order_of(rng, len(rest))), *last)

    def _parts(self, descriptors: Descriptors) -> tuple[Descriptors, Descriptors, Descriptors]:
        mark = self.options.keep_separator.strip()
        if mark and any(mark in part for part in descriptors):
            sides = [*_BETWEEN.join(descriptors).split(mark, 2), ""][:3]
            first, rest, last = (tuple(part.strip() for part in side.split(_BETWEEN) if part.strip()) for side in sides)
            return first, rest, tuple(part for part in last if part != mark)
        return descriptors[: self.options.keep], descriptors[self.options.keep :], ()


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
