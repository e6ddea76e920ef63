"""The resolved spec, every default written out: as canonical TOML, and as a hash."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from typing import Any

import attrs

from loraspec.spec.paths import Parts, render
from loraspec.spec.schema import Spec


def spec_hash(resolved: Mapping[str, Any]) -> str:
    """Return sha256 (hex) of a resolved spec's canonical JSON: keys sorted, floats exact, absent and None the same."""
    text = json.dumps(_plain(resolved), sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def resolved_toml(resolved: Mapping[str, Any]) -> str:
    """Return a resolved spec as TOML, its keys in the order of the spec's classes; None is left out.

    Reading the text back gives the same values, so it is itself a spec with the same hash.
    """
    order = {name: number for number, name in enumerate(["loraspec", *(field.name for field in attrs.fields(Spec))])}
    order["loraspec"] = -1
    ranked = sorted(resolved.items(), key=lambda item: order.get(item[0], len(order)))
    return "\n".join(_table((), dict(ranked))).strip("\n") + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}  # JSON has no word for it, and a string could be meant as one
    if isinstance(value, (date, datetime, time)):
        return {"date": value.isoformat()}
    return value


def _table(parts: Parts, table: Mapping[str, Any]) -> Iterator[str]:
    """Write a table's own keys, then the tables inside it."""
    later: list[tuple[Parts, Any]] = []
    for key, value in table.items():
        if value is None:
            continue
        if isinstance(value, Mapping) or _is_list_of_tables(value):
            later.append(((*parts, key), value))
        else:
            yield f"{render((key,))} = {_inline(value)}"
    for path, value in later:
        header = render(path)
        if isinstance(value, Mapping):
            yield from ("", f"[{header}]", *_table(path, value))
        else:
            for item in value:
                yield from ("", f"[[{header}]]", *_table(path, item))


def _is_list_of_tables(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _inline(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # TOML's basic strings know JSON's escapes; DEL is the one character that only TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, float):
        return repr(value)  # the shortest text that reads back to the same bits; inf and nan are TOML's words too
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, Mapping):
        pairs = (f"{render((key,))} = {_inline(inner)}" for key, inner in value.items() if inner is not None)
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, (date, datetime, time)):
        return value.isoformat()
    return str(value)
