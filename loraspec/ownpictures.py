"""The artist's own pictures as a run kept them: what the style is, for an eye that looks how near generated ones are to it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from attrs import frozen

from loraspec.finished import LARGEST
from loraspec.textfile import read_plain

THUMBS = "grid/thumbs"
_NAME = re.compile(r"[0-9a-f]{16}\.webp")


@frozen
class Own:
    """Thumbnails of some of the user's own pictures, and what they are."""

    files: tuple[Path, ...]
    words: str


def own_pictures(folder: Path, most: int) -> Own:
    """Return up to ``most`` of the user's pictures: held-out ones, which no copy is near to, else of those that were trained on.

    Read as if a stranger had written it: what is odd, or gone, is left out.
    """
    held: list[Path] = []
    trained: list[Path] = []
    root = folder / THUMBS
    try:
        lines = read_plain(folder / "manifest.jsonl", LARGEST).decode("utf-8", "replace").splitlines()
    except (OSError, ValueError):
        lines = []
    for line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        name = row.get("thumb") if isinstance(row, dict) else None
        if isinstance(name, str) and _NAME.fullmatch(name) and (root / name).is_file() and not (root / name).is_symlink():
            (held if row.get("heldout") is True else trained).append(root / name)
    if not root.resolve().is_relative_to(folder.resolve()):
        return Own((), "")
    found, words = (held, "the artist's own, never trained on") if held else (trained, "the artist's own")
    count = min(most, len(found))
    return Own(tuple(found[round(i * (len(found) - 1) / max(1, count - 1))] for i in range(count)), words if count else "")
