"""Committing: an epoch's files and what resuming needs, written so that what is announced is whole."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from loraspec.contracts import AdapterState
from loraspec.engine import checkpoint, disk
from loraspec.engine.store import tensor_chunks, tensors_sha256, write_tensors
from loraspec.errors import RunError
from loraspec.stream import Stream

if TYPE_CHECKING:
    from loraspec.engine.run import Run


def save(run: Run) -> Path:
    """Commit what resuming needs."""
    state = run.watch.weights(run.adapter.state())
    return checkpoint.save(
        run.folder / "state",
        step=run.step,
        state={
            "adapter": {"kind": state.kind, "tensors": dict(state.tensors), "alphas": dict(state.alphas), "rank": state.rank},
            **{name: part.state_dict() for name, part in _parts(run).items()},
            "epoch_losses": run.epoch_losses,
            "stream": {"epoch": run.watch.stream.epoch, "state": run.watch.stream.state},
        },
    )


def _parts(run: Run) -> dict[str, Any]:
    return {"optimizer": run.optimizer, "lr_scheduler": run.lr_scheduler, "scaler": run.scaler}


def take_up(run: Run) -> None:
    """Go on from the newest checkpoint that the first missing epoch can be reached from, else from the beginning.

    Raises:
        RunError: The state of a part cannot be saved and loaded, so that no resume would be exact.
    """
    checkpoint.rehearse(_parts(run), device=run.precision.device)
    done = set(run.epochs_done)
    missing = next((epoch for epoch in range(1, run.plan.spec.train.epochs + 1) if epoch not in done), None)
    if missing is None:
        run.step = run.total_steps
        checkpoint.prune(run.folder / "state", step=run.step)
        return
    last = missing * run.data.steps_per_epoch
    found = [folder for folder in checkpoint.folders(run.folder / "state") if checkpoint.step_of(folder) <= last]
    if found:
        run.step, state = checkpoint.load(found[-1], device=run.precision.device)
        run.adapter.load_state(AdapterState(**state["adapter"]))
        for name, part in _parts(run).items():
            part.load_state_dict(state[name])
        run.watch.stream = Stream(**state.get("stream", {"epoch": 0}))
        whole, rest = divmod(run.step, run.data.steps_per_epoch)
        run.epoch_losses = [] if not rest and whole in done else list(state["epoch_losses"])
        run.taken_up = (run.step, _digest(run.adapter.state()))
        run.say(f"going on after step {run.step} of {run.total_steps}")
    elif done:
        run.say(f"epoch {missing} is missing and no checkpoint is old enough: training starts again, its epochs are compared")
    if found or done:
        run.files.journal.write("resumed", step=run.step, missing=missing)


def commit_epoch(run: Run, epoch: int) -> dict[str, Any]:
    """Stage the epoch's files, put them in their place, then enter them in the index; return the entry.

    An epoch that is committed already is compared and not written again.

    Raises:
        RunError: The epoch differs from the one that is committed, or nothing was learned since the run was taken up.
    """
    stream = run.watch.check_stream(epoch)
    state = run.watch.weights(run.adapter.state())
    _moved(run, state)
    known = next((entry for entry in run.files.index if entry["epoch"] == epoch), None)
    if known is not None:
        _compare(run, epoch, known, state)
        return known
    stage = disk.staged(run.folder / f"epoch-{epoch:06d}")
    files = []
    for path, tensors, metadata in _files(run, epoch, state):
        disk.make_folders((stage / path).parent)
        sha256 = write_tensors(stage / path, tensors, metadata, write=disk.write_new)
        files.append({"path": path, "bytes": (stage / path).stat().st_size, "sha256": sha256})
    for file in files:
        disk.move(stage / str(file["path"]), run.folder / "epochs" / str(file["path"]))
    disk.discard(stage)
    losses = run.epoch_losses or [0.0]
    norm = sum(float(tensor.float().square().sum()) for tensor in state.tensors.values()) ** 0.5
    entry = {
        "epoch": epoch, "step": run.step, "files": files, "loss": sum(losses) / len(losses), **step_size(run.optimizer),
        "weight_norm": norm, "stream_sha256": stream,
    }
    run.files.commit_index(entry)
    return entry


def step_size(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """Return ``d_lr``, and ``d`` of an optimizer that estimates it; what is not finite is left out."""
    group = optimizer.param_groups[0]
    said = {"d_lr": float(group["lr"]) * float(group.get("d", 1.0)), **({"d": float(group["d"])} if "d" in group else {})}
    return {name: value for name, value in said.items() if math.isfinite(value)}


def _files(run: Run, epoch: int, state: AdapterState) -> Iterator[tuple[str, Mapping[str, Tensor], Mapping[str, str]]]:
    header = {**run.plan.header(epoch), **run.files.header(epoch)}
    for exporter in run.exporters:
        for file in exporter.files(state, model=run.plan.model, header=header, stem=run.plan.stem(epoch)):
            yield file.path, file.tensors, file.metadata


def _compare(run: Run, epoch: int, known: Mapping[str, Any], state: AdapterState) -> None:
    wanted = {file["path"]: file["sha256"] for file in known["files"]}
    for path, tensors, metadata in _files(run, epoch, state):
        digest = hashlib.sha256()
        for chunk in tensor_chunks(tensors, metadata):
            digest.update(chunk)
        if wanted.get(path) != digest.hexdigest():
            raise RunError(
                f"epoch {epoch} was trained again and {path} is not the same: {str(wanted.get(path))[:12]} is committed, "
                f"{digest.hexdigest()[:12]} came out now\n    hint: something that decides the numbers is not what it was: "
                "packages, threads, the device; committed files were not touched"
            ).coded("E-RUN-DIVERGED")


def _moved(run: Run, state: AdapterState) -> None:
    """Refuse weights that are those of the checkpoint although steps were made: a resume that trains something else."""
    if run.taken_up is None:
        return
    step, digest = run.taken_up
    run.taken_up = None
    learning = any(float(group["lr"]) for group in run.optimizer.param_groups) and not run.scaler.is_enabled()  # fp16 skips steps
    if learning and run.step > step and digest == _digest(state):
        raise RunError(f"steps {step + 1} to {run.step} changed no weight: what is trained is not what is saved").coded("E-RUN-FROZEN")


def _digest(state: AdapterState) -> str:
    return tensors_sha256(dict(state.tensors))
