"""The forms of a run's small files: a folder may come from a stranger, whose seals are as right as ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from loraspec.errors import RunError

_DIGEST = re.compile(r"[0-9a-f]{64}")
_TEXTS = ("name", "spec", "spec_hash", "data_sha256", "state", "loraspec")


def inside(name: Any) -> bool:
    """Whether a name is a relative path that stays where it is put, and that a disk can hold."""
    if not isinstance(name, str) or "\\" in name or not name.isprintable() or not 0 < len(name.encode()) < 200:
        return False
    pure = PurePosixPath(name)
    return not pure.is_absolute() and bool(pure.parts) and ".." not in pure.parts


def epoch_entry(value: Any) -> bool:
    """Whether this is an epoch as the index and the journal have it."""
    return (
        isinstance(value, Mapping)
        and _whole(value.get("epoch"), 1)
        and _whole(value.get("step", 0), 0)
        and isinstance(value.get("files"), list)
        and bool(value["files"])
        and all(isinstance(file, Mapping) and inside(file.get("path")) and _digest(file.get("sha256")) for file in value["files"])
    )


def journal_line(value: Any) -> bool:
    """Whether this is a line of the journal."""
    if not isinstance(value, Mapping) or not isinstance(value.get("kind"), str):
        return False
    if value["kind"] == "epoch":
        return epoch_entry(value)
    if value["kind"] in ("started", "changed"):
        return _started(value)
    return "epoch" not in value or _whole(value["epoch"], 1)


def epochs(path: Path, value: Any) -> list[dict[str, Any]]:
    """Return the entries of ``epochs/index.json``.

    Raises:
        RunError: It is no index, or names files outside ``epochs/``.
    """
    found = value.get("epochs") if isinstance(value, Mapping) else None
    if not isinstance(found, list) or not _layout(value):
        raise _wrong(path, "is no index of epochs")
    for entry in found:
        for file in entry.get("files") or () if isinstance(entry, Mapping) and isinstance(entry.get("files"), list) else ():
            if isinstance(file, Mapping) and not inside(file.get("path")):
                raise _wrong(path, f"names {file.get('path')!r}, which is no place inside epochs/")
        if not epoch_entry(entry):
            raise _wrong(path, f"has an entry that is no epoch: {str(entry)[:80]!r}")
    if len({entry["epoch"] for entry in found}) != len(found):
        raise _wrong(path, "has an epoch twice")
    return list(found)


def facts(path: Path, value: Any) -> dict[str, Any]:
    """Return ``run.json``.

    Raises:
        RunError: It is no such file.
    """
    if not isinstance(value, Mapping) or not _layout(value) or not _started(value):
        raise _wrong(path, "is not what a run says of itself")
    return dict(value)


def manifest(path: Path, value: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Return a checkpoint's manifest, which has a digest for each name.

    Raises:
        RunError: It is no manifest.
    """
    digests = value.get("sha256") if isinstance(value, Mapping) else None
    right = isinstance(digests, Mapping) and set(digests) == set(names) and all(_digest(one) for one in digests.values())
    if not right or not _whole(value.get("layout"), 1) or not _whole(value.get("step"), 0):
        raise _wrong(path, "is no manifest of a checkpoint")
    return dict(value)


def _started(value: Mapping[str, Any]) -> bool:
    """Whether what is kept of a start has the right types, where it is there."""
    headers, files = value.get("headers", []), value.get("files", {})
    return (
        all(isinstance(value[key], str) for key in _TEXTS if value.get(key) is not None)
        and all(_texts(value.get(key, [])) for key in ("profiles", "sets"))
        and isinstance(headers, list)
        and all(isinstance(header, Mapping) and _whole(header.get("from"), 1) for header in headers)
        and isinstance(files, Mapping)
        and all(inside(name) and _texts(known) for name, known in files.items())
    )


def _layout(value: Mapping[str, Any]) -> bool:
    return _whole(value.get("layout", 0), 0)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _digest(value: Any) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _whole(value: Any, least: int) -> bool:
    return type(value) is int and value >= least


def _wrong(path: Path, message: str) -> RunError:
    return RunError(f"{path}: {message}").coded("E-RUN-LAYOUT")
