"""``pick.json``: the epoch and the weight that a run is used at, chosen by its ranking or by a person. No torch."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from pathlib import Path
from typing import Any, Literal

from attrs import asdict, frozen

from loraspec.digests import file_sha256
from loraspec.errors import RunError, SpecError
from loraspec.finished import Finished
from loraspec.sweetspot.ranking import EpochScore
from loraspec.textfile import read_plain

PICK = "pick.json"
VERSION = 1
LARGEST = 64 * 1024  # bytes
LONGEST_NOTE = 2000  # characters
MOST_WEIGHT = 2.0  # beyond it no LoRA shows its style
FEW, MANY = 4, 8  # epochs that a person is asked to look at: at least, at most
By = Literal["ranking", "person"]
_DIGEST = re.compile(r"[0-9a-f]{64}")


@frozen
class Pick:
    """A choice.

    Attributes:
        epoch, weight: What was chosen; the weight above 0, up to ``MOST_WEIGHT``.
        by: Who chose it: the ranking, or a person.
        note: A person's words, or "".
        when: UTC, ``2026-01-31T12:00:00Z``.
        files: Files of the epoch by their place under ``epochs/``: sha256 (hex) of each.
        ranking: sha256 (hex) of ``ranking.json`` when this was chosen, "" without one.
    """

    epoch: int
    weight: float
    by: By
    note: str
    when: str
    files: dict[str, str]
    ranking: str


def recommended(run: Finished) -> Pick:
    """Return the ranking's recommendation as a choice.

    Raises:
        RunError: Nothing was ranked.
        SpecError: The epoch is not committed.
    """
    ranking = run.ranking
    if ranking is None or not ranking.epoch:
        raise RunError(_unranked(run)).coded("E-RUN-UNRANKED")
    return Pick(ranking.epoch, ranking.weight, "ranking", "", _now(), run.digests(ranking.epoch), run.ranking_sha256)


def chosen(run: Finished, *, epoch: int | None, weight: float | None, note: str) -> Pick:
    """Return a person's choice; what it leaves open is taken from the ranking.

    Args:
        run: The run.
        epoch: None: the recommended one.
        weight: None: full weight.
        note: At most ``LONGEST_NOTE`` characters.

    Raises:
        RunError: No epoch was named, and nothing was ranked.
        SpecError: The epoch is not committed, or weight or note are out of range.
    """
    if weight is not None and not 0 < weight <= MOST_WEIGHT:
        raise SpecError(f"--weight {weight:g} is out of range; a weight lies above 0 and up to {MOST_WEIGHT:g}")
    if len(note) > LONGEST_NOTE:
        raise SpecError(f"--note has {len(note):,} characters; up to {LONGEST_NOTE:,} are kept")
    which = recommended(run).epoch if epoch is None else epoch
    full = run.ranking.weight if run.ranking is not None else 1.0
    return Pick(which, full if weight is None else weight, "person", note, _now(), run.digests(which), run.ranking_sha256)


def candidates(run: Finished) -> tuple[EpochScore, ...]:
    """Return the epochs that a person should look at, ascending: the tie set, at least the best four, at most the best eight."""
    if run.ranking is None:
        return ()
    known = [one for one in run.ranking.epochs if one.epoch in run.epochs]
    best = sorted(known, key=lambda one: (not one.tied, -one.key.value if one.key.value == one.key.value else 1.0, one.epoch))
    tied = sum(one.tied for one in best)
    return tuple(sorted(best[: min(MANY, tied if tied > 1 else FEW)], key=lambda one: one.epoch))


def keep(run: Finished, pick: Pick) -> Path:
    """Write ``pick.json``, atomically and durably; return its place.

    Raises:
        RunError: The disk refuses it.
    """
    from loraspec.engine.folder import disk_told
    from loraspec.engine.records import write_json

    path = run.folder / PICK
    with disk_told(run.folder):
        write_json(path, {"version": VERSION, **asdict(pick)})
    return path


def read_pick(run: Finished) -> Pick | None:
    """Return what was chosen; None when nothing was.

    Raises:
        RunError: ``pick.json`` is none, or names an epoch that is not what it was.
    """
    path = run.folder / PICK
    try:
        raw = json.loads(read_plain(path, LARGEST).decode("utf-8"))
        pick = _pick(raw)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        hint = f"choose again: loraspec pick {run.folder}"
        raise RunError(f"{path}: is no choice of an epoch: {error}\n    hint: {hint}").coded("E-RUN-LAYOUT") from None
    if pick.epoch not in run.epochs or run.digests(pick.epoch) != pick.files:
        hint = f"choose again: loraspec pick {run.folder}"
        raise RunError(f"{path}: epoch {pick.epoch} is not what it was when it was picked\n    hint: {hint}").coded("E-RUN-DAMAGED")
    return pick


def copy(run: Finished, epoch: int, target: Path, *, force: bool = False) -> list[Path]:
    """Copy an epoch's files, verified, and return where they are.

    Args:
        run: The run.
        epoch: A committed epoch.
        target: A folder, which is made; or, when there is one file, a name that ends as it does.
        force: Replace other files that are there.

    Raises:
        SpecError: The epoch is not committed, or another file is there.
        RunError: A file is not what was committed, or the disk refuses the copy.
    """
    from loraspec.engine.folder import disk_told

    sources, digests = run.verified(epoch), list(run.digests(epoch).values())
    alone = len(sources) == 1 and target.suffix == sources[0].suffix and not target.is_dir()
    targets = [target if alone else target / source.relative_to(run.folder / "epochs") for source in sources]
    for path, sha256 in zip(targets, digests, strict=True):
        if os.path.lexists(path) and not force and not (path.is_file() and file_sha256(path) == sha256):
            raise SpecError(f"{path} is there already and is another file; name another place, or --force")
    with disk_told(target):
        for source, path, sha256 in zip(sources, targets, digests, strict=True):
            _copy(source, path, sha256)
    return targets


def _copy(source: Path, target: Path, sha256: str) -> None:
    from loraspec.engine import disk

    if not target.is_symlink() and target.is_file() and file_sha256(target) == sha256:
        return
    disk.make_folders(target.parent)
    beside = disk.staged(target)
    try:
        shutil.copyfile(source, beside)
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        if file_sha256(beside) != sha256:
            raise RunError(f"{source}: changed while it was copied").coded("E-RUN-DAMAGED")
        disk.move(beside, target)
    finally:
        beside.unlink(missing_ok=True)


def _unranked(run: Finished) -> str:
    """Say why there is no recommendation, and what to do."""
    itself = f"or choose yourself: loraspec pick {run.folder} EPOCH"
    if run.ranking_problem:
        return f"{run.folder}: {run.ranking_problem}\n    hint: loraspec resume {run.folder} ranks again; {itself}"
    if run.ranking is not None:
        why = "; ".join(run.ranking.reasons) or "no metric gave numbers"
        return f"{run.folder}: the epochs could not be ranked: {why}\n    hint: look at scores/ and at the report; {itself}"
    if run.facts.get("state") != "done":
        return f"{run.folder} has no ranking: the run is not done\n    hint: loraspec resume {run.folder}; {itself}"
    hint = f"give the spec metrics as evaluators (without a word of the spec there are nine) and loraspec resume {run.folder}; {itself}"
    return f"{run.folder} has no ranking: none of its evaluators is a metric\n    hint: {hint}"


def _pick(raw: Any) -> Pick:
    """Read what ``keep`` wrote; the text may come from a stranger.

    Raises:
        ValueError, KeyError, TypeError: It is no choice of this version.
    """
    if not isinstance(raw, dict) or raw.get("version") != VERSION:
        raise ValueError(f"it is of no version that this loraspec reads ({VERSION})")
    epoch, weight, files = raw["epoch"], raw["weight"], raw["files"]
    if type(epoch) is not int or epoch < 1:
        raise ValueError(f"{epoch!r} is no epoch")
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight <= MOST_WEIGHT:
        raise ValueError(f"{weight!r} is no weight above 0 and up to {MOST_WEIGHT:g}")
    if raw["by"] not in ("ranking", "person"):
        raise ValueError("it was chosen neither by the ranking nor by a person")
    if not isinstance(files, dict) or not all(isinstance(one, str) and _DIGEST.fullmatch(one) for one in files.values()):
        raise ValueError("its files have no digests")
    texts = {name: raw[name] for name in ("note", "when", "ranking")}
    if not all(isinstance(text, str) for text in texts.values()):
        raise ValueError("a text in it is none")
    return Pick(epoch, float(weight), raw["by"], texts["note"][:LONGEST_NOTE], texts["when"][:32], files, texts["ranking"])


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
