"""The run's folder: who holds it, what is in it, in which state it is."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loraspec.engine.store import append_line, file_sha256, read_json, write_bytes, write_json
from loraspec.errors import Problem, RunError, SpecError
from loraspec.lock import lock_bytes

SPEC, RESOLVED, LOCK, RUN = "spec.toml", "resolved.toml", "lock.json", "run.json"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder for this process with a kernel lock, which a killed process gives back by itself.

    Raises:
        RunError: Another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / ".held", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
            raise RunError(f"{folder}: another process (pid {holder}) is carrying this run out") from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)


@contextmanager
def disk_told(folder: Path) -> Iterator[None]:
    """Say what the disk refused, and where.

    Raises:
        RunError: Instead of an ``OSError``.
    """
    try:
        yield
    except OSError as error:
        said = error.strerror or (str(error).strip().splitlines() or [type(error).__name__])[0]
        place = error.filename or folder
        raise RunError(f"{place}: {said}\n    hint: mend it and start the run again: what it has saved is kept") from error


class RunFolder:
    """Reads and writes the small files of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events = path / "events.jsonl"
        self.index_path = path / "epochs" / "index.json"

    @property
    def facts(self) -> dict[str, Any]:
        """``run.json``, or {} before the first start."""
        return dict(read_json(self.path / RUN)) if (self.path / RUN).is_file() else {}

    def note(self, **changes: Any) -> None:
        """Change fields of ``run.json``."""
        write_json(self.path / RUN, {**self.facts, **changes})

    def record(self, kind: str, **fields: Any) -> None:
        """Append a line to ``events.jsonl``."""
        append_line(self.events, {"kind": kind, **fields})

    @property
    def index(self) -> list[dict[str, Any]]:
        """Committed epochs, oldest first; files that are gone or were changed are an error when they are used."""
        return list(read_json(self.index_path)["epochs"]) if self.index_path.is_file() else []

    def commit_index(self, entry: dict[str, Any]) -> None:
        """Add or replace an epoch's entry."""
        others = [known for known in self.index if known["epoch"] != entry["epoch"]]
        write_json(self.index_path, {"epochs": sorted([*others, entry], key=lambda known: int(known["epoch"]))})

    def epoch_file(self, epoch: int) -> Path:
        """Return the first file of a committed epoch, verified.

        Raises:
            RunError: The epoch is not committed, or its file is not what was committed.
        """
        for entry in self.index:
            if entry["epoch"] == epoch:
                first = entry["files"][0]
                path = self.path / "epochs" / str(first["path"])
                if not path.is_file() or file_sha256(path) != first["sha256"]:
                    raise RunError(f"{path}: differs from what epoch {epoch} committed")
                return path
        raise RunError(f"{self.path}: epoch {epoch} is not committed; there are {[e['epoch'] for e in self.index]}")

    def write_lock(self, lock: dict[str, Any]) -> None:
        """Write ``lock.json``."""
        write_bytes(self.path / LOCK, lock_bytes(lock))

    def begin(self, *, spec_text: str, resolved: str, lock: dict[str, Any], facts: dict[str, Any]) -> None:
        """Write what a fresh run starts from.

        Raises:
            SpecError: The folder holds files of somebody else: a run replaces and removes what is in its way.
        """
        own = (SPEC, RESOLVED, LOCK)  # a start that was cut off
        others = sorted(path.name for path in self.path.iterdir() if path.name not in own and not path.name.startswith("."))
        if others:
            named = ", ".join(others[:5]) + (" ..." if len(others) > 5 else "")
            raise SpecError([Problem("run.output", f"{self.path} is not empty ({named}): a run needs a folder of its own")])
        write_bytes(self.path / SPEC, spec_text.encode())
        write_bytes(self.path / RESOLVED, resolved.encode())
        self.write_lock(lock)
        self.note(**facts)


class Interrupts:
    """Turns SIGINT, SIGTERM and SIGUSR1 into a request that every phase looks at between two items."""

    def __init__(self) -> None:
        self.reason = ""
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        import signal
        import threading

        if threading.current_thread() is threading.main_thread():
            for name in ("SIGINT", "SIGTERM", "SIGUSR1"):
                number = getattr(signal, name, None)
                if number is not None:
                    self._before[number] = signal.signal(number, self._caught)
        return self

    def __exit__(self, *_: object) -> None:
        import signal

        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _caught(self, number: int, _: object) -> None:
        import signal

        if self.reason and number == signal.SIGINT:  # a second Ctrl-C: leave now, the last checkpoint is whole
            raise KeyboardInterrupt
        self.reason = signal.Signals(number).name
