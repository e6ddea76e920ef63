"""Small files of a run: canonical JSON, sealed tables, JSON Lines; whole or absent. No torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from loraspec.engine.disk import append, write_file
from loraspec.errors import RunError
from loraspec.escape import escaped_json

SEAL = "seal"
Writer = Callable[..., str]


def json_bytes(value: Any) -> bytes:
    """Return canonical JSON: sorted keys, two spaces, exact floats, a final newline."""
    return (json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def write_json(path: Path, value: Any, *, write: Writer = write_file) -> str:
    """Write canonical JSON atomically; return its sha256."""
    return write(path, json_bytes(value))


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table with its own sha256 under ``seal``."""
    return {**value, SEAL: hashlib.sha256(json_bytes(value)).hexdigest()}


def read_sealed(path: Path) -> dict[str, Any]:
    """Read a table that was written sealed, without its seal; one flipped bit anywhere in the file is seen.

    Raises:
        RunError: The file is absent, or is not byte for byte what was written.
    """
    value = read_json(path)
    own = {key: inner for key, inner in value.items() if key != SEAL} if isinstance(value, dict) else {}
    try:
        same = bool(own) and json_bytes(sealed(own)) == path.read_bytes()
    except (ValueError, RecursionError):  # half a character, or nesting without end
        same = False
    if not same:
        raise RunError(f"{path}: is not what was written: it was edited or damaged")
    return own


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        RunError: The file is absent or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path}: cannot be read as JSON: {error}") from error


def append_line(path: Path, value: Mapping[str, Any], *, durable: bool = True) -> None:
    """Append one JSON line."""
    append(path, line_bytes(value), durable=durable)


def line_bytes(value: Mapping[str, Any]) -> bytes:
    """Return one JSON line, unprintable characters escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace").decode()
    return (escaped_json(text) + "\n").encode()  # a caption cannot turn the line round on the terminal of whoever reads it


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write a JSON Lines file atomically."""
    write_file(path, "".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows).encode())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read a JSON Lines file; [] when it is absent; a last line that was cut off is left out."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows
