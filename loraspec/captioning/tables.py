"""Captions as tables: what other programs read and write.

- a folder of text files, one for each image;
- ``.jsonl`` and ``.csv`` with the columns ``file_name`` and ``text``, as Hugging Face's ``imagefolder`` reads them;
- ``.json``, kohya's metadata: ``{image without its extension: {"caption": text}}``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from loraspec.errors import Problem, SpecError, closest
from loraspec.textfile import NotTextError, TooLargeError, decode, read_plain

FILE, TEXT = "file_name", "text"
LARGEST, CAPTION = 256 * 2**20, 64 * 2**10  # bytes of a table, of a caption's file
KINDS = (".jsonl", ".csv", ".json")


def stem(key: str) -> str:
    """Return an image's key without its extension."""
    return str(PurePosixPath(key).with_suffix(""))


def read_table(path: Path, keys: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return captions by image key, and the names that are no image of the data.

    Args:
        path: A folder of ``.txt`` files, or a table.
        keys: The images; a table may name them with or without extension and folders.

    Raises:
        SpecError: It is no table, or says what cannot be.
    """
    rows = _folder(path, keys) if path.is_dir() else _rows(path)
    names: dict[str, list[str]] = {}
    for key in keys:
        for name in {key, stem(key), PurePosixPath(key).name, stem(PurePosixPath(key).name)}:
            names.setdefault(name, []).append(key)
    found: dict[str, str] = {}
    strangers: list[str] = []
    for name, text in rows.items():
        plain = name.replace("\\", "/")
        fitting = names.get(plain) or names.get(PurePosixPath(plain).name) or names.get(stem(PurePosixPath(plain).name)) or []
        if len(fitting) > 1:
            said = f"{path.name} means one of several images: {', '.join(fitting[:5])}"
            raise SpecError([Problem(name, said, "write paths below their folder", code="E-DATA-TABLE")])
        if fitting:
            found[fitting[0]] = text
        else:
            strangers.append(name)
    return found, strangers


def table_bytes(kind: str, captions: Mapping[str, str]) -> bytes:
    """Return a table of captions by image key.

    Args:
        kind: One of ``KINDS``.
        captions: In the order in which they are written.
    """
    if kind == ".jsonl":
        return "".join(json.dumps({FILE: key, TEXT: text}, ensure_ascii=False) + "\n" for key, text in captions.items()).encode()
    if kind == ".json":
        return (json.dumps({stem(key): {"caption": text} for key, text in captions.items()}, ensure_ascii=False, indent=2) + "\n").encode()
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([(FILE, TEXT), *captions.items()])
    return out.getvalue().encode()


def _folder(path: Path, keys: Sequence[str]) -> dict[str, str]:
    found = {}
    for key in keys:
        for name in (path / f"{stem(key)}.txt", path / f"{PurePosixPath(stem(key)).name}.txt"):
            if name.is_file():
                found[key] = _text(name, CAPTION)
                break
    return found


def _rows(path: Path) -> dict[str, str]:
    if path.suffix not in KINDS:
        _refuse(path, f"is neither a folder nor a table ({', '.join(KINDS)})")
    text = _text(path, LARGEST)
    try:
        rows = _kohya(path, json.loads(text)) if path.suffix == ".json" else list(_listed(path, text))
    except (ValueError, RecursionError, csv.Error) as error:
        _refuse(path, f"cannot be read: {error}")
    names = [name for name, _ in rows]
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        _refuse(path, f"names {twice!r} twice")
    return dict(rows)


def _listed(path: Path, text: str) -> list[tuple[str, str]]:
    if path.suffix == ".jsonl":
        rows: list[Any] = [json.loads(line) for line in text.splitlines() if line.strip()]
    else:
        rows = list(csv.DictReader(io.StringIO(text), strict=True))
    found = []
    for number, row in enumerate(rows, 1):
        for column in (FILE, TEXT):
            if not isinstance(row, dict) or column not in row:
                near = closest(column, list(map(str, row))) if isinstance(row, dict) else None
                _refuse(path, f"row {number} has no {column!r}" + (f"; is it {near!r}?" if near else ""))
        if not isinstance(row[FILE], str) or not isinstance(row[TEXT], (str, type(None))):
            _refuse(path, f"row {number} is no file name and text")
        if row[TEXT]:
            found.append((row[FILE], row[TEXT]))
    return found


def _kohya(path: Path, value: Any) -> list[tuple[str, str]]:
    if not isinstance(value, dict) or not all(isinstance(entry, dict) for entry in value.values()):
        _refuse(path, "is no table of images, as kohya's metadata is")
    found = []
    for name, entry in value.items():
        parts = [entry.get(kind) for kind in ("caption", "tags")]
        if not all(isinstance(part, (str, type(None))) for part in parts):
            _refuse(path, f"{name!r}: caption and tags are texts")
        text = ", ".join(part for part in parts if part)
        if text:
            found.append((name, text))
    return found


def _text(path: Path, most: int) -> str:
    try:
        return decode(read_plain(path, most))[0]
    except NotTextError as error:
        _refuse(path, f"{error.message} in line {error.line}, column {error.column}", "save it as UTF-8")
    except (OSError, TooLargeError) as error:
        _refuse(path, f"cannot be read: {getattr(error, 'strerror', None) or error}")


def _refuse(path: Path, message: str, hint: str = "") -> NoReturn:
    raise SpecError([Problem(path.name, message, hint, code="E-DATA-TABLE")])
