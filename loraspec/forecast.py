"""The numbers of a plan: what ``loraspec plan`` shows and ``--json`` prints."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import asdict, frozen

from loraspec.cachefolder import cache_limit
from loraspec.errors import Problem, RunError
from loraspec.memory import device_memory
from loraspec.weights import file_size

if TYPE_CHECKING:
    from loraspec.plan import Plan

FLOAT = 4  # bytes
HOST_BYTES = 4 * 2**30  # of an epoch's embeddings that are kept in memory; more lie in a file of the run's folder while it trains


@frozen
class Disk:
    """Bytes that a run will write; weight files to the byte, the others as upper bounds.

    Attributes:
        epoch_files: All weight files.
        state: What resuming needs, twice while one is exchanged for the next: float32 weights and three values of the optimizer each.
        cache: float32 latents (mean and std) of all images; shared between runs.
        grid: Cells as uncompressed RGB, those that are judged and those that confirm among them.
        free: Free bytes where the run goes.
    """

    epoch_files: int
    state: int
    cache: int
    grid: int
    free: int

    @property
    def total(self) -> int:
        """All that is written."""
        return self.epoch_files + self.state + self.cache + self.grid


def files_of(plan: Plan) -> list[tuple[str, int]]:
    """Return (path below ``epochs/``, exact bytes) of every weight file, epoch by epoch."""
    epochs = range(1, plan.spec.train.epochs + 1)
    return [(facts.path, file_size(facts.tensors, facts.metadata)) for epoch in epochs for facts in plan.exports(epoch)]


def free_bytes(folder: Path) -> int:
    """Return the free bytes where a folder will be made."""
    folder = folder.resolve()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def state_bytes(plan: Plan) -> int:
    """Return the bytes of what resuming needs: float32 weights, and three values of the optimizer for each."""
    return 4 * FLOAT * plan.adapter.parameters


def disk_of(plan: Plan, files: list[tuple[str, int]]) -> Disk:
    """Return what the run needs on disk."""
    data, model, grid = plan.data, plan.model, plan.grid
    latents = sum(
        2 * FLOAT * model.latent_channels * (item.placement.width // model.latent_scale) * (item.placement.height // model.latent_scale)
        for item in {(data.digest(item.key), item.placement): item for item in data.images}.values()
    )
    return Disk(
        epoch_files=sum(size for _, size in files),
        state=2 * state_bytes(plan),
        cache=_cache_bytes(plan, latents),
        grid=(grid.cells + grid.judged_cells + grid.fresh_cells) * grid.width * grid.height * 3,
        free=free_bytes(plan.run_folder),
    )


def check_room(plan: Plan, folder: Path, epoch: int) -> None:
    """Look whether an epoch's files and its state still fit, before the time is spent that training it takes.

    Raises:
        RunError: They do not.
    """
    needed = sum(file_size(facts.tensors, facts.metadata) for facts in plan.exports(epoch)) + state_bytes(plan)
    free = free_bytes(folder)
    if free < needed:
        said = f"{folder}: epoch {epoch} will need {needed:,} bytes and {free:,} are free, so it is not begun"
        raise RunError(f"{said}\n    hint: make room and go on with: loraspec resume {folder}").coded("E-RUN-DISK")


def embedding_bytes(plan: Plan) -> int:
    """Return what the prompt embeddings of the epoch with most captions take, in float32: of memory, beyond ``HOST_BYTES`` of the disk."""
    return _embedding(plan) * plan.data.distinct_captions_of_an_epoch


def _embedding(plan: Plan) -> int:
    """Return the bytes of one prompt's embeddings, in float32."""
    model = plan.model
    return FLOAT * ((model.max_tokens + 2) * sum(model.text_widths) + model.pooled_width)


def _cache_bytes(plan: Plan, latents: int) -> int:
    """Return what latents and the embeddings of every epoch take on disk: up to the cache's limit, but never less than one epoch needs."""
    whole = latents + _embedding(plan) * plan.data.distinct_captions
    return max(min(whole, cache_limit()), latents + embedding_bytes(plan))


def all_warnings(plan: Plan) -> list[Problem]:
    """Return every warning: of the spec, of the data, of the adapter and of the disk."""
    disk = disk_of(plan, files_of(plan))
    found = [*plan.warnings, *plan.data.problems]
    alpha = max(plan.adapter.alphas.values(), default=0.0)
    said = any(problem.path == "adapter.alpha" for problem in found)  # by the adapter itself
    if plan.adapter.rank and alpha > plan.adapter.rank and not said:
        message = f"alpha {alpha:g} above rank {plan.adapter.rank} multiplies the effect by {alpha / plan.adapter.rank:.3g}"
        found.append(plan.placed(Problem("adapter.alpha", message, severity="warning", code="W-ADAPTER-ALPHA")))
    if disk.total > disk.free:
        message = f"needs up to {disk.total} bytes of disk, {disk.free} are free"
        found.append(plan.placed(Problem("run.output", message, severity="warning", code="W-RUN-DISK")))
    return found


def summary_of(plan: Plan) -> dict[str, Any]:
    """Return the plan's numbers.

    ``epoch_files`` counts all weight files, ``epoch_file_bytes`` is the size of the largest that the first exporter writes (their
    headers differ by a few digits), ``files`` has each one. ``latents`` and ``embeddings`` are cache entries; ``memory`` is that of the
    device, None where the family forecasts none.
    """
    data, grid = plan.data, plan.grid
    files = files_of(plan)
    first = files[:: len(plan.many("exporter"))] if files else []
    disk, memory = disk_of(plan, files), device_memory(plan)
    return {
        "name": plan.name,
        "spec_hash": plan.spec_hash,
        "run_folder": plan.run_folder.as_posix(),
        "base": plan.model.base,
        "family": plan.model.family,
        "stages": {stage: [choice.entry.qualified for choice in choices] for stage, choices in plan.stages.items()},
        "images": len(data.images),
        "heldout": [item.key for item in data.heldout],
        "repeats": data.repeats,
        "samples_per_epoch": data.samples_per_epoch,
        "buckets": [{"width": b.width, "height": b.height, "images": len(b.images)} for b in data.buckets],
        "batches_per_epoch": data.batches_per_epoch,
        "steps_per_epoch": data.steps_per_epoch,
        "steps": data.total_steps,
        "epochs": data.epochs,
        "latents": data.distinct_latents,
        "embeddings": data.distinct_captions,
        "embedding_bytes": embedding_bytes(plan),
        "adapter_parameters": plan.adapter.parameters,
        "adapter_modules": len(plan.adapter.alphas),
        "epoch_files": len(files),
        "epoch_file_bytes": max((size for _, size in first), default=0),
        "files": [{"path": path, "bytes": size} for path, size in files],
        "grid_cells": grid.cells,
        "judged_prompts": list(grid.judged_prompts) if grid.judged else [],
        "judged_cells": grid.judged_cells,
        "fresh_cells": grid.fresh_cells,
        "grid": asdict(grid),
        "disk": {**asdict(disk), "total": disk.total},
        "memory": None if memory is None else {**asdict(memory), "training": memory.training, "peak": memory.peak},
        "warnings": [str(problem) for problem in all_warnings(plan)],
    }
