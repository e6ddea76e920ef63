"""The lock: a plan written down with versions and content hashes. Equal plans give equal bytes.

Nothing in it is of a moment, a user, a host or a folder of the machine; paths stand as the spec writes them.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable
from importlib import metadata
from typing import TYPE_CHECKING, Any

from loraspec import __version__
from loraspec.distributions import record_sha256
from loraspec.forecast import files_of
from loraspec.hookspecs import API_VERSION
from loraspec.plan import canonical, plain

if TYPE_CHECKING:
    from loraspec.choices import ResolvedStage
    from loraspec.dataplan import PlacedSample
    from loraspec.plan import Plan

FORMAT = 1
RANDOM = "philox-sha256/1"  # raise the number when a draw changes: loraspec.randomness
ORDER = "steps-by-bucket/1"  # raise the number when the order of visits changes: loraspec.dataplan
PACKAGES = (
    "attrs", "cattrs", "dadaptation", "diffusers", "loraspec", "numpy", "peft", "pillow", "pluggy", "safetensors", "tokenizers",
    "torch", "transformers",
)  # fmt: skip
_LAYOUT: dict[str, Any] = {"sort_keys": True, "indent": 1, "ensure_ascii": False}


def make_lock(plan: Plan) -> dict[str, Any]:
    """Return everything that decides the numbers and is known before a run.

    Raises:
        SpecError, EnvironmentMissing: The plan's data or base cannot be read (see ``Plan.data`` and ``Plan.model``).
    """
    return {
        "lock": FORMAT,
        "plugin_api": API_VERSION,
        "loraspec": __version__,
        "random": RANDOM,
        "order": ORDER,
        "spec": {"format": plan.spec.loraspec, "sha256": plan.spec_hash, "resolved": plan.resolved_without_place},
        "stages": {stage: [_stage(choice) for choice in choices] for stage, choices in plan.stages.items()},
        "plugin_files": _plugin_files(plan),
        "data": data_of(plan),
        "model": _model(plan),
        "adapter": _adapter(plan),
        "plan": _numbers(plan),
        "environment": {"python": platform.python_version(), "packages": _packages(plan)},
    }


def complete_lock(lock: dict[str, Any], **facts: Any) -> dict[str, Any]:
    """Return a lock with facts that only the run knows, under ``run``: content of the base, device, threads.

    Raises:
        ValueError: A fact is no plain data (tables with text keys, lists, numbers, text).
    """
    run = {**lock.get("run", {}), **facts}
    try:
        same = json.loads(json.dumps(run, allow_nan=False)) == run
    except (TypeError, ValueError) as error:
        raise ValueError(f"a fact for the lock is no plain data: {error}") from error
    if not same:
        raise ValueError("facts for the lock must be tables with text keys, lists, numbers and text")
    return {**lock, "run": run}


def lock_bytes(lock: dict[str, Any]) -> bytes:
    """Return the one text of a lock: sorted keys, UTF-8, one line feed at the end."""
    return (json.dumps(lock, **_LAYOUT) + "\n").encode()


def _stage(choice: ResolvedStage) -> dict[str, Any]:
    entry = choice.entry
    return {
        "use": entry.qualified,
        "distribution": entry.distribution,
        "version": entry.version,
        "origin": entry.origin,
        "record_sha256": entry.record_sha256,
        "libraries": {name: _version(name) for name in sorted(entry.component.libraries)},
        "options": plain(choice.options),
    }


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
    trained = [[name, list(shape)] for name, shape in sorted(facts.tensors.items())]
    return {
        "kind": facts.kind,
        "rank": facts.rank,
        "modules": len(facts.alphas),
        "parameters": facts.parameters,
        "targets_sha256": hashlib.sha256(canonical([trained, sorted(facts.alphas.items())])).hexdigest(),
    }


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


def _packages(plan: Plan) -> dict[str, dict[str, str]]:
    """Version and RECORD digest of every package that may change a number; nothing is imported."""
    libraries = {name for choices in plan.stages.values() for choice in choices for name in choice.entry.component.libraries}
    found: dict[str, dict[str, str]] = {}
    for name in sorted({*PACKAGES, *libraries}):
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        found[name] = {"version": distribution.version, "record_sha256": record_sha256(distribution)}
    return found


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("".join(lines).encode()).hexdigest()
