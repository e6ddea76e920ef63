"""What a report says of where a run came from: the lock, in groups that a person reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loraspec_guide.grid.folder import RunData

Rows = list[tuple[str, str]]


def provenance(data: RunData) -> list[tuple[str, Rows]]:
    """Return groups of (name, value), without the spec and the images, which the report shows elsewhere."""
    lock = data.lock
    ran = _table(lock, "run")
    groups = [
        ("Run", [
            ("spec hash", _text(data.run.get("spec_hash") or _table(lock, "spec").get("sha256"))),
            ("data", _text(_table(lock, "data").get("sha256"))),
            ("seed", _text(data.get("run.seed"))),
            ("started", _text(data.run.get("started"))),
            ("loraspec", _text(data.run.get("loraspec") or lock.get("loraspec"))),
        ]),
        ("Base", [
            *((key, _text(_table(lock, "model").get(key))) for key in ("base", "family", "prediction")),
            *((f"{part} sha256".replace("_", " "), _text(digest)[:16]) for part, digest in _table(ran, "base").items()),
        ]),
        ("Components", _components(lock)),
        ("Device", [(key.replace("_", " "), _text(value)) for key, value in _table(ran, "device").items()]),
        ("Versions", _versions(_table(lock, "environment"))),
        ("Adapter", [(key, _text(_table(lock, "adapter").get(key))) for key in ("kind", "rank", "modules", "parameters")]),
    ]  # fmt: skip
    shown = ((title, [(key, value) for key, value in rows if value]) for title, rows in groups)
    return [(title, rows) for title, rows in shown if rows]


def _components(lock: Mapping[str, Any]) -> Rows:
    rows = []
    for stage, chosen in _table(lock, "stages").items():
        for item in chosen if isinstance(chosen, list) else []:
            if isinstance(item, Mapping):
                distribution = str(item.get("distribution", ""))
                version = _table(_table(lock, "plugins"), distribution).get("version", "")
                where = f"{distribution} {version}".strip()
                rows.append((str(stage).replace("_", " "), f"{item.get('use', '')} ({where})" if where else _text(item.get("use"))))
    return rows


def _versions(environment: Mapping[str, Any]) -> Rows:
    packages = _table(environment, "packages").items()
    return [
        ("python", _text(environment.get("python"))),
        *((str(name), _text(entry.get("version") if isinstance(entry, Mapping) else entry)) for name, entry in packages),
    ]


def _table(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = table.get(key)
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and abs(value) >= 10000:
        return f"{value:,}"
    return "" if value is None else str(value)
