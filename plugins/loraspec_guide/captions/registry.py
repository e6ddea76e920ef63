"""The caption transforms of the guide, with their options; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from attrs import frozen, validators

from loraspec import Component, Problem, option

if TYPE_CHECKING:
    from loraspec.plan import Plan
    from loraspec_guide.captions.transforms import Affix, Dropout, Ensure, Shuffle, Tidy, Wildcard

_DESCRIPTORS = validators.deep_iterable(validators.matches_re(r"\s*\S.*"))
_FRACTION = [validators.ge(0.0), validators.le(1.0)]


@frozen
class TidyOptions:
    """Options of ``tidy``: none."""


@frozen
class EnsureOptions:
    """Options of ``ensure``."""

    descriptors: tuple[str, ...] = option(
        help="Descriptors that every caption has; missing ones are added at the end, in this order.",
        validator=[validators.min_len(1), validators.deep_iterable(validators.matches_re(r"\s*\S.*"))],
    )


@frozen
class ShuffleOptions:
    """Options of ``shuffle``."""

    keep: int = option(default=1, help="So many descriptors at the start stay where they are.", validator=validators.ge(0))
    keep_separator: str = option(
        default="", help="In captions with this mark, such as |||, what stands before it stays, and what stands behind a second one.",
    )


@frozen
class WildcardOptions:
    """Options of ``wildcard``: none."""


@frozen
class AffixOptions:
    """Options of ``affix``."""

    first: tuple[str, ...] = option(default=(), help="Descriptors put before all others.", validator=_DESCRIPTORS)
    last: tuple[str, ...] = option(default=(), help="Descriptors put behind all others.", validator=_DESCRIPTORS)


@frozen
class DropoutOptions:
    """Options of ``dropout``."""

    caption: float = option(default=0.0, help="Probability that a visit has an empty caption.", unit="fraction", validator=_FRACTION)
    descriptor: float = option(default=0.0, help="Probability that a descriptor is left out.", unit="fraction", validator=_FRACTION)
    keep: int = option(default=1, help="So many descriptors at the start are never left out one by one.", validator=validators.ge(0))


def _tidy(options: TidyOptions) -> Tidy:
    """Normal form NFC, single spaces, no empty and no repeated descriptors."""
    from loraspec_guide.captions.transforms import Tidy

    return Tidy(options)


def _ensure(options: EnsureOptions) -> Ensure:
    """Add descriptors that a caption lacks, such as the style tag."""
    from loraspec_guide.captions.transforms import Ensure

    return Ensure(options)


def _shuffle(options: ShuffleOptions) -> Shuffle:
    """Put the descriptors after the first in a new order at every visit."""
    from loraspec_guide.captions.transforms import Shuffle

    return Shuffle(options)


def _wildcard(options: WildcardOptions) -> Wildcard:
    """Choose one of {a|b|c} at every visit."""
    from loraspec_guide.captions.transforms import Wildcard

    return Wildcard()


def _affix(options: AffixOptions) -> Affix:
    """Put descriptors before and behind all others."""
    from loraspec_guide.captions.transforms import Affix

    return Affix(options)


def _dropout(options: DropoutOptions) -> Dropout:
    """Leave out whole captions, or single descriptors, at some visits."""
    from loraspec_guide.captions.transforms import Dropout

    return Dropout(options)


CAPTION_TRANSFORMS = [
    Component("tidy", TidyOptions, _tidy),
    Component("ensure", EnsureOptions, _ensure),
    Component("affix", AffixOptions, _affix),
    Component("wildcard", WildcardOptions, _wildcard),
    Component("shuffle", ShuffleOptions, _shuffle),
    Component("dropout", DropoutOptions, _dropout),
]


def check_plan(plan: Plan) -> Iterable[Problem]:
    """Refuse descriptors to ensure that hold the separator: they would be two, and be added to every caption again."""
    separator = plan.spec.captions.separator
    for stage in plan.many("caption_transform"):
        listed: dict[str, tuple[str, ...]] = {}
        if isinstance(stage.options, EnsureOptions):
            listed = {"descriptors": stage.options.descriptors}
        elif isinstance(stage.options, AffixOptions):
            listed = {"first": stage.options.first, "last": stage.options.last}
        for name, descriptors in listed.items():
            for number, descriptor in enumerate(descriptors):
                if separator in descriptor:
                    message = f"{descriptor!r} holds the separator {separator!r}, but is one descriptor"
                    yield Problem(f"{stage.path}.{name}[{number}]", message, "write each as its own item", code="E-SPEC-CONFLICT")
