"""``run --locked``: a run that starts only where nothing has drifted from its lock."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loraspec.cli.output import plural
from loraspec.cli.targets import differences_table
from loraspec.errors import LockError
from loraspec.locking.compare import Difference, differences, reachable
from loraspec.locking.files import check_for_spec, lock_path, read_lock

if TYPE_CHECKING:
    from loraspec.plan import Plan

BASE = ("model.files", "run.base")  # fields that hold what the base model is made of


def hold_to_lock(plan: Plan, spec: Path, *, allow_drift: bool) -> dict[str, Any]:
    """Compare a plan, here and now, with the lock beside its spec; return what ``run.json`` keeps of it.

    Raises:
        LockError: There is no lock, it cannot be used, or something drifted and that is not allowed; every field is listed. A base
            that drifted has a code of its own: nothing else that differs matters beside it.
    """
    path = lock_path(spec, plan.profiles)
    if not path.exists():
        words = " ".join(["loraspec lock", str(spec), *(f"--profile {name}" for name in plan.profiles)])
        raise LockError(f"{path}: this spec has no lock\n    hint: {words}").coded("E-LOCK-MISSING")
    lock = read_lock(path)
    check_for_spec(path, lock, name=plan.name, spec=str(spec))
    found, _ = refuse_drift(plan, lock, path, allow_drift=allow_drift)
    return {"lock": path.name, "lock_sha256": lock["sha256"], "drift": [item.path for item in found]}


def refuse_drift(
    plan: Plan, lock: dict[str, Any], path: Path, *, allow_drift: bool, kinds: Collection[str] = ("recipe", "inputs", "bits")
) -> tuple[list[Difference], dict[str, Any]]:
    """Return what drifted from a lock in fields of some classes, and the lock of here and now; say or refuse it.

    Raises:
        LockError: Something drifted and that is not allowed.
    """
    from loraspec.engine.pin import lock_now

    now = lock_now(plan)
    found = [item for item in differences(lock, now) if item.field.kind in kinds]
    if found:
        level = reachable(differences(lock, now), now).level
        listed = differences_table(found, headings=("locked", "here"))
        said = f"{plural(len(found), 'field')} drifted from {path}; {level} is the best that can be reached"
        if not allow_drift:
            base = any(item.path.startswith(BASE) and item.field.kind == "inputs" for item in found)
            put = "get the base that was locked again" if base else "put it back"
            hint = f"{put}, make the lock anew (loraspec lock), or go on with --allow-drift: it is then recorded"
            raise LockError(f"{said}\n{click.unstyle(listed)}\n    hint: {hint}").coded("E-MODEL-DRIFT" if base else "E-LOCK-DRIFT")
        click.echo(f"warning: {said}\n{listed}", err=True)
    return found, now
