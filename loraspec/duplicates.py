"""Near-duplicates among a spec's images: the same picture again, re-encoded, a little cropped or mirrored. Needs Pillow, no torch.

A difference hash (Krawetz 2013): each picture as 16 x 16 bits, one for each pixel of a grey thumbnail that is brighter than its neighbour.
Colours are compared too: two drawings of one shape in other colours are two drawings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

from attrs import frozen

from loraspec.images import decode

SIDE = 16
NEAR = 26  # of 256 bits, a tenth: what may be the same picture is not parted
SURE = 20  # bits: what is told to a person as the same picture
COLOURS = 4  # cells on a side
APART = 40  # of 255, mean difference of the cells' channels
FLAT = 8  # of 255: lighter and darker places of a picture differ by more


@frozen
class Look:
    """What a picture is compared by: hash, hash of its mirror image, and the colours of both, coarsely."""

    plain: int
    mirrored: int
    colours: bytes
    mirrored_colours: bytes

    @classmethod
    def of(cls, data: bytes) -> Look:
        """Look at an encoded picture.

        Raises:
            ValueError: It cannot be decoded.
        """
        from PIL.Image import Resampling, Transpose

        image = decode(data)
        small = image.resize((SIDE + 1, SIDE), Resampling.BOX)
        grey, coarse = small.convert("L"), image.resize((COLOURS, COLOURS), Resampling.BOX)
        other = coarse.transpose(Transpose.FLIP_LEFT_RIGHT)
        light = grey.tobytes()
        if max(light) - min(light) < FLAT:  # there is nothing to compare but the colour
            exact = int.from_bytes(hashlib.sha256(small.tobytes()).digest(), "big")
            return cls(exact, exact, coarse.tobytes(), other.tobytes())
        mirrored = grey.transpose(Transpose.FLIP_LEFT_RIGHT)
        return cls(_bits(light), _bits(mirrored.tobytes()), coarse.tobytes(), other.tobytes())

    def near(self, other: Look, most: int = NEAR) -> bool:
        """Whether another picture, or its mirror image, is this one again, but for so many bits."""
        if (self.plain ^ other.plain).bit_count() <= most and _apart(self.colours, other.colours) <= APART:
            return True
        return (self.mirrored ^ other.plain).bit_count() <= most and _apart(self.mirrored_colours, other.colours) <= APART


def _apart(one: bytes, other: bytes) -> float:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)


def looks_of(images: Mapping[str, Callable[[], bytes]]) -> dict[str, Look | None]:
    """Return what each picture is compared by, None for one that cannot be decoded, which is like no other.

    Args:
        images: How the encoded bytes of each picture are read.
    """
    looks: dict[str, Look | None] = {}
    for key, read in images.items():
        try:
            looks[key] = Look.of(read())
        except (OSError, ValueError):  # told where images are prepared
            looks[key] = None
    return looks


def groups_of(looks: Mapping[str, Look | None], most: int = NEAR) -> list[frozenset[str]]:
    """Return the keys of pictures in groups of near-duplicates, sorted by their first key; most are groups of one."""
    parent = {key: key for key in looks}

    def root(key: str) -> str:
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    known = sorted((key, look) for key, look in looks.items() if look is not None)
    for place, (key, look) in enumerate(known):
        for other, another in known[place + 1 :]:
            if look.near(another, most):
                parent[root(other)] = root(key)
    found: dict[str, set[str]] = {}
    for key in looks:
        found.setdefault(root(key), set()).add(key)
    return sorted(map(frozenset, found.values()), key=min)


def _bits(grey: Sequence[int]) -> int:
    """One bit for every pixel but the last of a row: whether its right neighbour is brighter."""
    bits = 0
    for row in range(SIDE):
        for column in range(SIDE):
            place = row * (SIDE + 1) + column
            bits = bits << 1 | (grey[place + 1] > grey[place])
    return bits
