"""Strings from outside, made safe to print."""

from __future__ import annotations

import json

import pytest

from loraspec.escape import code_point, escaped, escaped_json


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Honoré Daumier, 日本 🎨", "Honoré Daumier, 日本 🎨"),
        ("\x1b[2J", "\\u001b[2J"),
        ("a\u202eb\u200bc", "a\\u202eb\\u200bc"),
        ("a\r\nb\u2028c", "a\\u000d\\u000ab\\u2028c"),
        ("\udc92", "\\udc92"),
        ("\U000e0041", "\\U000e0041"),
        ("\x9b31m", "\\u009b31m"),
    ],
)
def test_unprintable_characters_are_shown_as_code_points(text: str, shown: str) -> None:
    """Control, bidirectional and zero-width characters, separators, surrogates and tags; letters stay."""
    assert escaped(text) == shown


def test_kept_characters_stay() -> None:
    """A text of several lines keeps them."""
    assert escaped("a\nb\x07", keep="\n") == "a\nb\\u0007"


def test_json_means_the_same_after_escaping() -> None:
    """Nothing unprintable is left, and reading gives the value back."""
    value = {"é\u202e": ["\x9b", "\U000e0041", "\u2028"]}
    text = escaped_json(json.dumps(value, ensure_ascii=False, indent=1))
    assert json.loads(text) == value
    assert all(sign.isprintable() or sign == "\n" for sign in text)
    assert "é" in text


def test_code_points_are_written_as_unicode_does() -> None:
    """At least four digits."""
    assert [code_point(sign) for sign in ("\x07", "\u202e", "\U000e0041")] == ["U+0007", "U+202E", "U+E0041"]
