"""The prompts that epochs are judged by: things that were not trained on, in the style's own words.

First the grid's prompts that are no training caption. Half of the others are near to training (captions of held-out images, or training
captions of which one descriptor is exchanged), half far (the subject of one caption, the rest of another).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from attrs import frozen

from loraspec.captions import join, split
from loraspec.randomness import sort_key

if TYPE_CHECKING:
    from loraspec.dataplan import DataPlan

JUDGED = 8  # prompts: fewer say too little
SHARED = 0.9  # a descriptor in this share of all captions belongs to the style
SUBJECTS = (
    "a house by a river", "a man with a hat", "a dog on a street", "a bowl of fruit on a table", "mountains at night", "a ship at sea",
    "a woman reading a letter", "a tree in a field", "a horse and a cart", "a crowd in a square", "a cat on a chair", "a bridge in fog",
)  # fmt: skip
"""For captions that cannot be taken apart: everyday things that most bases know."""


@frozen
class Caption:
    """A training caption: its key, its subject (the first descriptor), what else it shows, and its descriptors as written."""

    key: str
    subject: str
    content: tuple[str, ...]
    parts: tuple[str, ...]


def judged_prompts(data: DataPlan, *, prompts: Sequence[str], style_tag: str, first_prefix: str) -> tuple[str, ...]:
    """Return ``JUDGED`` prompts, fewer where the captions cannot give so many.

    Args:
        data: The plan's data.
        prompts: The grid's, as written.
        style_tag, first_prefix: As in ``[captions]``.
    """
    separator = data.pipeline.separator
    captions = [data.settled_caption(key) for key, text in data.raw_captions.items() if text is not None]
    taken = {content_of(caption, separator) for caption in captions}
    held = sorted((item for item in data.heldout if item.sample.caption is not None), key=lambda item: _turn(data, "heldout", item.key))
    found: dict[frozenset[str], str] = {}

    def take(candidates: Iterator[str], most: int) -> None:
        for text in candidates:
            if len(found) >= most:
                return
            content = content_of(text, separator)
            if content and content not in taken and content not in found:
                found[content] = text

    take(iter(prompts), JUDGED)
    half = len(found) + (JUDGED - len(found)) // 2
    known = _captions(data, style_tag)
    captioned = [data.settled_caption(item.key) for item in held]
    plain = partial(_plain, known, separator, style_tag=style_tag, first_prefix=first_prefix)
    for candidates, most in ((iter(captioned), half), (_near(data, known), half), (_far(data, known), JUDGED)):
        take(candidates, most)
    for candidates in (iter(captioned), _near(data, known), plain()):  # where one kind has too few
        take(candidates, JUDGED)
    return tuple(found.values())


def content_of(caption: str, separator: str) -> frozenset[str]:
    """Return a caption's descriptors, whatever their order and case: shuffled they are the same caption."""
    return frozenset(part.casefold() for part in split(caption, separator) if part)


def _turn(data: DataPlan, *index: str) -> tuple[int, tuple[str, ...]]:
    return sort_key(data.seed, "judged", *index), index


def _captions(data: DataPlan, style_tag: str) -> list[Caption]:
    """Return the training captions in the order in which they are drawn."""
    parts = {item.key: data.pipeline.settled(item.sample) for item in data.images if item.sample.caption is not None}
    style = {part.casefold() for part in split(style_tag, data.pipeline.separator)}
    every = Counter(part.casefold() for own in parts.values() for part in dict.fromkeys(own))
    style |= {part for part, count in every.items() if len(parts) > 1 and count >= SHARED * len(parts)}
    found = []
    for key in sorted(parts, key=lambda key: _turn(data, key)):
        content = [part for part in parts[key] if part and part.casefold() not in style]
        if content:
            found.append(Caption(key, content[0], tuple(content[1:]), tuple(part for part in parts[key] if part)))
    return found


def _partner(data: DataPlan, one: Caption, known: Sequence[Caption], purpose: str) -> Caption | None:
    """Return another of the captions that say something of their own."""
    others = (other for other in known if other.key != one.key)
    return min(others, key=lambda other: _turn(data, purpose, one.key, other.key), default=None)


def _near(data: DataPlan, known: Sequence[Caption]) -> Iterator[str]:
    """Yield captions of which one descriptor, not the subject, is another caption's at the same place."""
    telling = [caption for caption in known if caption.content]
    for one in known:
        other = _partner(data, one, telling, "near")
        if other is None or not one.content:
            continue
        places = sorted(range(len(one.content)), key=lambda place: _turn(data, "place", one.key, str(place)))
        for place in places:
            new = other.content[min(place, len(other.content) - 1)]
            if new.casefold() not in {part.casefold() for part in one.parts}:
                yield join([new if part == one.content[place] else part for part in one.parts], data.pipeline.separator)
                break


def _far(data: DataPlan, known: Sequence[Caption]) -> Iterator[str]:
    """Yield captions that have the subject of one and all else of another."""
    telling = [caption for caption in known if caption.content]
    for one in reversed(known):
        other = _partner(data, one, telling, "far")
        if other is not None:
            yield join([one.subject if part == other.subject else part for part in other.parts], data.pipeline.separator)


def _plain(known: Sequence[Caption], separator: str, *, style_tag: str, first_prefix: str) -> Iterator[str]:
    """Yield everyday subjects with the style's words."""
    content = {known[0].subject, *known[0].content} if known else set()
    style = [part for part in known[0].parts if part not in content] if known else [part for part in split(style_tag, separator) if part]
    for subject in SUBJECTS:
        yield join([f"{first_prefix} {subject}".strip(), *style], separator)
