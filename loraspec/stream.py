"""The stream digest: what an epoch trains on, as one number that is the same on every machine.

It is a chain of sha256 over the epoch's steps. A step's line holds, for each visit: the content of the image, the caption, resize and
crop, the timestep's draw and the first words of the noise's generator: integers and text, nothing that rounds. Two runs with
one digest saw the same; what then differs in their weights is floating point. A chain can be taken up in the middle of an epoch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from attrs import frozen

from loraspec.randomness import Rng, canonical, uniform53
from loraspec.values import Placement, Visit

SCHEME = "stream/1"  # raise the number when a line changes
WORDS = 4  # raw 64-bit words of the noise's generator in each line


@frozen
class Seen:
    """One visit as training saw it: a line of the stream digest.

    Attributes:
        visit: Which.
        content: sha256 (hex) of the image's bytes.
        caption: The exact caption; None while it is still to be drafted.
        placement: Resize and crop, px.
    """

    visit: Visit
    content: str
    caption: str | None
    placement: Placement


def line_of(seen: Seen, rng: Rng) -> list[object]:
    """Return what the digest covers of one visit: integers and text. ``timestep`` is the 53-bit draw, before a schedule maps it."""
    place, index = seen.placement, seen.visit.index
    timestep = uniform53(rng("timestep", *index))
    noise = rng("noise", *index).bit_generator.random_raw(WORDS).tolist()
    return [seen.content, seen.caption, [*place.resize, *place.crop, place.width, place.height], timestep, noise]


class Stream:
    """The running digest of one epoch."""

    def __init__(self, epoch: int, state: str = "") -> None:
        """Begin an epoch, or go on from the ``state`` that a checkpoint kept."""
        self.epoch = epoch
        self.state = state or hashlib.sha256(f"{SCHEME} {epoch}".encode()).hexdigest()

    def add(self, step: int, seen: Sequence[Seen], rng: Rng) -> None:
        """Take an optimizer step in: how it was cut into micro-batches does not count."""
        line = canonical([step, [line_of(one, rng) for one in seen]])
        self.state = hashlib.sha256(f"{self.state}\n{line}".encode("ascii")).hexdigest()
