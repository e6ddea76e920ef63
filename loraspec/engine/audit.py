"""Every file that a run committed, held against what it said when it committed it. Nothing is mended: that is what resuming does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from loraspec.engine import checkpoint, journal
from loraspec.engine.folder import RunFolder
from loraspec.engine.store import read_json, read_lines
from loraspec.errors import LoraspecError
from loraspec.locking.outcome import damaged


@frozen
class Part:
    """One part of a run's folder: its name, how it was found, and a line for each thing that is wrong."""

    name: str
    words: str
    wrong: tuple[str, ...] = ()


def audit(folder: Path) -> Iterator[Part]:
    """Yield the parts of a run's folder: epoch files, checkpoints, manifest, journal.

    Raises:
        RunError: The lock cannot be read.
    """
    yield _epochs(folder)
    yield _states(folder)
    yield _manifest(folder)
    found = journal.read(folder / journal.JOURNAL)
    wrong = (f"{folder / journal.JOURNAL}: {found.damaged}",) if found.damaged else ()
    yield Part("journal", f"{len(found.lines)} lines are whole" + (", the last was cut off" if found.half else ""), wrong)


def _epochs(folder: Path) -> Part:
    try:
        count = sum(len(entry["files"]) for entry in RunFolder(folder).index)  # the seal of the index is looked at here
        wrong = tuple(damaged(folder)) if count else ()
    except LoraspecError as error:
        return Part("epoch files", "the index is damaged", (str(error),))
    return Part("epoch files", f"{count - len(wrong)} of {count} are whole", wrong)


def _states(folder: Path) -> Part:
    found, wrong = checkpoint.folders(folder / "state"), []
    for path in found:
        try:
            checkpoint.check(path)
        except LoraspecError as error:
            wrong.append(str(error))
    return Part("checkpoints", f"{len(found) - len(wrong)} of {len(found)} are whole", tuple(wrong))


def _manifest(folder: Path) -> Part:
    """The manifest's images are those of the lock."""
    path = folder / "manifest.jsonl"
    rows = {str(row["key"]): row["sha256"] for row in read_lines(path)}
    locked = {key: row["sha256"] for key, row in read_json(folder / "lock.json")["data"]["images"].items()}
    wrong = tuple(f"{path}: {key} is not as locked" for key in sorted(rows.keys() | locked.keys()) if rows.get(key) != locked.get(key))
    return Part("manifest", f"{len(locked) - len(wrong)} of {len(locked)} images are as locked", wrong)
