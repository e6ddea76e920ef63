"""Differences in descriptors."""

from __future__ import annotations

from collections import Counter

import pytest

from loraspec.captioning.differences import Difference, difference
from loraspec.randomness import generator, order_of


@pytest.mark.parametrize(
    ("before", "after", "added", "removed", "moved"),
    [
        ("a, b, c", "a, b, c", "", "", ""),
        ("a, b", "a, b, c", "c", "", ""),
        ("a, b, c", "a, c", "", "b", ""),
        ("a, b, c", "a, d, c", "d", "b", ""),
        ("a, b, c, d", "a, d, b, c", "", "", "d"),
        ("a, a, b", "a, b", "", "a", ""),
        ("a, b", "b, b, a", "b", "", "b"),
        ("", "a", "a", "", ""),
        ("a;b", "a,b", "ab", "a;b", ""),
        (" a ,b", "a, b", "", "", ""),
    ],
)
def test_what_came_went_and_moved(before: str, after: str, added: str, removed: str, moved: str) -> None:
    """Letters are descriptors; order counts, white space does not."""
    found = difference(before, after, ",")
    assert found == Difference(tuple(added), (removed,) if ";" in removed else tuple(removed), tuple(moved))
    assert bool(found) == bool(added or removed or moved)


def test_every_difference_accounts_for_both_sides() -> None:
    """Before, less what went, with what came, is after; nothing moved when order stayed."""
    for number in range(200):
        rng = generator(1, "diff", number)
        before = [chr(97 + int(letter)) for letter in rng.integers(0, 6, size=int(rng.integers(0, 8)))]
        after = [before[place] for place in order_of(rng, len(before))][: int(rng.integers(0, 9))] + ["z"] * int(rng.integers(0, 2))
        found = difference(", ".join(before), ", ".join(after), ",")
        assert Counter(before) - Counter(found.removed) + Counter(found.added) == Counter(after)
        if not found.added and not found.removed and before == after:
            assert not found.moved
