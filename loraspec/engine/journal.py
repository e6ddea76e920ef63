"""``journal.jsonl``: what was announced, in order. Lines are chained by hash, so that none can change or vanish unseen."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from attrs import field, frozen

from loraspec.engine import forms
from loraspec.engine.disk import append, shorten
from loraspec.engine.records import SEAL, line_bytes

JOURNAL = "journal.jsonl"
SEAL_LENGTH = 16
LARGEST_LINE = 2**20


@frozen
class Record:
    """A journal as it was found.

    Attributes:
        lines: The lines that are as they were written, up to the first that is not.
        size: Bytes that these lines take.
        half: The last line was cut off; nothing but it is lost, and it was never announced.
        damaged: Why the line after the last good one is not as it was written, or "".
    """

    lines: tuple[dict[str, Any], ...] = ()
    size: int = 0
    half: bool = False
    damaged: str = ""
    seals: tuple[str, ...] = field(default=(), repr=False)


class Journal:
    """Appends to a run's journal; every line is on the disk before the call returns."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / JOURNAL
        self._last, self._size = "", 0

    def write(self, kind: str, **fields: Any) -> None:
        """Append a line."""
        line = {"kind": kind, **fields}
        text = line_bytes({**line, SEAL: _seal(self.last_seal, line)})
        append(self.path, text, durable=True)
        self._last, self._size = str(json.loads(text)[SEAL]), self._size + len(text)

    @property
    def last_seal(self) -> str:
        """The seal that the next line goes on from; read again when somebody else wrote."""
        if self._size != (self.path.stat().st_size if self.path.exists() else 0):
            found = read(self.path)
            self._last, self._size = (found.seals or ("",))[-1], found.size
        return self._last

    def mend(self) -> Record:
        """Cut a half last line off, and return what the journal says."""
        found = read(self.path)
        if found.half:
            shorten(self.path, found.size)
        return found


def read(path: Path) -> Record:
    """Read a journal; what was never written is an empty one."""
    if not path.is_file():
        return Record()
    lines: list[dict[str, Any]] = []
    seals: list[str] = []
    size = 0
    with path.open("rb") as file:
        while text := file.readline(LARGEST_LINE):
            if not text.endswith(b"\n") and len(text) < LARGEST_LINE:
                return Record(tuple(lines), size, half=True, seals=tuple(seals))
            line = _line(text)
            seal = line.pop(SEAL, None)
            if not line or seal != _seal(seals[-1] if seals else "", line) or line_bytes({**line, SEAL: seal}) != text:
                return Record(tuple(lines), size, damaged=f"line {len(lines) + 1} is not what was written", seals=tuple(seals))
            lines.append(line)
            seals.append(str(seal))
            size += len(text)
    return Record(tuple(lines), size, seals=tuple(seals))


def _line(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
        line_bytes(value)
    except (ValueError, RecursionError):  # no JSON, half a character, or nesting without end
        return {}
    return value if forms.journal_line(value) else {}


def _seal(before: str, line: dict[str, Any]) -> str:
    return hashlib.sha256(before.encode() + line_bytes(line)).hexdigest()[:SEAL_LENGTH]
