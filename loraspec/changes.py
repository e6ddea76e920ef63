"""What an edit of the spec means for a run that has begun: every key is of one class.

- identity: decides the weights. A run whose identity changed is another run.
- comfort: decides nothing that a run leaves but its log.
- extension: adds to what is done. ``train.epochs`` may be raised while the learning rate does not depend on their number.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from loraspec.plan import plain
from loraspec.spec.classes import COMFORT, EXTENSION, IDENTITY, KEYS

if TYPE_CHECKING:
    from loraspec.plan import Plan

__all__ = ["COMFORT", "EXTENSION", "IDENTITY", "KEYS", "Change", "changes", "differences", "since_start"]

CONSTANT = "guide:constant"


@frozen
class Change:
    """A key that is not what the run was started with.

    Attributes:
        path: Dotted place in the spec.
        old, new: Values; None where there was none.
        kind: ``identity``, ``comfort`` or ``extension``.
        why: Why an extension is refused as identity, or "".
    """

    path: str
    old: Any
    new: Any
    kind: str
    why: str = ""


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Return every difference of two resolved specs with its class; a key that no class names counts as identity."""
    found = []
    for path, old, new in differences(before, after):
        kind, why = _kind(path), ""
        if path == "train.epochs":
            why = _epochs(before, after, old, new)
            kind = IDENTITY if why else EXTENSION
        found.append(Change(path, old, new, kind, why))
    return found


def since_start(folder: Path, plan: Plan) -> list[Change] | None:
    """Return what changed in the spec since the run in ``folder`` was started or extended; None when its lock cannot tell."""
    try:
        before = json.loads((folder / "lock.json").read_text(encoding="utf-8"))["spec"]["resolved"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return changes(before, json.loads(json.dumps(plain(plan.resolved_without_place))))


def differences(old: Any, new: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Return (dotted path, old, new) of every value that differs; lists of another length differ as a whole."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys: Iterable[str] = sorted(old.keys() | new.keys())
        return [item for key in keys for item in differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)]
    if isinstance(old, (list, tuple)) and isinstance(new, (list, tuple)) and len(old) == len(new):
        return [item for index, pair in enumerate(zip(old, new, strict=True)) for item in differences(*pair, f"{path}[{index}]")]
    return [] if old == new and type(old) is type(new) else [(path, old, new)]


def _kind(path: str) -> str:
    parts = path.split("[")[0].split(".")
    named = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((KEYS[name] for name in named if name in KEYS), IDENTITY)


def _epochs(before: Mapping[str, Any], after: Mapping[str, Any], old: Any, new: Any) -> str:
    if not isinstance(old, int) or not isinstance(new, int) or new < old:
        return "epochs can be added, not taken away"
    for spec in (before, after):
        scheduler = spec.get("lr_scheduler") or {}
        if scheduler.get("use") != CONSTANT or scheduler.get("warmup"):
            return "the lr scheduler spreads the learning rate over all steps; only a constant one without warm-up takes more epochs"
    return ""
