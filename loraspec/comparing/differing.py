"""What differs in resolved specs, key by key, of any number of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from loraspec.comparing.sides import Side

ABSENT = object()
PLACE = ("run.name", "run.output")  # where a run is and what it is called, not what it does
LONGEST = 400  # characters of a value on a page
_SLASHES = re.compile(r"[/\\]+")
_ABSOLUTE = re.compile(r"^(?:~|[A-Za-z]:)?[\\/]")


def differing(compared: Sequence[Side]) -> list[tuple[str, list[str]]]:
    """Return (dotted path, a value for each run) of what is not the same in all; ``-`` stands for a key that is not there.

    The last row is the digest of images and captions, where it differs. Absolute paths are cut to their last part.
    """
    found = [
        (path, [shown(value) for value in values])
        for path, values in _walk([dict(side.run.settings) for side in compared], "")
        if path not in PLACE
    ]
    data = [str(side.run.facts.get("data_sha256", "")) for side in compared]
    if len(set(data)) > 1:
        found.append(("images and captions (sha256)", [one[:12] or "-" for one in data]))
    return found


def shown(value: Any) -> str:
    """Return a value of a spec as one line."""
    if value is ABSENT:
        return "-"
    value = _public(value)
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 4]} ..."


def _walk(values: Sequence[Any], path: str) -> Iterator[tuple[str, list[Any]]]:
    if all(value is ABSENT or isinstance(value, Mapping) for value in values):
        tables = [value if isinstance(value, Mapping) else {} for value in values]
        for key in dict.fromkeys(key for table in tables for key in table):
            yield from _walk([table.get(key, ABSENT) for table in tables], f"{path}.{key}" if path else str(key))
    elif all(isinstance(value, list) for value in values) and len({len(value) for value in values}) == 1 and _tables(values):
        for number in range(len(values[0])):
            yield from _walk([value[number] for value in values], f"{path}[{number}]")
    elif any(_exact(value) != _exact(values[0]) for value in values):
        yield path, list(values)


def _tables(values: Sequence[Any]) -> bool:
    return all(isinstance(item, Mapping) for value in values for item in value)


def _exact(value: Any) -> str:
    """A text that is equal for equal values alone: 1, 1.0 and true are three."""
    return "" if value is ABSENT else json.dumps(value, sort_keys=True, default=str)


def _public(value: Any) -> Any:
    if isinstance(value, str):
        return ".../" + _SLASHES.split(value.rstrip("/\\"))[-1] if _ABSOLUTE.match(value) else value
    if isinstance(value, Mapping):
        return {key: _public(inner) for key, inner in value.items()}
    return [_public(inner) for inner in value] if isinstance(value, list) else value
