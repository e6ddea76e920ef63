"""What is wrong with a text that is no TOML: where, and what it may be instead."""

from __future__ import annotations

import json
import re
from bisect import bisect_right

from loraspec.errors import Problem
from loraspec.spec import locator
from loraspec.spec.paths import render

MOST_PARTS = 100  # dots before an equals sign, or in a header
MOST_KEYS = 2_000

_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_NUMBER = re.compile(r"(?<![0-9_])[0-9_]{4000}")
_YAML = re.compile(r"(?:---|%YAML|[A-Za-z_][A-Za-z0-9_-]*:)(?: .*)?$")
_HINTS = {
    "Invalid value": 'text goes in quotes ("bf16"), numbers start with a digit, and truth is written true or false',
    "Expected '=' after a key in a key/value pair": "write key = value; a key holds letters, digits, _ and -",
    "Invalid initial character for a key part": "a line starts with a key, [table] or #",
}
_SLIPS = ("Expected", "Invalid", "Unescaped", "Unterminated", "Unclosed", "Found", "Illegal")


def too_many(keys: int) -> Problem:
    """Return the problem of a text with more than ``MOST_KEYS`` keys."""
    return Problem("", f"has {keys:,} keys; {MOST_KEYS:,} are the most", "a spec holds choices, not data", code="E-SPEC-SIZE")


def line_starts(text: str) -> list[int]:
    """Return the offset of each line's first character."""
    return [0, *(found.end() for found in re.finditer("\n", text))]


def position(starts: list[int], offset: int) -> tuple[int, int]:
    """Return (line, column), from 1, of an offset."""
    line = bisect_right(starts, offset)
    return line, offset - starts[line - 1] + 1


def long_key(text: str) -> int:
    """Return the line, from 1, of a dotted key with more than ``MOST_PARTS`` parts, or 0."""
    if text.count(".") <= MOST_PARTS:
        return 0
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > MOST_PARTS:
            keys = [line] if line.lstrip().startswith("[") else line.split("=")[:-1]
            if any(re.split("[{,]", key)[-1].count(".") > MOST_PARTS for key in keys):
                return number
    return 0


def problems(text: str, name: str, message: str) -> list[Problem]:
    """Say what tomllib stumbled on; a key set twice is named with both places, another format is recognised."""
    starts = line_starts(text)
    if message.startswith("Exceeds the limit"):  # Python's own, for the digits of an integer
        found = _NUMBER.search(text)
        place = position(starts, found.start() if found else 0)
        return [Problem("", "a number with thousands of digits", code="E-SPEC-RANGE").at(name, *place)]
    other = _other_format(text)
    if other:
        hint = "a spec is TOML: `loraspec init NAME` writes one"
        return [Problem("", f"looks like {other}, not like TOML", hint, code="E-SPEC-FORMAT").at(name, 1, 1)]
    at = _AT.search(message)
    line, column = position(starts, len(text.rstrip()))
    if at is not None:
        message = message[: at.start()]
        if at.group(1):
            line, column = int(at.group(1)), int(at.group(2))
    places, whole = locator.locate(text)
    if len(places.mentions) > MOST_KEYS:
        return [too_many(len(places.mentions)).at(name, 0, 0)]
    twice = [found for found in places.duplicates if whole or position(starts, found.again)[0] <= line]
    if twice and not message.startswith(_SLIPS):
        return [_duplicate(name, starts, found) for found in twice]
    said = f"not TOML: {message[:1].lower()}{message[1:]}"
    return [Problem("", said, _HINTS.get(message, ""), name, line, column, code="E-SPEC-SYNTAX")]


def _other_format(text: str) -> str:
    """Return JSON or YAML when a text is that, else ""."""
    if text.lstrip().startswith(("{", "[")):
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return "JSON" if text.lstrip().startswith("{") else ""
        return "JSON"
    lines = [line for line in text.split("\n", 40)[:40] if line.strip() and not line.lstrip().startswith("#")]
    return "YAML" if lines and _YAML.match(lines[0]) else ""


def _duplicate(name: str, starts: list[int], found: locator.Duplicate) -> Problem:
    first, _ = position(starts, found.first)
    problem = Problem(render(found.path), f"set twice; first in line {first}", "keep one of the two", code="E-SPEC-DUP")
    return problem.at(name, *position(starts, found.again))
