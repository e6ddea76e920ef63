"""What a command may be pointed at: a spec, a lock or a run; and the plan and lock behind it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from attrs import frozen

from loraspec.errors import EnvironmentMissing, LockError, SpecError
from loraspec.locking.compare import Difference, by_class, words
from loraspec.locking.files import read_lock

if TYPE_CHECKING:
    from loraspec.plan import Plan

FEW = 6  # rows of one part of a lock, before the rest is counted


@frozen(eq=False)
class Target:
    """A spec, a lock or a run.

    Attributes:
        kind: Which of the three.
        path: As the user named it.
        spec: The spec's file.
        profiles, sets: How it was made a plan.
        lock: What was locked; None for a spec.
    """

    kind: Literal["spec", "lock", "run"]
    path: Path
    spec: Path
    profiles: tuple[str, ...]
    sets: tuple[str, ...]
    lock: dict[str, Any] | None = None

    def plan(self) -> Plan:
        """Resolve the spec as it is now.

        Raises:
            LockError: The spec is gone.
            SpecError: It is wrong.
        """
        from loraspec.plan import resolve

        if not self.spec.is_file():
            raise LockError(f"{self.path}: its spec {self.spec} is not there").coded("E-LOCK-SPEC")
        return resolve(self.spec, profiles=self.profiles, sets=self.sets)


def target(path: Path, *, profiles: Sequence[str] = (), sets: Sequence[str] = ()) -> Target:
    """Say what ``path`` is: a folder is a run, ``*.lock`` and ``*.json`` are locks, anything else is a spec.

    Args:
        path: As the user named it.
        profiles, sets: For a spec; a lock and a run know their own.

    Raises:
        LockError: The lock cannot be used (see ``read_lock``).
        SpecError: The folder holds no run.
    """
    if path.name == "lock.json" and (path.parent / "run.json").is_file():
        path = path.parent
    if path.is_dir():
        return _run(path)
    if path.suffix in (".lock", ".json"):
        lock = read_lock(path)
        said = lock["spec"]
        return Target("lock", path, _relative(path.parent, str(said["file"])), tuple(said["profiles"]), tuple(said["sets"]), lock)
    return Target("spec", path, path, tuple(profiles), tuple(sets))


def _run(path: Path) -> Target:
    try:
        facts = json.loads((path / "run.json").read_text(encoding="utf-8"))
        spec, profiles, sets = str(facts["spec"]), tuple(facts["profiles"]), tuple(facts["sets"])
    except (OSError, ValueError, KeyError, TypeError):
        raise SpecError(f"{path} holds no run: there is no run.json that can be read") from None
    return Target("run", path, _relative(path, spec), profiles, sets, read_lock(path / "lock.json"))


def _relative(folder: Path, name: str) -> Path:
    """A path seen from ``folder``, written as short as it can be."""
    whole = (folder / name).resolve()
    return whole.relative_to(Path.cwd()) if whole.is_relative_to(Path.cwd()) else whole


def light_lock(plan: Plan) -> dict[str, Any]:
    """Return as much of a plan's lock as can be known without torch.

    Raises:
        EnvironmentMissing: Data or base are not here.
    """
    from loraspec.lock import complete_lock, make_lock, with_files
    from loraspec.pixels import pixel_digests

    return complete_lock(with_files(make_lock(plan), plan), pixels=pixel_digests(plan))


def lock_or_spec(side: Target) -> tuple[dict[str, Any], str]:
    """Return the lock of a side, and what could not be looked at: without data or base, only its spec is compared."""
    if side.lock is not None:
        return side.lock, ""
    from loraspec.lock import spec_part

    plan = side.plan()
    try:
        return light_lock(plan), ""
    except EnvironmentMissing as error:
        return {"spec": spec_part(plan)}, f"{side.path}: compared by its spec only: {str(error).splitlines()[0]}"


def _row(item: Difference) -> str:
    return item.field.path


def differences_table(found: Sequence[Difference], *, headings: tuple[str, str], everything: bool = False) -> str:
    """Return differences as a table, grouped by class; of many in one part of a lock the first few, unless ``everything``."""
    from loraspec.cli.output import table
    from loraspec.locking.fields import CLASSES

    parts = []
    for kind, items in by_class(found).items():
        parts.append(click.style(f"{kind}: {CLASSES[kind]}", bold=True))
        rows: list[tuple[str, str, str]] = []
        for place, group in groupby(sorted(items, key=_row), key=_row):
            mine = [(item.path, words(item.old), words(item.new)) for item in group]
            rows += mine if everything or len(mine) <= FEW else [*mine[: FEW - 1], (f"{len(mine) - FEW + 1} more in {place}", "", "")]
        parts.append(table(rows, ("field", *headings), indent=2))
    return "\n".join(parts)
