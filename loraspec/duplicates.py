"""Near-duplicates among a spec's images: the same picture again, re-encoded, a little cropped or mirrored. Needs Pillow, no torch.

A difference hash (Krawetz 2013): each picture as 16 x 16 bits, one for each pixel of a grey thumbnail that is brighter than its neighbour.
Colours are compared too: two drawings of one shape in other colours are two drawings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from loraspec.images import decode
from loraspec.known import known, with_pillow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from loraspec.values import Sample

LOOK = "look 1"  # raise it when pictures are compared by something else
SIDE = 16
NEAR = 26  # of 256 bits, a tenth: what may be the same picture is not parted
SURE = 20  # bits: what is told to a person as the same picture
COLOURS = 4  # cells on a side
APART = 40  # of 255, mean difference of the cells' channels
BLOCK = 1024  # pictures compared with all others at once
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


    def plain_row(self) -> list[str]:
        """Return what JSON can hold."""
        return [f"{self.plain:x}", f"{self.mirrored:x}", self.colours.hex(), self.mirrored_colours.hex()]

    @classmethod
    def from_plain(cls, row: Sequence[str]) -> Look:
        """Return the look that ``plain_row`` wrote."""
        return cls(int(row[0], 16), int(row[1], 16), bytes.fromhex(row[2]), bytes.fromhex(row[3]))


def _apart(one: bytes, other: bytes) -> float:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)


def looks_of(samples: Mapping[str, Sample]) -> dict[str, Look | None]:
    """Return what each picture is compared by, None for one that cannot be decoded, which is like no other."""
    looks: dict[str, Look | None] = {}
    before, what = known(), with_pillow(LOOK)
    for key, sample in samples.items():
        row = before.of_bytes(sample.sha256, what) if sample.sha256 else None
        try:
            looks[key] = look = Look.of(sample.read()) if row is None else Look.from_plain(row)
        except (OSError, ValueError):  # told where images are prepared
            looks[key] = None
            continue
        if row is None and sample.sha256:
            before.learn(sample.sha256, what, look.plain_row())
    before.save()
    return looks


def pairs_of(looks: Mapping[str, Look | None]) -> list[tuple[str, str, int]]:
    """Return the pairs of pictures that are, or whose mirror image is, the same again: (key, later key, bits apart, at most ``NEAR``).

    Bits are compared as vectors of -1 and 1: their product says how many are the same, for a thousand pictures at a time.
    """
    import numpy as np

    known = sorted((key, look) for key, look in looks.items() if look is not None)
    if len(known) < 2:
        return []
    kinds = zip(*((look.plain, look.mirrored) for _, look in known), strict=True)
    plain, mirrored = (np.stack([_signs(bits) for bits in kind]) for kind in kinds)
    found = []
    for begin in range(0, len(known), BLOCK):
        block = slice(begin, begin + BLOCK)
        both = [(plain[block], False), (mirrored[block], True)]
        apart = {turned: (SIDE * SIDE - rows @ plain.T) / 2 for rows, turned in both}
        for row, other in np.argwhere(np.minimum(apart[False], apart[True]) <= NEAR).tolist():
            here = begin + row
            if here < other:
                bits = [int(apart[turned][row, other]) for turned in (False, True) if _like(known[here][1], known[other][1], turned)]
                if bits and min(bits) <= NEAR:
                    found.append((known[here][0], known[other][0], min(bits)))
    return found


def groups_of(keys: Iterable[str], pairs: Iterable[tuple[str, str, int]], most: int = NEAR) -> list[frozenset[str]]:
    """Return keys in groups of those that pairs of at most so many bits connect, sorted by their first key; most are groups of one."""
    parent = {key: key for key in keys}

    def root(key: str) -> str:
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for key, other, bits in pairs:
        if bits <= most:
            parent[root(other)] = root(key)
    found: dict[str, set[str]] = {}
    for key in parent:
        found.setdefault(root(key), set()).add(key)
    return sorted(map(frozenset, found.values()), key=min)


def _signs(bits: int) -> NDArray[np.float32]:
    import numpy as np

    packed = np.frombuffer(bits.to_bytes(SIDE * SIDE // 8, "big"), np.uint8)
    return np.unpackbits(packed).astype(np.float32) * 2 - 1


def _like(one: Look, other: Look, turned: bool) -> bool:
    """Whether the colours of a picture, or of its mirror image, are those of another."""
    return _apart(one.mirrored_colours if turned else one.colours, other.colours) <= APART


def _bits(grey: bytes) -> int:
    """One bit for every pixel but the last of a row: whether its right neighbour is brighter."""
    import numpy as np

    rows = np.frombuffer(grey, np.uint8).reshape(SIDE, SIDE + 1)
    return int.from_bytes(np.packbits(rows[:, 1:] > rows[:, :-1]).tobytes(), "big")
