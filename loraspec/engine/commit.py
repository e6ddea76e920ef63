"""Committing: an epoch's files and what resuming needs, written so that what is announced is whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from loraspec.contracts import AdapterState
from loraspec.engine import checkpoint
from loraspec.engine.store import write_tensors
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
            "optimizer": run.optimizer.state_dict(),
            "lr_scheduler": run.lr_scheduler.state_dict(),
            "scaler": run.scaler.state_dict(),
            "epoch_losses": run.epoch_losses,
            "stream": {"epoch": run.watch.stream.epoch, "state": run.watch.stream.state},
        },
    )


def take_up(run: Run) -> None:
    """Go on from the last checkpoint if there is one."""
    found = checkpoint.folders(run.folder / "state")
    if found:
        step, state = checkpoint.load(found[-1], device=run.precision.device)
        run.adapter.load_state(AdapterState(**state["adapter"]))
        run.optimizer.load_state_dict(state["optimizer"])
        run.lr_scheduler.load_state_dict(state["lr_scheduler"])
        run.scaler.load_state_dict(state["scaler"])
        run.epoch_losses = list(state["epoch_losses"])
        run.watch.stream = Stream(**state["stream"])
        run.step = step
        run.say(f"going on after step {step} of {run.total_steps}")


def commit_epoch(run: Run, epoch: int) -> dict[str, Any]:
    """Write the epoch's files, then its entry in the index; return the entry."""
    stream = run.watch.check_stream(epoch)
    state = run.watch.weights(run.adapter.state())
    files = []
    for exporter in run.exporters:
        for file in exporter.files(state, model=run.plan.model, header=run.plan.header(epoch), stem=run.plan.stem(epoch)):
            path = run.folder / "epochs" / file.path
            sha256 = write_tensors(path, file.tensors, file.metadata)
            files.append({"path": file.path, "bytes": path.stat().st_size, "sha256": sha256})
    losses = run.epoch_losses or [0.0]
    norm = sum(float(tensor.float().square().sum()) for tensor in state.tensors.values()) ** 0.5
    entry = {
        "epoch": epoch, "step": run.step, "files": files, "loss": sum(losses) / len(losses), "d_lr": run.metrics.get("d_lr", 0.0),
        **({"d": run.metrics["d"]} if "d" in run.metrics else {}),
        "weight_norm": norm, "stream_sha256": stream,
    }
    run.files.commit_index(entry)
    return entry
