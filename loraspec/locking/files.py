"""Lock files: where they lie, how they are read, and everything that can be wrong with one."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from loraspec.errors import LockError
from loraspec.lock import FORMAT, REVISION, lock_bytes, self_digest

LARGEST = 256 * 2**20  # bytes
DEEPEST = 40
_CONFLICT = ("<<<<<<<", "=======", ">>>>>>>")
_TABLES = ("spec", "stages", "data", "model", "adapter", "plan", "environment")


def lock_path(spec: Path, profiles: Sequence[str] = ()) -> Path:
    """Return where the lock of a spec lies: beside it, the profiles in its name (``daumier.embedded.lock``)."""
    return spec.with_name(".".join([spec.stem, *profiles]) + ".lock")


def write_lock(path: Path, lock: dict[str, Any]) -> None:
    """Write a lock whole or not at all."""
    staged = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        staged.write_bytes(lock_bytes(lock))
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)


def read_lock(path: Path) -> dict[str, Any]:
    """Read a lock.

    Raises:
        LockError: It is missing, no lock, from a newer loraspec, edited by hand, or has conflict marks of a merge in it.
    """
    try:
        if path.stat().st_size > LARGEST:
            _refuse(path, "is larger than a lock can be", "E-LOCK-FORM")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        _refuse(path, "is not there", "E-LOCK-MISSING", "loraspec lock SPEC makes the lock of a spec")
    except (OSError, UnicodeDecodeError) as error:
        _refuse(path, f"cannot be read: {error}", "E-LOCK-FORM")
    if any(line.startswith(_CONFLICT) for line in text.splitlines()):
        _refuse(path, "has the marks of a merge conflict in it", "E-LOCK-MERGE", "merge the spec, then: loraspec lock SPEC")
    try:
        lock = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        _refuse(path, f"is no JSON: {error}", "E-LOCK-FORM", "make it anew: loraspec lock SPEC")
    return _checked(path, lock, text)


def _checked(path: Path, lock: Any, text: str) -> dict[str, Any]:
    number = lock.get("lock") if isinstance(lock, dict) else None
    if type(number) is not int or number < 1:
        _refuse(path, "is no lock: it does not say its format", "E-LOCK-FORM")
    if number > FORMAT:
        _refuse(path, f"has the newer format {number}; this loraspec reads {FORMAT}", "E-LOCK-VERSION", "pip install --upgrade loraspec")
    if number < FORMAT:
        _refuse(path, f"has the older format {number}; this loraspec reads {FORMAT}", "E-LOCK-VERSION", "make it anew: loraspec lock SPEC")
    if not all(isinstance(lock.get(name), dict) for name in _TABLES) or not isinstance(lock["spec"].get("resolved"), dict):
        _refuse(path, "is no whole lock", "E-LOCK-FORM", "make it anew: loraspec lock SPEC")
    changed = lock.get("sha256") != self_digest(lock) or (lock.get("revision") == REVISION and lock_bytes(lock) != text.encode())
    if changed:
        _refuse(path, "was changed by hand: its own digest is another", "E-LOCK-EDITED",
                "change the spec, then make its lock anew: loraspec lock SPEC")
    made: dict[str, Any] = lock
    return made


def check_for_spec(path: Path, lock: dict[str, Any], *, name: str, spec: str) -> None:
    """Refuse a lock that was made for another spec.

    Raises:
        LockError: The names of the runs differ.
    """
    said = lock["spec"]["resolved"].get("run", {}).get("name")
    if said != name:
        found = f"is the lock of another spec, of the run {said!r}; {spec} is called {name!r}"
        _refuse(path, found, "E-LOCK-SPEC", f"loraspec lock {spec}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands twice")
    return made


def _refuse(path: Path, message: str, code: str, hint: str = "") -> NoReturn:
    raise LockError(f"{path}: {message}" + (f"\n    hint: {hint}" if hint else "")).coded(code)
