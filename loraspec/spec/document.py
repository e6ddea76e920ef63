"""The text of a spec: what it says, and where it says it."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from pathlib import Path
from typing import Any

from attrs import field, frozen

from loraspec.errors import Problem, SpecError
from loraspec.spec import locator
from loraspec.spec.paths import Parts, render, split

MAX_BYTES = 4 * 2**20
MAX_DEPTH = 40

_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@frozen(eq=False)
class SpecDocument:
    """A spec's text, read and not yet interpreted.

    Attributes:
        path: The file.
        name: The file as the user named it.
        text: Its text, line ends as ``\\n``.
        tables: What tomllib makes of it.
    """

    path: Path
    name: str
    text: str = field(repr=False)
    tables: dict[str, Any] = field(repr=False)
    _places: locator.Places = field(repr=False, alias="places", factory=locator.Places)
    _starts: list[int] = field(repr=False, init=False)

    @_starts.default
    def _line_starts(self) -> list[int]:
        return _line_starts(self.text)

    def has(self, path: str) -> bool:
        """Return whether the file sets ``path`` (a key or a table)."""
        return split(path) in self._places.keys

    def locate(self, path: str, key: bool = False) -> tuple[int, int]:
        """Return (line, column), from 1, of a path's value, or of its key.

        A path that the file does not hold gives the key of its nearest parent there, and (1, 1) without one.
        """
        parts = split(path)
        places = self._places.keys if key else self._places.values
        while parts and parts not in places:
            parts, places = parts[:-1], self._places.keys
        return _position(self._starts, places[parts]) if parts else (1, 1)


def read(path: Path | str) -> SpecDocument:
    """Read a spec.

    Raises:
        SpecError: The file is absent or no file, is not UTF-8, or is not TOML; with the position where there is one.
    """
    name, path = str(path), Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _wrong(name, "no such file", hint="`loraspec init NAME` writes a spec") from None
    except IsADirectoryError:
        raise _wrong(name, "is a folder; a spec is one TOML file") from None
    except (OSError, ValueError) as error:
        raise _wrong(name, f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > MAX_BYTES:
        raise _wrong(name, f"is larger than {MAX_BYTES // 2**20} MiB; a spec holds choices, not data")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        message = f"is not UTF-8: byte 0x{data[error.start]:02x}"
        raise SpecError([Problem("", message, "save the file as UTF-8", name, line, column)]) from None
    return parse(text, name=name, path=path)


def parse(text: str, *, name: str, path: Path) -> SpecDocument:
    """Read a spec's text.

    Raises:
        SpecError: It is not TOML, sets a key twice, or nests deeper than ``MAX_DEPTH``.
    """
    text = text.replace("\r\n", "\n")
    try:
        tables = tomllib.loads(text)
    except RecursionError:
        raise _wrong(name, f"nests deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:
        raise SpecError(_syntax(text, name, str(error))) from None
    deep = too_deep(tables)
    places, _ = locator.locate(text)
    document = SpecDocument(path, name, text, tables, places=places)
    if deep:
        raise SpecError([Problem(deep, f"nests deeper than {MAX_DEPTH} levels").at(name, *document.locate(deep, key=True))])
    return document


def _wrong(name: str, message: str, hint: str = "") -> SpecError:
    return SpecError([Problem("", message, hint, name)])


def _line_starts(text: str) -> list[int]:
    return [0, *(found.end() for found in re.finditer("\n", text))]


def _position(starts: list[int], offset: int) -> tuple[int, int]:
    line = bisect_right(starts, offset)
    return line, offset - starts[line - 1] + 1


def _syntax(text: str, name: str, message: str) -> list[Problem]:
    """Say what tomllib stumbled on; a key set twice is named with both places."""
    at = _AT.search(message)
    starts = _line_starts(text)
    line, column = _position(starts, len(text.rstrip()))
    if at is not None:
        message = message[: at.start()]
        if at.group(1):
            line, column = int(at.group(1)), int(at.group(2))
    places, whole = locator.locate(text)
    twice = [found for found in places.duplicates if whole or _position(starts, found.again)[0] <= line]
    if twice and not message.startswith(("Expected", "Invalid", "Unescaped", "Unterminated", "Unclosed", "Found", "Illegal")):
        return [_duplicate(name, starts, found) for found in twice]
    return [Problem("", f"not TOML: {message[:1].lower()}{message[1:]}", _SYNTAX_HINTS.get(message, ""), name, line, column)]


_SYNTAX_HINTS = {
    "Invalid value": 'text goes in quotes ("bf16"), numbers start with a digit, and truth is written true or false',
    "Expected '=' after a key in a key/value pair": "write key = value; a key holds letters, digits, _ and -",
    "Invalid initial character for a key part": "a line starts with a key, [table] or #",
}


def _duplicate(name: str, starts: list[int], found: locator.Duplicate) -> Problem:
    first, _ = _position(starts, found.first)
    return Problem(render(found.path), f"set twice; first in line {first}", "keep one of the two").at(name, *_position(starts, found.again))


def too_deep(tables: dict[str, Any]) -> str:
    """Return the path where nesting passes ``MAX_DEPTH``, or ""; walks without recursion."""
    waiting: list[tuple[Parts, Any]] = [((), tables)]
    while waiting:
        parts, value = waiting.pop()
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        if inner and len(parts) >= MAX_DEPTH:
            return render(parts)
        waiting.extend(((*parts, key), item) for key, item in inner)
    return ""
