"""What ``--fix`` does, and what it leaves to a person."""

from __future__ import annotations

import pytest

from loraspec.captionlint import tags  # noqa: F401  (registers its rules)
from loraspec.captionlint.mend import FIXED, mended
from loraspec.captionlint.rules import ONE, Caption, Setting, one_by_one

TAG = "by Honoré Daumier"


def fixed(text: str | None, **setting: object) -> str | None:
    return mended(Caption("a.png", text, ","), Setting(style_tag=TAG, **setting))  # type: ignore[arg-type]


@pytest.mark.parametrize(("before", "after"), [
    (f"a boat, sea, {TAG}", None), (None, None), ("", None), (" , ", None),
    ("a boat, sea", f"a boat, sea, {TAG}"),
    (f"a boat,, sea, {TAG},", f"a boat, sea, {TAG}"), (f"a boat; sea; {TAG}", f"a boat, sea, {TAG}"),
    (f"a boat in a\nstorm,\nsea, {TAG}", f"a boat in a storm, sea, {TAG}"),
    (f"a boat, Sea, sea, {TAG}", f"a boat, Sea, {TAG}"),
    (f"a boat, {TAG}, sea, {TAG}", f"a boat, {TAG}, sea"),
    (f"a boat, lithography {TAG}, sea", f"a boat, lithography, {TAG}, sea"), (f"a boat {TAG} at sea", f"a boat, {TAG}, at sea"),
    ("a boat, by Honore\u0301 Daumier", f"a boat, {TAG}"),
    ("a boat, by Honore Daumier", None), ("a boat, BY HONORÉ DAUMIER", None),
])  # fmt: skip
def test_words_stay_and_order_is_made(before: str | None, after: str | None) -> None:
    """None: nothing to do, or nothing that a program should decide."""
    assert fixed(before) == after


def test_mending_twice_changes_nothing_more() -> None:
    """And what it mends is no longer found."""
    once = fixed(f"a boat;; Sea, sea\n, lithography {TAG}")
    assert once is not None
    assert fixed(once) is None
    left = {one.code for one in one_by_one([Caption("a", once, ",")], Setting(style_tag=TAG))}
    assert not left & FIXED


def test_what_transforms_add_is_not_written() -> None:
    """A style tag that ``ensure`` adds stays out of the file; another separator is kept."""
    assert fixed("a boat, sea", ensured=(TAG,)) is None
    assert mended(Caption("a", "a boat |sea| ", "|"), Setting(separator="|")) == "a boat|sea"


def test_every_rule_that_says_so_is_mended() -> None:
    """``fixable`` in the table of rules is what this module mends."""
    assert {code for code, (_, fixable, _) in ONE.items() if fixable} | {"C004"} == FIXED
