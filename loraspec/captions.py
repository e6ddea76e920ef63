"""Captions as descriptors: split, join, and the chain of caption transforms for one visit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from attrs import field, frozen

from loraspec.values import Sample, Visit

if TYPE_CHECKING:
    from loraspec.contracts import CaptionTransform
    from loraspec.randomness import Rng

KEPT = 32_768  # captions remembered: some 10 MB; a run of 40 images has 8,000


def split(caption: str, separator: str) -> tuple[str, ...]:
    """Return the descriptors of a caption, stripped; empty ones are kept (``tidy`` removes them), an empty caption has none."""
    if not caption.strip():
        return ()
    cut = separator.strip() or separator  # " | " also cuts "a|b"
    return tuple(part.strip() for part in caption.split(cut))


def join(descriptors: Sequence[str], separator: str) -> str:
    """Return one caption: with ", " for the separator ",", with any other separator as it is written in the spec."""
    return (", " if separator == "," else separator).join(descriptors)


def flatten(text: str) -> str:
    """Return a caption as one line: every run of white space, line breaks included, becomes one space."""
    return " ".join(text.split())


@frozen(eq=False)
class Pipeline:
    """The caption transforms of a plan, in order, with the run's random source.

    Transform ``i`` draws from ``rng("caption", i, epoch, key, repeat)``: adding one at the end changes no draw of the others.
    """

    transforms: tuple[CaptionTransform, ...]
    separator: str
    rng: Rng
    _settled: dict[tuple[str, str], tuple[str, ...]] = field(init=False, factory=dict)
    _kept: dict[tuple[Visit, str | None], str] = field(init=False, factory=dict)

    @property
    def deterministic(self) -> bool:
        """True when a caption is the same at every visit."""
        return self.first_random == len(self.transforms)

    @cached_property
    def first_random(self) -> int:
        """How many transforms at the start of the chain are deterministic: their result is kept per image."""
        for index, transform in enumerate(self.transforms):
            if not transform.deterministic:
                return index
        return len(self.transforms)

    def settled(self, sample: Sample) -> tuple[str, ...]:
        """Return the descriptors after the deterministic start of the chain: the same at every visit."""
        key = (sample.key, sample.caption or "")
        if key not in self._settled:
            descriptors = split(sample.caption or "", self.separator)
            for index in range(self.first_random):
                rng = self.rng("caption", index, 0, sample.key, 0)
                descriptors = tuple(self.transforms[index](descriptors, sample=sample, rng=rng))
            self._settled[key] = descriptors
        return self._settled[key]

    def __call__(self, sample: Sample, visit: Visit) -> str:
        """Return the caption of one visit; the first ``KEPT`` are remembered, since forecast, lock and training ask for the same."""
        found = self._kept.get((visit, sample.caption))
        if found is not None:
            return found
        made = self._made(sample, visit)
        if len(self._kept) < KEPT:
            self._kept[visit, sample.caption] = made
        return made

    def _made(self, sample: Sample, visit: Visit) -> str:
        descriptors = self.settled(sample)
        for index in range(self.first_random, len(self.transforms)):
            rng = self.rng("caption", index, *visit.index)
            descriptors = tuple(self.transforms[index](descriptors, sample=sample, rng=rng))
        return join(descriptors, self.separator)
