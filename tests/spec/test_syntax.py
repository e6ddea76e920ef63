"""Texts that are no TOML: what they may be, and what would only cost time."""

from __future__ import annotations

import pytest

from loraspec.spec.syntax import long_key, problems


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"a": 1}', "E-SPEC-FORMAT"),
        ("[1, 2]", "E-SPEC-FORMAT"),
        ("---\na: 1\n", "E-SPEC-FORMAT"),
        ("# a comment\n\nrun:\n  name: x\n", "E-SPEC-FORMAT"),
        ("a 1\n", "E-SPEC-SYNTAX"),
        ("[a\n", "E-SPEC-SYNTAX"),
    ],
)
def test_other_formats_are_recognised(text: str, code: str) -> None:
    """JSON and YAML are named; a slip in TOML is not taken for them."""
    (problem,) = problems(text, "s.toml", "Invalid statement (at line 1, column 1)")
    assert problem.code == code


@pytest.mark.parametrize("text", [".".join("a" * 102) + " = 1", "[" + ".".join("a" * 102) + "]", "x = { " + ".".join("a" * 102) + " = 1 }"])
def test_long_keys_are_found_before_parsing(text: str) -> None:
    """In a line, in a header, in an inline table; told with the line."""
    assert long_key(f"ok = 1\n{text}\n") == 2


def test_dots_in_values_are_no_keys() -> None:
    """A prompt may hold as many as it likes."""
    assert long_key('prompt = "' + "word. " * 300 + '"\nweights = [' + "1.0, " * 300 + "]\n") == 0
