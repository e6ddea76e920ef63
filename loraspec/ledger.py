"""The ledger of captions: who wrote which caption of which image, and what a person said of it. Append-only, beside the data.

A line is a JSON object; ``previous`` is the sha256 of the line before it, so that lines that were changed or taken out are seen.
The last line about an image counts. Texts are compared as they are trained: on one line, in Unicode's composed form.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

from attrs import asdict, evolve, frozen

from loraspec.captions import flatten
from loraspec.errors import EnvironmentMissing
from loraspec.textfile import read_plain
from loraspec.values import Sample

LEDGER = "captions.jsonl"
LARGEST = 256 * 2**20  # bytes
PERSON = "person"
State = Literal["draft", "edited", "approved", "rejected", "found"]


@frozen
class Entry:
    """A line of the ledger.

    Attributes:
        image: sha256 of the image's bytes.
        key: Its name.
        text: The caption.
        state: ``draft``: a machine wrote it. ``edited``: a person changed it. ``approved``, ``rejected``: a person said so.
            ``found``: nobody said anything of it; this is how a decision is taken back.
        author: ``person``, or ``model:NAME``.
        over: What the source itself said then; None for nothing.
        settings: Digest of a captioner's settings, "" for a person.
        seconds: How long a captioner took.
        when: UTC, ``2026-01-31T12:00:00Z``.
    """

    image: str
    key: str
    text: str
    state: State
    author: str
    over: str | None = None
    settings: str = ""
    seconds: float = 0.0
    when: str = ""


def plain(text: str) -> str:
    """Return a caption as it is trained and compared."""
    return flatten(unicodedata.normalize("NFC", text))


class Ledger:
    """One ledger's file, read anew whenever it is asked for: several programs may write it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> tuple[Entry, ...]:
        """Return every entry, oldest first; a last line that was cut off is left out.

        Raises:
            EnvironmentMissing: The file cannot be read, or a line of it is no entry.
        """
        return tuple(entry for entry, _ in self._lines())

    def broken(self) -> list[int]:
        """Return the numbers of lines that do not follow the line before them: the file was edited, or two were merged.

        Raises:
            EnvironmentMissing: See ``entries``.
        """
        found, before = [], ""
        for number, (line, (_, previous)) in enumerate(zip(_whole(self._data()), self._lines(), strict=True), 1):
            if previous != before:
                found.append(number)
            before = _digest(line)
        return found

    def latest(self) -> dict[tuple[str, str], Entry]:
        """Return the last entry of each (image, key)."""
        return {(entry.image, entry.key): entry for entry in self.entries()}

    def append(self, entries: Iterable[Entry]) -> None:
        """Append entries, durably and in one piece; ``when`` is filled in.

        Raises:
            EnvironmentMissing: The disk refuses it, or the file is a link.
        """
        from loraspec.engine.disk import append, shorten
        from loraspec.engine.records import line_bytes

        try:
            with self._held():
                data = self._data()
                whole = data[: data.rfind(b"\n") + 1]
                if whole != data:  # a machine that stopped left half a line
                    shorten(self.path, len(whole))
                lines, before = [], _digest(_whole(whole)[-1]) if whole else ""
                for entry in entries:
                    row = {key: value for key, value in asdict(entry).items() if value not in ("", 0.0)}
                    line = line_bytes({**row, "text": entry.text, "when": entry.when or now(), "previous": before})
                    before = _digest(line[:-1])
                    lines.append(line)
                if lines:
                    append(self.path, b"".join(lines), durable=True)
        except OSError as error:
            raise self._unusable(f"cannot be written: {error.strerror or error}") from None

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Keep other writers out."""
        import fcntl

        if self.path.is_symlink():
            raise self._unusable("is a link; a ledger is a file of its own")
        from loraspec.engine.disk import open_kept

        handle = open_kept(self.path)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _lines(self) -> list[tuple[Entry, str]]:
        found = []
        for number, line in enumerate(_whole(self._data()), 1):
            try:
                found.append(_entry(json.loads(line)))
            except (ValueError, KeyError, TypeError, RecursionError):
                raise self._unusable(f"line {number} is no entry", "put back what stood there, or take the line out") from None
        return found

    def _data(self) -> bytes:
        try:
            return read_plain(self.path, LARGEST)
        except FileNotFoundError:
            return b""
        except (OSError, ValueError) as error:
            raise self._unusable(f"cannot be read: {error}") from None

    def _unusable(self, message: str, hint: str = "") -> EnvironmentMissing:
        return EnvironmentMissing(f"{self.path}: {message}", hint=hint).coded("E-CAP-LEDGER")


class Ledgers:
    """The ledgers of a plan's sources; each is read again when its file changed."""

    def __init__(self) -> None:
        self._latest: dict[Path, tuple[tuple[int, int], dict[tuple[str, str], Entry]]] = {}

    def of(self, path: Path) -> Mapping[tuple[str, str], Entry]:
        """Return the last entries of a ledger, {} when it is not there."""
        try:
            facts = path.stat()
        except OSError:
            return {}
        now = (facts.st_size, facts.st_mtime_ns)
        if path not in self._latest or self._latest[path][0] != now:
            self._latest[path] = (now, Ledger(path).latest())
        return self._latest[path][1]


def entry_of(latest: Mapping[tuple[str, str], Entry], image: str, key: str, *, keys: Collection[str]) -> Entry | None:
    """Return what the ledger says of an image; of one that was renamed, what it said under the name that is gone.

    Args:
        latest: See ``Ledger.latest``.
        image, key: The image.
        keys: Every name that the source has now.
    """
    found = latest.get((image, key))
    if found is None:
        renamed = [entry for (content, name), entry in latest.items() if content == image and name not in keys]
        found = renamed[-1] if renamed else None
    return found


def standing(entry: Entry | None, said: str | None, *, filed: bool) -> tuple[str | None, str]:
    """Return (caption, state) of an image.

    Args:
        entry: The last one about it.
        said: What its source says now: the text of its file, or of a table; None without.
        filed: Whether the caption has a file of its own; then the file is the caption, else the ledger is.

    State is that of the entry, ``edited`` where a person changed the source since, and "" where nothing is known.
    """
    if entry is None:
        return said, ""
    now = None if said is None else plain(said)
    state = "" if entry.state == "found" else entry.state
    if now == plain(entry.text):
        return said, state
    if not filed and now == (None if entry.over is None else plain(entry.over)):
        return entry.text or None, state
    return said, "" if said is None else "edited"


def ledger_path(home: Path | None, spec: Path) -> Path:
    """Return where a ledger lies: in the folder of its source, or beside the spec (``daumier.captions.jsonl``) for data without one."""
    return home / LEDGER if home is not None else spec.with_name(f"{spec.stem}.{LEDGER}")


def known(samples: Sequence[Sample], spec: Path, ledgers: Ledgers) -> list[Sample]:
    """Return a source's samples with caption and state as their ledger has them; without a ledger they are as they were.

    Raises:
        EnvironmentMissing: A ledger cannot be read.
    """
    keys, found = {sample.key for sample in samples}, []
    for sample in samples:
        latest = ledgers.of(ledger_path(sample.home, spec))
        if latest:
            entry = entry_of(latest, hashlib.sha256(sample.read()).hexdigest(), sample.key, keys=keys)
            caption, state = standing(entry, sample.caption, filed=sample.caption_path is not None)
            sample = evolve(sample, caption=caption, state=state)
        found.append(sample)
    return found


def now() -> str:
    """Return the time, as entries have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def counted(states: Sequence[str]) -> dict[str, int]:
    """Return how many captions are in each state, in the order in which a person thinks of them."""
    return {name: states.count(name) for name in ("approved", "edited", "draft", "rejected", "")}


def _whole(data: bytes) -> list[bytes]:
    return data[: data.rfind(b"\n") + 1].split(b"\n")[:-1]


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _entry(raw: Any) -> tuple[Entry, str]:
    """Read a line.

    Raises:
        ValueError, KeyError, TypeError: It is none.
    """
    if not isinstance(raw, dict):
        raise TypeError("no entry")
    texts = {name: raw.get(name, "") for name in ("image", "key", "text", "author", "settings", "when", "previous")}
    over, seconds = raw.get("over"), raw.get("seconds", 0.0)
    if raw["state"] not in get_args(State) or not all(isinstance(value, str) for value in texts.values()):
        raise ValueError("no entry")
    if not (over is None or isinstance(over, str)) or type(seconds) not in (int, float) or not raw["image"] or not raw["key"]:
        raise ValueError("no entry")
    previous = texts.pop("previous")
    return Entry(**texts, state=raw["state"], over=over, seconds=float(seconds)), previous
