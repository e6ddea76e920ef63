"""Whether a run that has begun is still this plan's: by class of key (``loraspec.changes``), and image by image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from loraspec.changes import COMFORT, EXTENSION, IDENTITY, Change, differences, since_start
from loraspec.engine.folder import LOCK, RunFolder
from loraspec.engine.store import read_json
from loraspec.errors import Problem, SpecError
from loraspec.spec.resolved import resolved_toml

if TYPE_CHECKING:
    from loraspec.plan import Plan

HINT = "put it back, or give the spec another run.name"


def identity(plan: Plan, lock: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``run.json`` and the journal keep of the work: enough to know it again without the lock."""
    return {"spec_hash": plan.spec_hash, "data_sha256": lock["data"]["sha256"], "headers": [_header(plan, 1)]}


def same_work(files: RunFolder, plan: Plan, lock: dict[str, Any], command: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the lock to go on with, and what a person should read of accepted changes, which are journalled.

    Raises:
        SpecError: Spec or data are others; every difference, field by field.
    """
    changed = refuse_other_work(files, plan, lock)
    if changed is None:
        return lock, [f"{LOCK} was gone; it is made again from spec and data, which have the digests that were kept when the run began"]
    before = read_json(files.path / LOCK)
    if "headers" not in files.facts:  # begun before they were kept
        spec, steps = before["spec"], before["plan"]["steps"]
        header = {"from": 1, "spec_hash": spec["sha256"], "epochs": spec["resolved"]["train"]["epochs"], "steps": steps}
        files.note(headers=[header], data_sha256=lock["data"]["sha256"])
    if not changed:
        return lock, []
    if not any(change.kind == EXTENSION for change in changed):
        _note(files, changed, command)
        return {**lock, "spec": before["spec"]}, [_told(change) for change in changed]
    _extend(files, plan, changed, command)
    files.write_lock(lock)
    return lock, [_told(change) for change in changed]


def refuse_other_work(files: RunFolder, plan: Plan, lock: Mapping[str, Any]) -> list[Change] | None:
    """Return what changed since the start and decides no weights; None when the lock is gone and the digests agree. Writes nothing.

    Raises:
        SpecError: Spec or data are others; every difference, field by field.
    """
    changed = since_start(files.path, plan)
    if changed is None:
        _same_digests(files, plan, lock)
        return None
    data = differences(read_json(files.path / LOCK).get("data"), lock["data"], "data")
    refused = [change for change in changed if change.kind == IDENTITY]
    problems = [plan.placed(Problem(change.path, _words(change), hint=HINT, code="E-RUN-IDENTITY")) for change in refused]
    problems += [Problem(path, _words(Change(path, old, new, IDENTITY)), hint=HINT, code="E-RUN-IDENTITY") for path, old, new in data]
    if problems:
        raise SpecError(problems)
    return changed


def _extend(files: RunFolder, plan: Plan, changed: list[Change], command: Mapping[str, Any]) -> None:
    """Keep the headers of the epochs that are there; those to come say what the spec says now."""
    headers = files.facts["headers"]
    if any(change.path == "train.epochs" for change in changed):
        start = 1 + max((int(entry["epoch"]) for entry in files.index), default=0)
        headers = [*(header for header in headers if header["from"] < start), _header(plan, start)]
    _note(files, changed, command, spec_hash=plan.spec_hash, headers=headers)
    files.write_spec(spec_text=plan.document.text, resolved=resolved_toml(plan.resolved))


def _note(files: RunFolder, changed: list[Change], command: Mapping[str, Any], **facts: Any) -> None:
    rows = [{"path": change.path, "kind": change.kind, "old": change.old, "new": change.new} for change in changed]
    files.journal.write("changed", changes=rows, **facts, **command)
    files.note(**facts, **command)


def _header(plan: Plan, start: int) -> dict[str, Any]:
    return {"from": start, "spec_hash": plan.spec_hash, "epochs": plan.spec.train.epochs, "steps": plan.data.total_steps}


def _same_digests(files: RunFolder, plan: Plan, lock: Mapping[str, Any]) -> None:
    """Compare with what ``run.json`` keeps, when the lock is gone: it says that something changed, not what."""
    facts = files.facts
    told = {"spec_hash": (plan.spec_hash, "the spec"), "data_sha256": (lock["data"]["sha256"], "images or captions")}
    gone = f"changed since the run was started, and its {LOCK} is gone, which would say how"
    problems = [
        Problem("", f"{what} {gone}", hint=HINT, code="E-RUN-IDENTITY")
        for name, (now, what) in told.items()
        if facts.get(name) not in (now, None, "")
    ]
    if problems:
        raise SpecError(problems)


def _words(change: Change) -> str:
    because = f": {change.why}" if change.why else ""
    return f"the run was started with {change.old!r}, now it is {change.new!r}{because}"


def _told(change: Change) -> str:
    kind = "decides no weights" if change.kind == COMFORT else "adds to what is done"
    return f"{change.path} was {change.old!r} and is now {change.new!r}: it {kind}, so the run goes on"
