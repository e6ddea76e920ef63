"""What a disk may hold after the power went: a model of files and folders in which only what was synced is sure.

Files are followed through renames of their folders: names point to numbers, content belongs to numbers.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from loraspec.randomness import generator

STATES = ("undone", "truncated", "zeroed", "mixed", "mixed too", "kept")  # of names and bytes that were not synced


class Disk:
    """Replays a log of operations below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data: dict[int, bytearray] = {}  # files; a folder has none
        self.sure: dict[int, bytes] = {}
        self.folders: set[int] = {0}
        self.names: dict[tuple[int, str], int] = {}  # as the process sees them
        self.sure_names: dict[tuple[int, str], int] = {}
        self.pending: list[tuple] = []  # changes of names that no folder sync has made sure
        self.open: dict[int, tuple[int, bool]] = {}
        self.next = 1
        self.announced: list[dict] = []
        self._unannounced: dict[int, list[dict]] = {}

    def place(self, path: str) -> tuple[int, str] | None:
        """Return (number of the folder, name), or None outside the root."""
        where = Path(path)
        if where == self.root:
            return (-1, "")
        if not where.is_relative_to(self.root):
            return None
        folder = 0
        *above, name = where.relative_to(self.root).parts
        for part in above:
            folder = self.names[folder, part]
        return folder, name

    def play(self, name: str, args: list, made) -> None:
        """Carry out one operation of the log."""
        getattr(self, f"_{name}", lambda *_: None)(args, made)

    def _change(self, *change) -> None:
        self.pending.append(change)
        _apply(self.names, change)

    def _open(self, args, made) -> None:
        place = self.place(args[0])
        if place is None:
            self.open.pop(made, None)
            return
        number = 0 if place == (-1, "") else self.names.get(place)
        if number is None:
            number, self.next = self.next, self.next + 1
            self.data[number], self.sure[number] = bytearray(), b""
            self._change("put", place, number)
        if args[1] & os.O_TRUNC:
            self.data[number] = bytearray()
        self.open[made] = (number, Path(args[0]).name == "journal.jsonl")

    def _write(self, args, made) -> None:
        if args[0] not in self.open:
            return
        number, journal = self.open[args[0]]
        data = bytes.fromhex(args[1])[:made]
        self.data[number] += data
        if journal:
            lines = [json.loads(line) for line in data.splitlines()]
            self._unannounced.setdefault(number, []).extend(line for line in lines if line["kind"] in ("epoch", "quarantined"))

    def _ftruncate(self, args, made) -> None:
        if args[0] in self.open:
            del self.data[self.open[args[0]][0]][args[1]:]

    def _fsync(self, args, made) -> None:
        if args[0] not in self.open:
            return
        number, _ = self.open[args[0]]
        if number in self.folders:
            sure, places = [], set()
            for change in reversed(self.pending):  # what a change needs comes with it: a renamed file has been made
                own = {place for place in change[1:] if isinstance(place, tuple)}
                if places & own or any(folder == number for folder, _ in own):
                    sure.insert(0, change)
                    places |= own
            self.pending = [change for change in self.pending if change not in sure]
            for change in sure:
                _apply(self.sure_names, change)
        else:
            self.sure[number] = bytes(self.data[number])

    def _close(self, args, made) -> None:
        """An announcement is out when the call that wrote it returns, synced or not."""
        if args[0] in self.open:
            self.announced += self._unannounced.pop(self.open.pop(args[0])[0], [])

    def _replace(self, args, made) -> None:
        source, target = self.place(args[0]), self.place(args[1])
        if source and target:
            self._change("move", source, target)

    def _mkdir(self, args, made) -> None:
        place = self.place(args[0])
        if place and place != (-1, ""):
            number, self.next = self.next, self.next + 1
            self.folders.add(number)
            self._change("put", place, number)

    def _unlink(self, args, made) -> None:
        place = self.place(args[0])
        if place:
            self._change("drop", place)

    _rmdir = _unlink

    # -- after the power went ------------------------------------------------------------------------------------------

    def after(self, state: str, draw: int) -> dict[str, bytes | None]:
        """Return one possible content: path -> bytes, None for a folder."""
        rng = generator(0, "power", state, draw)
        names = dict(self.sure_names)
        for change in self.pending:
            if state in ("truncated", "zeroed", "kept") or (state.startswith("mixed") and rng.random() < 0.5):
                _apply(names, change)
        found: dict[str, bytes | None] = {}

        def walk(folder: int, path: str) -> None:
            for (above, name), number in sorted(names.items()):
                if above == folder:
                    inner = f"{path}{name}"
                    found[inner] = None if number in self.folders else self._content(number, state, rng)
                    if number in self.folders:
                        walk(number, inner + "/")

        walk(0, "")
        return found

    def _content(self, number: int, state: str, rng) -> bytes:
        now, sure = bytes(self.data[number]), self.sure[number]
        if now == sure or state == "kept":
            return now
        how = state if not state.startswith("mixed") else ("truncated", "zeroed", "kept")[int(rng.integers(3))]
        if how == "zeroed":
            return sure + bytes(max(0, len(now) - len(sure)))
        return now if how == "kept" else sure


def _apply(names: dict, change: tuple) -> None:
    kind, place, *rest = change
    if kind == "put":
        names[place] = rest[0]
    elif kind == "drop":
        names.pop(place, None)
    elif place in names:  # a move whose source never came to be is nothing
        names[rest[0]] = names.pop(place)


def digest(content: dict[str, bytes | None]) -> str:
    """Return what tells two contents apart."""
    parts = [f"{path}\0{'/' if data is None else hashlib.sha256(data).hexdigest()}\n" for path, data in sorted(content.items())]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def lay_out(content: dict[str, bytes | None], folder: Path) -> None:
    """Make a folder with this content."""
    folder.mkdir()
    for path, data in content.items():
        if data is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(data)
