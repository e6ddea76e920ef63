"""Two locks, field by field: what differs, and which level that leaves. No torch."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from loraspec.locking.fields import CLASSES, Class, Field, field_of, lowest

ABSENT = object()
_UNCOMPARED = ("sha256", "expected")  # the digest of the lock itself, and what came of it
SHOWN = 72  # characters of a value in a table


@frozen
class Difference:
    """One field that differs: its place as parts, both values (``ABSENT`` where there is none), its row of the table."""

    parts: tuple[str, ...]
    old: Any
    new: Any
    field: Field

    @property
    def path(self) -> str:
        """The place as text; a key with dots in it is quoted."""
        return ".".join(part if "." not in part else json.dumps(part, ensure_ascii=False) for part in self.parts)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """Return every field in which two locks differ, in the order of the classes, then of the paths.

    What one side cannot know (a plan without torch knows no fingerprint) is left out; a table that one side lacks is one difference.
    """
    found = [item for item in _walk(old, new, ()) if item.parts[0] not in _UNCOMPARED]
    rank = {kind: number for number, kind in enumerate(CLASSES)}
    return sorted(found, key=lambda item: (rank[item.field.kind], item.parts))


def _walk(old: Any, new: Any, parts: tuple[str, ...]) -> Iterator[Difference]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() | new.keys()):
            yield from _walk(old.get(key, ABSENT), new.get(key, ABSENT), (*parts, str(key)))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new) and _tables(old) and _tables(new):
        for number, pair in enumerate(zip(old, new, strict=True)):
            yield from _walk(*pair, (*parts, str(number)))
    elif old != new or type(old) is not type(new):
        if parts == ("run",):  # a plan's lock has none of it
            return
        field = field_of(parts)
        unknown = field.late and len(parts) <= field.path.count(".") + 1  # the whole of it: a part that is missing is a difference
        if not (unknown and (old is ABSENT or new is ABSENT)):
            yield Difference(parts, old, new, field)


def _tables(values: Sequence[Any]) -> bool:
    return all(isinstance(item, Mapping) for item in values)


@frozen
class Verdict:
    """A level, and why it is not higher: one line for each reason."""

    level: str
    why: tuple[str, ...]


def reachable(found: Sequence[Difference], now: Mapping[str, Any]) -> Verdict:
    """Return the highest level that a run can reach here, from what differs between a lock and this machine.

    Args:
        found: ``differences(lock, now)``.
        now: The lock of here and now.
    """
    by_field: dict[Field, list[Difference]] = defaultdict(list)
    for item in found:
        if item.field.best != "R4":
            by_field[item.field].append(item)
    level = lowest([field.best for field in by_field])
    lowered = sorted(by_field.items(), key=lambda pair: pair[0].best)
    why = [f"{field.best} at best: {_named(items)} ({field.kind})" for field, items in lowered]
    if now.get("run", {}).get("determinism", {}).get("mode") == "off":
        level = lowest([level, "R2"])
        why.append("R2 at best: this device's kernels are not deterministic; train.deterministic = true makes them so")
    return Verdict(level, tuple(why))


def _named(items: Sequence[Difference]) -> str:
    first = ", ".join(item.path for item in items[:3])
    return first + (f" and {len(items) - 3} more" if len(items) > 3 else "")


def by_class(found: Sequence[Difference]) -> dict[Class, list[Difference]]:
    """Return differences by class, the classes in their order."""
    return {kind: items for kind in CLASSES if (items := [item for item in found if item.field.kind == kind])}


def words(value: Any) -> str:
    """Return a value as a table shows it: one line, digests cut to twelve digits, long ones in the middle."""
    if value is ABSENT:
        return "-"
    if isinstance(value, str):
        text = value[:12] if len(value) == 64 and set(value) <= set("0123456789abcdef") else value
        text = text if text.isprintable() else json.dumps(text)
    elif isinstance(value, Mapping):
        return f"(table of {len(value)})"
    elif isinstance(value, list) and value and all(isinstance(item, str) and len(item) == 64 for item in value):
        return f"{value[0][:12]} ... ({len(value)})"
    else:
        text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[: SHOWN // 2 - 2]} ... {text[-SHOWN // 2 + 3 :]}"
