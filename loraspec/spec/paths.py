"""Dotted paths of a spec: ``captions.transforms[1].keep`` as text and as parts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

Part = str | int
Parts = tuple[Part, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STEP = re.compile(r'\.?(?:([A-Za-z0-9_-]+)|("(?:[^"\\]|\\.)*"))|\[(\d+)\]')


def render(parts: Sequence[Part]) -> str:
    """Return the text of a path; keys that TOML would quote are quoted."""
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            key = part if _BARE.fullmatch(part) else json.dumps(part, ensure_ascii=False).replace("\x7f", "\\u007f")
            text += f".{key}" if text else key
    return text


def split(path: str) -> Parts:
    """Return the parts of a path: the inverse of ``render``.

    Raises:
        ValueError: The text is no path.
    """
    parts: list[Part] = []
    at = 0
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None or (at > 0) != (path[at] in ".["):
            raise ValueError(f"{path!r} is no path of a spec")
        bare, quoted, index = step.groups()
        parts.append(bare if bare is not None else json.loads(quoted) if quoted is not None else int(index))
        at = step.end()
    return tuple(parts)


def leaves(value: Any, parts: Parts = ()) -> Iterator[tuple[Parts, Any]]:
    """Walk a nested table: every value that is neither a table nor a list holding tables, with its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*parts, key))
    elif isinstance(value, (list, tuple)) and any(isinstance(item, dict) for item in value):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*parts, index))
    else:
        yield parts, value
