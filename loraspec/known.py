"""What was learnt of images before: a file that has not changed is not opened again, and bytes that are known are not decoded again.

One SQLite file in the cache's folder, shared by all runs. A file is known by the hash of its path, and is the same while its size, inode
and times (of content and of inode, to the nanosecond) are: an edit moves the second, which no program can set back. What a file holds
is known by the sha256 of its bytes. Every row carries a seal of its own, and one that is broken is not there. Nobody needs any of it:
where the SQLite file cannot be used, images are read as if nothing were known.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from loraspec.cachefolder import KNOWN, CacheError, cache_limit, cache_root, own

LAYOUT = "1"  # of rows; raise it when what is kept means something else
RACY = 2_000_000_000  # ns: a file that changed so lately may change again without its times moving
LARGEST = 256 * 2**20  # bytes of the SQLite file; beyond, it begins anew
WAIT = 5.0  # seconds for another process that writes
TABLES = "create table if not exists known (key text primary key, value text not null, seal text not null) without rowid"


class Known:
    """Facts by key; see the module.

    Attributes:
        path: The SQLite file, None where nothing can be kept.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._new: dict[str, str] = {}

    # -- files ---------------------------------------------------------------------------------------------------------

    def sha256(self, file: Path) -> str | None:
        """Return the sha256 of a file's bytes without opening it; None when it is not known, or has changed."""
        row = self._get(_key_of(file))
        try:
            return str(row["sha256"]) if row is not None and row["stamp"] == _stamp(file.stat()) else None
        except OSError:
            return None

    def read(self, file: Path, read: Callable[[Path], bytes]) -> tuple[bytes, str]:
        """Read a file and keep what its bytes hash to, unless it changed just now; whatever ``read`` raises comes through."""
        before = file.stat()
        data = read(file)
        sha256 = hashlib.sha256(data).hexdigest()
        self.keep(file, before, sha256)
        return data, sha256

    def keep(self, file: Path, before: os.stat_result, sha256: str) -> None:
        """Keep what a file's bytes hash to, given its facts before it was read; not if it changed since, or just before."""
        after = file.stat()
        settled = time.time_ns() - max(after.st_mtime_ns, after.st_ctime_ns) > RACY
        if settled and _stamp(before) == _stamp(after):
            self._put(_key_of(file), {"stamp": _stamp(after), "sha256": sha256})

    def forget_files(self) -> None:
        """Forget which files are known: each is read and hashed again. What their bytes hold stays known."""
        with self._open() as base:
            base.execute("delete from known where key like 'file %'")

    # -- contents ------------------------------------------------------------------------------------------------------

    def of_bytes(self, sha256: str, what: str) -> Any:
        """Return what is known of bytes, None for nothing; ``what`` names it, with the version of the code that learnt it."""
        return self._get(_content_key(sha256, what))

    def learn(self, sha256: str, what: str, value: Any) -> None:
        """Keep what is known of bytes: anything that JSON holds but None."""
        self._put(_content_key(sha256, what), value)

    def save(self) -> None:
        """Write what was learnt, all or nothing."""
        if self._new:
            rows = [(key, text, _seal(key, text)) for key, text in self._new.items()]
            with self._open() as base:
                if self.path is not None and self.path.stat().st_size > LARGEST:
                    base.execute("delete from known")
                    base.commit()
                    base.execute("vacuum")
                base.executemany("insert or replace into known values (?, ?, ?)", rows)
            self._new.clear()

    # -- rows ----------------------------------------------------------------------------------------------------------

    def _put(self, key: str, value: Any) -> None:
        self._new[key] = json.dumps(value, sort_keys=True)

    def _get(self, key: str) -> Any:
        if key in self._new:
            return json.loads(self._new[key])
        found: list[tuple[str, str]] = []
        with self._open() as base:
            found = base.execute("select value, seal from known where key = ?", (key,)).fetchall()
        good = [text for text, seal in found if isinstance(text, str) and seal == _seal(key, text)]
        return json.loads(good[0]) if good else None

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Give the data base, committed afterwards; one that cannot be used is left alone, and one that is broken removed."""
        if self.path is not None and not self.path.exists():
            _connection.cache_clear()  # it was cleared, or was broken and removed: another is made
        base = None if self.path is None else _connection(self.path, os.getpid())
        if base is None:
            yield _NOTHING
            return
        try:
            with base:
                yield base
        except sqlite3.DatabaseError as error:
            if "malformed" in str(error) or "not a database" in str(error):
                _connection.cache_clear()
                base.close()
                assert self.path is not None
                self.path.unlink(missing_ok=True)


class _Nothing:
    """A data base that holds nothing and keeps nothing."""

    def execute(self, *_: Any) -> _Nothing:
        return self

    executemany = execute

    def fetchall(self) -> list[tuple[str, str]]:
        return []


_NOTHING: Any = _Nothing()


def known() -> Known:
    """Return what is known in the cache's folder; nothing where that keeps nothing, or cannot be used."""
    root = cache_root()
    try:
        if not cache_limit():
            return Known(None)
        own(root)
    except (CacheError, OSError):
        return Known(None)
    return Known(root / KNOWN)


@lru_cache(maxsize=16)
def with_pillow(what: str) -> str:
    """Return a name for something that Pillow's decoders decide."""
    try:
        return f"{what}, Pillow {version('pillow')}"
    except PackageNotFoundError:
        return what


@lru_cache(maxsize=4)
def _connection(path: Path, process: int) -> sqlite3.Connection | None:
    try:
        base = sqlite3.connect(path, timeout=WAIT, check_same_thread=False)
        base.execute(TABLES)
    except sqlite3.OperationalError:  # a folder that cannot be written
        return None
    except sqlite3.DatabaseError:
        path.unlink(missing_ok=True)
        return None
    return base


def _key_of(file: Path) -> str:
    return f"file {hashlib.sha256(os.fsencode(file.absolute())).hexdigest()}"


def _content_key(sha256: str, what: str) -> str:
    return f"bytes {sha256} {what}"


def _stamp(facts: os.stat_result) -> list[int]:
    return [facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino, facts.st_dev]


def _seal(key: str, text: str) -> str:
    return hashlib.sha256(f"{LAYOUT}\n{key}\n{text}".encode()).hexdigest()[:32]
