"""The lock: a plan written down with versions and content hashes. Equal plans give equal bytes.

Nothing in it is of a moment, a user, a host or a folder of the machine; paths stand as the spec writes them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from attrs import asdict

from loraspec import __version__
from loraspec.digests import file_digest
from loraspec.errors import LockError
from loraspec.forecast import files_of
from loraspec.hookspecs import API_VERSION
from loraspec.plan import canonical, plain
from loraspec.spec.classes import recipe
from loraspec.spec.resolved import spec_hash
from loraspec.stream import SCHEME as STREAM
from loraspec.surroundings import packages, surroundings

if TYPE_CHECKING:
    from loraspec.choices import ResolvedStage
    from loraspec.dataplan import PlacedSample
    from loraspec.plan import Plan

FORMAT = 2  # raised when a reader of the old one would misunderstand
REVISION = 0  # raised when a field is added that a reader of the old one may leave out
RANDOM = "philox-sha256/1"  # raise the number when a draw changes: loraspec.randomness
ORDER = "steps-by-bucket/1"  # raise the number when the order of visits changes: loraspec.dataplan
_LAYOUT: dict[str, Any] = {"sort_keys": True, "indent": 1, "ensure_ascii": False}


def make_lock(plan: Plan) -> dict[str, Any]:
    """Return everything that decides the numbers and is known before a run, without torch.

    Raises:
        SpecError, EnvironmentMissing: The plan's data or base cannot be read (see ``Plan.data`` and ``Plan.model``).
    """
    chosen = [choice for choices in plan.stages.values() for choice in choices]
    libraries = {name for choice in chosen for name in choice.entry.component.libraries}
    return {
        "lock": FORMAT,
        "revision": REVISION,
        "plugin_api": API_VERSION,
        "loraspec": __version__,
        "random": RANDOM,
        "order": ORDER,
        "stream": STREAM,
        "spec": spec_part(plan),
        "stages": {stage: [_stage(choice) for choice in choices] for stage, choices in plan.stages.items()},
        "plugins": packages(choice.entry.distribution for choice in chosen if choice.entry.distribution),
        "plugin_files": _plugin_files(plan),
        "data": data_of(plan),
        "model": _model(plan),
        "adapter": _adapter(plan),
        "plan": _numbers(plan),
        "environment": surroundings(libraries),
    }


def complete_lock(lock: dict[str, Any], **facts: Any) -> dict[str, Any]:
    """Return a lock with facts that only the run knows, under ``run``: content of the base, device, threads.

    Raises:
        ValueError: A fact is no plain data (tables with text keys, lists, numbers, text).
    """
    run = {**lock.get("run", {}), **facts}
    try:
        made = json.loads(json.dumps(run, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"a fact for the lock is no plain data: {error}") from error
    if made != run:
        raise ValueError("facts for the lock must be tables with text keys, lists, numbers and text")
    return {**lock, "run": made}  # without the types of libraries, such as torch's own text


def with_files(lock: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """Return a lock with size and digests of each file that the base consists of; unchanged when it has none or names a branch."""
    with suppress(LockError):  # told by those who must know: loraspec lock
        files = {name: asdict(file_digest(path)) for name, path in sorted(plan.model.files().items())}
        return {**lock, "model": {**lock["model"], "files": files}} if files else lock
    return lock


def lock_bytes(lock: dict[str, Any]) -> bytes:
    """Return the one text of a lock: sorted keys, UTF-8, one line feed at the end, its own digest made anew."""
    return (json.dumps({**lock, "sha256": self_digest(lock)}, **_LAYOUT) + "\n").encode()


def self_digest(lock: Mapping[str, Any]) -> str:
    """Return the sha256 over all of a lock but this digest: a change by hand is seen."""
    return hashlib.sha256(canonical({key: value for key, value in lock.items() if key != "sha256"})).hexdigest()


def spec_part(plan: Plan) -> dict[str, Any]:
    """Return the spec with its digests: what is known without data and base."""
    return {
        "format": plan.spec.loraspec,
        "file": plan.document.path.name,
        "profiles": list(plan.profiles),
        "sets": [text for text in plan.sets if not text.replace(" ", "").startswith("run.output=")],  # a place on this machine
        "text_sha256": hashlib.sha256(plan.document.text.encode()).hexdigest(),
        "sha256": plan.spec_hash,
        "recipe_sha256": spec_hash(recipe(plan.resolved_without_place)),
        "resolved": plan.resolved_without_place,
    }


def _stage(choice: ResolvedStage) -> dict[str, Any]:
    entry = choice.entry
    return {"use": entry.qualified, "distribution": entry.distribution, "origin": entry.origin}


def _plugin_files(plan: Plan) -> dict[str, str]:
    """sha256 of every plugin file, by its path in the spec."""
    return {name: hashlib.sha256((plan.context.folder / name).read_bytes()).hexdigest() for name in plan.spec.plugins}


def data_of(plan: Plan) -> dict[str, Any]:
    """Every image with its content, its caption as found and its place; two digests over all of them."""
    data = plan.data
    rows = {placed.key: _image(plan, placed) for placed in (*data.images, *data.heldout)}
    named = sorted(f"{row['sha256']} {row['caption_sha256']} {key}\n" for key, row in rows.items())
    content = sorted(f"{row['sha256']} {row['caption_sha256']}\n" for row in rows.values())
    return {
        "sha256": _digest(named),
        "content_sha256": _digest(content),  # the same after renaming
        "images": rows,
        "heldout": [placed.key for placed in data.heldout],
        "rights": sorted({row["rights"] for row in rows.values()}),
        "credits": sorted({placed.sample.credits for placed in (*data.images, *data.heldout)} - {""}),
    }


def _image(plan: Plan, placed: PlacedSample) -> dict[str, Any]:
    caption, placement = placed.sample.caption, placed.placement
    return {
        "sha256": plan.data.digest(placed.key),
        "caption_sha256": "" if caption is None else hashlib.sha256(caption.encode()).hexdigest(),
        "source": placed.source,
        "rights": placed.sample.rights,
        "original": list(placement.original),
        "bucket": [placement.width, placement.height],
        "resize": list(placement.resize),
        "crop": list(placement.crop),
    }


def _model(plan: Plan) -> dict[str, Any]:
    """What the base is; the digests of its weights are facts of the run."""
    facts = plan.model
    return {
        "family": facts.family,
        "base": facts.base,
        "prediction": facts.prediction,
        "max_tokens": facts.max_tokens,
        "latent": [facts.latent_channels, facts.latent_scale],
        "targets_sha256": hashlib.sha256(canonical([plain(target) for target in facts.targets])).hexdigest(),
    }


def _adapter(plan: Plan) -> dict[str, Any]:
    facts = plan.adapter
    return {
        "kind": facts.kind,
        "rank": facts.rank,
        "modules": len(facts.alphas),
        "parameters": facts.parameters,
        "targets": {name: "x".join(map(str, shape)) for name, shape in sorted(facts.tensors.items())},
        "alphas": _alphas(facts.alphas),
    }


def _alphas(alphas: Mapping[str, float]) -> dict[str, float]:
    """alpha by module; one number when all have the same."""
    return {"*": next(iter(alphas.values()))} if len(set(alphas.values())) == 1 else dict(sorted(alphas.items()))


def _numbers(plan: Plan) -> dict[str, Any]:
    """What will happen, with a digest of every epoch's visits and captions (none while captions are still to be drafted)."""
    data, grid = plan.data, plan.grid
    return {
        "repeats": data.repeats,
        "samples_per_epoch": data.samples_per_epoch,
        "batches_per_epoch": data.batches_per_epoch,
        "steps_per_epoch": data.steps_per_epoch,
        "steps": data.total_steps,
        "epochs": data.epochs,
        "buckets": [[bucket.width, bucket.height, len(bucket.images)] for bucket in data.buckets],
        "captions": data.distinct_captions,
        "stream_sha256": [] if data.undrafted else [data.stream_digest(epoch) for epoch in range(1, data.epochs + 1)],
        "epoch_files": dict(files_of(plan)),
        "grid": {**plain(grid), "cells": grid.cells},
    }


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("".join(lines).encode()).hexdigest()
