"""Stands in for ``os`` inside ``loraspec.engine.disk``: counts operations, lets one of them fail, and keeps a log of all."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
from pathlib import Path

COUNTED = ("open", "write", "fsync", "replace", "mkdir", "unlink", "rmdir", "ftruncate")
FULL = {"open", "write", "mkdir", "replace"}  # what a full disk refuses


class Faulty:
    """``os`` with a fault.

    Attributes:
        kind: ``kill``, ``enospc``, ``eio``, ``short`` or "" (only count).
        at: Number of the operation, from 1, at which it happens; a disk stays full from then on.
        log: Where operations are written for the simulation of power loss, or None.
        skip_sync: ``file`` or ``folder``: a mutant that leaves these fsyncs out, or "".
    """

    def __init__(self, kind: str = "", at: int = 0, *, log: Path | None = None, skip_sync: str = "") -> None:
        self.kind, self.at, self.skip_sync = kind, at, skip_sync
        self.count = 0
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) if log else None

    def __getattr__(self, name):
        original = getattr(os, name)
        if name not in (*COUNTED, "close"):
            return original

        def operation(*args, **keys):
            if name == "open" and not args[1] & (os.O_WRONLY | os.O_RDWR):  # opened only to be synced
                made = original(*args, **keys)
                self._note("open", args, made)
                return made
            if name == "close":
                self._note("close", args, None)
                return original(*args)
            if name == "fsync" and self.skip_sync == ("folder" if stat.S_ISDIR(os.fstat(args[0]).st_mode) else "file"):
                return None
            self.count += 1
            args = self._fault(name, args)
            made = original(*args, **keys)
            self._note(name, args, made)
            return made

        return operation

    def _fault(self, name, args):
        here = self.count == self.at
        if self.kind == "short" and name == "write" and self.count % 2:
            return (args[0], args[1][: max(1, len(args[1]) // 3)])
        if self.kind == "kill" and here:
            if name == "write":
                os.write(args[0], args[1][: len(args[1]) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        if self.kind == "enospc" and self.at <= self.count and name in FULL and not (name == "replace" and self.count != self.at):
            if name == "write" and here and len(args[1]) > 1:
                return (args[0], args[1][: len(args[1]) // 2])  # what still fits
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.kind == "eio" and here:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if self.kind == "nosync" and name == "fsync" and stat.S_ISDIR(os.fstat(args[0]).st_mode):
            raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
        return args

    def _note(self, name, args, made) -> None:
        if self.log is None:
            return
        plain = [bytes(arg).hex() if isinstance(arg, (bytes, memoryview)) else arg if isinstance(arg, int) else str(arg) for arg in args]
        os.write(self.log, (json.dumps([self.count, name, plain, made]) + "\n").encode())
