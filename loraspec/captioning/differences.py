"""What changed between two captions, told in descriptors."""

from __future__ import annotations

from collections import Counter
from difflib import SequenceMatcher

from attrs import frozen

from loraspec.captions import split
from loraspec.ledger import plain


@frozen
class Difference:
    """Descriptors that came, went, and stand elsewhere, in the order in which they stand."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.moved)


def difference(before: str, after: str, separator: str) -> Difference:
    """Return how the descriptors of one caption became those of another."""
    old, new = ([part for part in split(plain(text), separator) if part] for text in (before, after))
    left, came = Counter(old), []
    for part in new:
        if left[part]:
            left[part] -= 1
        else:
            came.append(part)
    went = Counter(old) - Counter(new)
    removed = [part for part in old if went[part] and _took(went, part)]
    both = Counter(old) & Counter(new)
    one, other = _only(old, both), _only(new, both)
    stay = {
        at for block in SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
        for at in range(block.b, block.b + block.size)
    }  # fmt: skip
    return Difference(tuple(came), tuple(removed), tuple(part for at, part in enumerate(other) if at not in stay))


def _took(left: Counter[str], part: str) -> bool:
    left[part] -= 1
    return True


def _only(parts: list[str], both: Counter[str]) -> list[str]:
    left, kept = Counter(both), []
    for part in parts:
        if left[part]:
            left[part] -= 1
            kept.append(part)
    return kept
