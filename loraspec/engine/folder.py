"""The run's folder: who holds it, what is in it, in which state it is."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loraspec.digests import file_sha256
from loraspec.engine import disk, forms
from loraspec.engine.journal import JOURNAL, Journal, read
from loraspec.engine.records import append_line, read_json, read_sealed, sealed, write_json
from loraspec.errors import Problem, RunError, SpecError
from loraspec.forecast import free_bytes
from loraspec.lock import lock_bytes

SPEC, RESOLVED, LOCK, RUN, HELD = "spec.toml", "resolved.toml", "lock.json", "run.json", ".held"
LAYOUT = 1
STARTED = ("spec", "profiles", "sets", "spec_hash", "data_sha256", "name", "layout", "headers")  # what the journal says of a start


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder for this process with a kernel lock, which a killed process gives back by itself.

    Raises:
        RunError: Another process holds it.
    """
    disk.make_folders(folder)
    handle = disk.open_kept(folder / HELD)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(handle, 200, 0).decode(errors="replace").strip()
            who = holder if holder.isprintable() and holder else "pid unknown"
            hint = "wait for it, or stop it: kill -TERM and its pid"
            raise RunError(
                f"{folder}: another process ({who}) is carrying this run out; it holds {folder / HELD}\n    hint: {hint}"
            ).coded("E-RUN-LOCKED") from error
        started = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        disk.overwrite(handle, f"pid {os.getpid()} on {platform.node()} since {started}".encode())
        try:
            yield
        finally:
            disk.overwrite(handle, b"")  # host and time are for those who wait, not for those who get the folder
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
        if error.errno == errno.ENOSPC:
            said += f" ({free_bytes(folder) // 2**20} MiB are free there)"
        place = error.filename or folder
        hint = "mend it and start the run again: what it has saved is kept"
        raise RunError(f"{place}: {said}\n    hint: {hint}").coded("E-RUN-DISK") from error


class RunFolder:
    """Reads and writes the small files of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events = path / "events.jsonl"
        self.index_path = path / "epochs" / "index.json"
        self.journal = Journal(path)

    # -- run.json ------------------------------------------------------------------------------------------------------

    @property
    def facts(self) -> dict[str, Any]:
        """``run.json``, or {} before the first start; when it is damaged or gone, what the journal says of the start.

        Raises:
            RunError: It was written by a newer loraspec, or it is damaged and there is no journal to mend it from.
        """
        path = self.path / RUN
        try:
            facts = self.saved_facts()
        except RunError:
            facts = self.told_facts()
            if not facts:
                raise
        if not path.is_file():
            facts = self.told_facts()
        if int(facts.get("layout", 0)) > LAYOUT:
            what = f"{self.path}: was written by a newer loraspec (layout {facts['layout']}, this one knows {LAYOUT})"
            raise RunError(f"{what}\n    hint: pip install --upgrade loraspec").coded("E-RUN-VERSION")
        return facts

    def saved_facts(self) -> dict[str, Any]:
        """``run.json`` as it is; {} when it is absent.

        Raises:
            RunError: It is not what was written.
        """
        path = self.path / RUN
        if not path.is_file():
            return {}
        try:
            value = read_json(path)
            if isinstance(value, dict) and not {"layout", "seal"} & value.keys():  # before there were seals
                return forms.facts(path, value)
            return forms.facts(path, read_sealed(path))
        except RunError as error:
            raise error.coded("E-RUN-LAYOUT") from error

    def told_facts(self) -> dict[str, Any]:
        """What the journal says of the start and of changes since, or {}."""
        lines = read(self.path / JOURNAL).lines
        told = {name: line[name] for line in lines if line["kind"] in ("started", "changed") for name in STARTED if name in line}
        return {**told, "state": "unknown"} if told else {}

    def note(self, **changes: Any) -> None:
        """Change fields of ``run.json``."""
        write_json(self.path / RUN, sealed({**self.facts, **changes}))

    # -- events, index, epoch files ------------------------------------------------------------------------------------

    def record(self, kind: str, **fields: Any) -> None:
        """Append a line to ``events.jsonl``, which may lose its end when the machine stops: what must last is in the journal."""
        append_line(self.events, {"kind": kind, **fields}, durable=False)

    @property
    def index(self) -> list[dict[str, Any]]:
        """Committed epochs, oldest first; files that are gone or were changed are an error when they are used.

        Raises:
            RunError: The index is not what was written.
        """
        if not self.index_path.is_file():
            return []
        value = read_json(self.index_path)
        if not isinstance(value, dict) or set(value) != {"epochs"}:
            value = read_sealed(self.index_path)
        return forms.epochs(self.index_path, value)

    def commit_index(self, entry: dict[str, Any]) -> None:
        """Add or replace an epoch's entry."""
        self.write_index([*(known for known in self.index if known["epoch"] != entry["epoch"]), entry])

    def write_index(self, entries: list[dict[str, Any]]) -> None:
        """Replace the index."""
        write_json(self.index_path, sealed({"layout": LAYOUT, "epochs": sorted(entries, key=lambda known: int(known["epoch"]))}))

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
                    raise RunError(f"{path}: differs from what epoch {epoch} committed").coded("E-RUN-DAMAGED")
                return path
        raise RunError(f"{self.path}: epoch {epoch} is not committed; there are {[e['epoch'] for e in self.index]}")

    def header(self, epoch: int) -> dict[str, str]:
        """What an epoch's weight file says of the spec: that of the start, from a raised ``train.epochs`` on that of the raise."""
        said = [fields for fields in self.facts.get("headers", []) if fields["from"] <= epoch]
        return {key: str(value) for key, value in said[-1].items() if key != "from"} if said else {}

    # -- the start -----------------------------------------------------------------------------------------------------

    def write_lock(self, lock: dict[str, Any]) -> None:
        """Write ``lock.json``; ``run.json`` knows its digest first, and the old one until then."""
        self._put(LOCK, lock_bytes(lock))

    def write_spec(self, *, spec_text: str, resolved: str) -> None:
        """Write ``spec.toml`` and ``resolved.toml``."""
        self._put(SPEC, spec_text.encode())
        self._put(RESOLVED, resolved.encode())

    def _put(self, name: str, data: bytes) -> None:
        if facts := self.facts:
            known = facts.get("files", {})
            old = [file_sha256(self.path / name)] if (self.path / name).is_file() else []
            new = hashlib.sha256(data).hexdigest()
            if not {*old, new} <= set(known.get(name, [])):
                self.note(files={**known, name: sorted({*old, new})})
            if old == [new]:
                return
        disk.write_file(self.path / name, data)

    def refuse_strangers(self, spec_text: str) -> None:
        """Refuse a folder that holds something and is no run; a start of this spec that was cut off is none either.

        Raises:
            SpecError: A run replaces and removes what is in its way.
        """
        if not self.path.is_dir() or (self.path / RUN).exists() or (self.path / JOURNAL).exists():
            return
        there = sorted(path.name for path in self.path.iterdir() if not path.name.startswith("."))
        others = [name for name in there if name not in (SPEC, RESOLVED, LOCK)]
        if not others and there and not ((self.path / SPEC).is_file() and (self.path / SPEC).read_bytes() == spec_text.encode()):
            others = there
        if others:
            named = ", ".join(others[:5]) + (" ..." if len(others) > 5 else "")
            message = f"{self.path} is not empty ({named}): a run needs a folder of its own"
            raise SpecError([Problem("run.output", message, code="E-RUN-FOREIGN")])

    def begin(self, *, spec_text: str, resolved: str, lock: dict[str, Any], facts: dict[str, Any]) -> None:
        """Write what a fresh run starts from.

        Raises:
            SpecError: The folder holds files of somebody else.
        """
        self.refuse_strangers(spec_text)
        texts = {SPEC: spec_text.encode(), RESOLVED: resolved.encode(), LOCK: lock_bytes(lock)}
        files = {name: [disk.write_file(self.path / name, data)] for name, data in texts.items()}
        write_json(self.path / RUN, sealed({**facts, "layout": LAYOUT, "files": files}))
