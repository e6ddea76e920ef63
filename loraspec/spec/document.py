"""The text of a spec: what it says, and where it says it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen

from loraspec import textfile
from loraspec.errors import Problem, SpecError
from loraspec.spec import locator, secrets, syntax
from loraspec.spec.paths import Parts, render, split

MAX_BYTES = 2**20
MAX_DEPTH = 32
MAX_VALUES = 20_000


@frozen(eq=False)
class SpecDocument:
    """A spec's text, read and not yet interpreted.

    Attributes:
        path: The file.
        name: The file as the user named it.
        text: Its text, line ends as ``\\n``.
        tables: What tomllib makes of it.
        warnings: What is odd about the file itself.
    """

    path: Path
    name: str
    text: str = field(repr=False)
    tables: dict[str, Any] = field(repr=False)
    _places: locator.Places = field(repr=False, alias="places", factory=locator.Places)
    warnings: tuple[Problem, ...] = ()
    _starts: list[int] = field(repr=False, init=False)

    @_starts.default
    def _line_starts(self) -> list[int]:
        return syntax.line_starts(self.text)

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
        return syntax.position(self._starts, places[parts]) if parts else (1, 1)


def read(path: Path | str) -> SpecDocument:
    """Read a spec.

    Raises:
        SpecError: The file is absent or no file, is not UTF-8, or is not TOML; with the position where there is one.
    """
    name, path = str(path), Path(path)
    try:
        data = textfile.read_plain(path, MAX_BYTES)
    except FileNotFoundError:
        raise _wrong(name, "E-SPEC-READ", "no such file", hint="`loraspec init NAME` writes a spec") from None
    except textfile.NoPlainFileError as error:
        raise _wrong(name, "E-SPEC-READ", f"is {error}; a spec is one TOML file") from None
    except textfile.TooLargeError as error:
        raise _wrong(name, "E-SPEC-SIZE", f"{error}; a spec holds choices, not data") from None
    except (OSError, ValueError) as error:
        raise _wrong(name, "E-SPEC-READ", f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        text, mark = textfile.decode(data)
    except textfile.NotTextError as error:
        place = Problem("", error.message, "save the file as UTF-8", code="E-SPEC-ENCODING").at(name, error.line, error.column)
        raise SpecError([place]) from None
    document = parse(text, name=name, path=path)
    if not mark:
        return document
    said = Problem("", "starts with a byte order mark, which is passed over", "save it as UTF-8 without one", severity="warning",
                   code="W-SPEC-BOM")
    return evolve(document, warnings=(said.at(name, 1, 1),), places=document._places)


def parse(text: str, *, name: str, path: Path) -> SpecDocument:
    """Read a spec's text.

    Raises:
        SpecError: It is not TOML, sets a key twice, nests deeper than ``MAX_DEPTH``, or holds too many keys or a secret.
    """
    text = text.replace("\r\n", "\n")
    line = syntax.long_key(text)  # tomllib takes time that grows with the square of a key's length
    if line:
        raise SpecError([_deep("").at(name, line, 1)])
    try:
        tables = tomllib.loads(text)
    except RecursionError:
        raise _wrong(name, "E-SPEC-DEPTH", f"nests deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:
        raise SpecError(syntax.problems(text, name, str(error))) from None
    keys, values = count(tables)
    if keys > syntax.MOST_KEYS:
        raise SpecError([syntax.too_many(keys).at(name, 0, 0)])
    if values > MAX_VALUES:
        raise _wrong(name, "E-SPEC-SIZE", f"has {values:,} values in lists; {MAX_VALUES:,} are the most")
    deep = too_deep(tables)
    places, _ = locator.locate(text)
    document = SpecDocument(path, name, text, tables, places=places)
    if deep:
        raise SpecError([_deep(deep).at(name, *document.locate(deep, key=True))])
    secret = [problem.at(name, *document.locate(problem.path, key=True)) for problem in secrets.found(tables)]
    if secret:
        raise SpecError(secret)
    return document


def _wrong(name: str, code: str, message: str, hint: str = "") -> SpecError:
    return SpecError([Problem("", message, hint, name, code=code)])


def _deep(path: str) -> Problem:
    return Problem(path, f"nests deeper than {MAX_DEPTH} levels", code="E-SPEC-DEPTH")


def count(tables: dict[str, Any]) -> tuple[int, int]:
    """Return how many keys and how many list items there are at any depth; walks without recursion."""
    keys = items = 0
    waiting: list[Any] = [tables]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            keys += len(value)
            waiting.extend(value.values())
        elif isinstance(value, list):
            items += len(value)
            waiting.extend(value)
    return keys, items


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
