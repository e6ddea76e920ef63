"""Where each key and value of a TOML text stands; tomllib knows the values but no positions."""

from __future__ import annotations

import re

from attrs import field, frozen

from loraspec.spec.paths import Parts

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"[ \t]*")
_SPACE = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_SCALAR = re.compile(r"[^,\]}#\n]*")
_STRING = {
    '"': re.compile(r'"(?:[^"\\\n]|\\.)*"'),
    "'": re.compile(r"'[^'\n]*'"),
    '"""': re.compile(r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})', re.DOTALL),
    "'''": re.compile(r"'''.*?'''(?:'{0,2})", re.DOTALL),
}


class LostError(Exception):
    """The text is not TOML; the locator stops where it is."""


@frozen
class Duplicate:
    """A key or table that is set a second time: its path, and the offsets of both keys."""

    path: Parts
    first: int
    again: int


@frozen(eq=False)
class Places:
    """Offsets in a text, by path.

    Attributes:
        keys, values: Where each key and each value begins, the first time it is written.
        duplicates: What is set twice.
        mentions: (path, begin, end) of every key in the order of the text; a table is mentioned in each header that leads to it.
    """

    keys: dict[Parts, int] = field(factory=dict)
    values: dict[Parts, int] = field(factory=dict)
    duplicates: list[Duplicate] = field(factory=list)
    mentions: list[tuple[Parts, int, int]] = field(factory=list)


def locate(text: str) -> tuple[Places, bool]:
    """Return the places in a text (line ends as ``\\n``), and whether the whole text could be read.

    A text that tomllib accepts is always read whole.
    """
    reader = _Reader(text)
    try:
        reader.document()
    except (LostError, IndexError, RecursionError):
        return reader.places, False
    return reader.places, True


class _Reader:
    """A reader of TOML's shape: it finds where things begin and end, and leaves their meaning to tomllib."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.places = Places()
        self._explicit: dict[Parts, int] = {}
        self._lengths: dict[Parts, int] = {}

    def document(self) -> None:
        table: Parts = ()
        self._skip(_SPACE)
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)
            if self.at < len(self.text) and self.text[self.at] not in "\n#":
                raise LostError
            self._skip(_SPACE)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise LostError
        self.at = found.end()
        return found.group()

    def _take(self, mark: str) -> None:
        if not self.text.startswith(mark, self.at):
            raise LostError
        self.at += len(mark)

    def _key(self) -> list[tuple[str, int, int]]:
        """Read a dotted key: its parts, and where each begins and ends."""
        parts = []
        while True:
            self._skip(_BLANK)
            start = self.at
            quote = self.text[start]
            word = _unquote(self._skip(_STRING[quote])) if quote in "\"'" else self._skip(_BARE_KEY)
            parts.append((word, start, self.at))
            self._skip(_BLANK)
            if self.text[self.at] != ".":
                return parts
            self.at += 1

    def _header(self) -> Parts:
        mark = "[[" if self.text.startswith("[[", self.at) else "["
        self._take(mark)
        parts = self._key()
        self._take("]" * len(mark))
        path, offset = self._lead((), parts)
        if mark == "[":
            self._set(path, offset, offset)
            return path
        if path not in self._lengths:
            self._set(path, offset, offset)
        number = self._lengths.get(path, 0)
        self._lengths[path] = number + 1
        self._set((*path, number), offset, offset)
        return (*path, number)

    def _lead(self, path: Parts, parts: list[tuple[str, int, int]]) -> tuple[Parts, int]:
        """Note the tables that a dotted key names on its way, in an array of tables its last one; return the path it leads to."""
        for number, (word, start, end) in enumerate(parts, 1):
            path = (*path, word)
            self.places.mentions.append((path, start, end))
            if number < len(parts):
                self.places.keys.setdefault(path, start)
                self.places.values.setdefault(path, start)
                path = (*path, self._lengths[path] - 1) if path in self._lengths else path
        return path, parts[-1][1]

    def _set(self, path: Parts, key: int, value: int) -> None:
        if path in self._explicit:
            self.places.duplicates.append(Duplicate(path, self._explicit[path], key))
            return
        self._explicit[path] = key
        self.places.keys.setdefault(path, key)
        self.places.values.setdefault(path, value)

    def _pair(self, table: Parts) -> None:
        path, offset = self._lead(table, self._key())
        self._take("=")
        self._skip(_BLANK)
        self._set(path, offset, self.at)
        self._value(path)

    def _value(self, path: Parts) -> None:
        start = self.text[self.at]
        if start == "[":
            self._list(path)
        elif start == "{":
            self._inline_table(path)
        elif start in "\"'":
            self._skip(_STRING[start * 3 if self.text.startswith(start * 3, self.at) else start])
        elif not self._skip(_SCALAR).strip():
            raise LostError

    def _list(self, path: Parts) -> None:
        self._take("[")
        self._skip(_SPACE)
        index = 0
        while self.text[self.at] != "]":
            inner: Parts = (*path, index)
            self._set(inner, self.at, self.at)
            self._value(inner)
            index += 1
            self._separator("]")
        self._take("]")

    def _inline_table(self, path: Parts) -> None:
        self._take("{")
        self._skip(_SPACE)
        while self.text[self.at] != "}":
            self._pair(path)
            self._separator("}")
        self._take("}")

    def _separator(self, end: str) -> None:
        self._skip(_SPACE)
        if self.text[self.at] == ",":
            self.at += 1
            self._skip(_SPACE)
        elif self.text[self.at] != end:
            raise LostError


def _unquote(word: str) -> str:
    """Read a quoted key as TOML does."""
    if word[0] == "'":
        return word[1:-1]
    import tomllib

    try:
        value = tomllib.loads(f"v = {word}")["v"]
    except ValueError as error:
        raise LostError from error
    return str(value)
