"""Strings from outside, made safe to print: nothing in them moves the cursor, turns the line round or hides."""

from __future__ import annotations

import json
import re

_ODD = re.compile(r"[^\x20-\x7e]")


def code_point(sign: str) -> str:
    """Return ``U+202E``."""
    return f"U+{ord(sign):04X}"


def escaped(text: str, *, keep: str = "") -> str:
    """Return a text with every character that is not printable as ``\\uXXXX``; those in ``keep`` stay.

    Control characters, bidirectional and zero-width ones, line and paragraph separators, spaces other than the
    common one, lone surrogates and code points without a character are not printable.
    """

    def safe(found: re.Match[str]) -> str:
        sign, number = found.group(), ord(found.group())
        if sign.isprintable() or sign in keep:
            return sign
        return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"

    return _ODD.sub(safe, text)


def escaped_json(text: str) -> str:
    """Return a JSON text (line feeds between its parts stay) with unprintable characters as JSON writes them; it means the same."""

    def safe(found: re.Match[str]) -> str:
        sign = found.group()
        return sign if sign.isprintable() or sign == "\n" else json.dumps(sign)[1:-1]

    return _ODD.sub(safe, text)
