"""What resuming needs, on disk: adapter, optimizer, lr scheduler, loss scaler; tensors and exact scalars, no pickle."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from loraspec.engine.store import file_sha256, read_json, read_tensors, sync_folder, write_json, write_tensors
from loraspec.errors import RunError

LAYOUT = 1
Tree = Any


def pack(value: Any, tensors: dict[str, Tensor], path: str) -> Tree:
    """Return ``value`` as JSON with its tensors moved to ``tensors`` under their path.

    Raises:
        RunError: A value is neither tensor nor plain data; its path is named.
    """
    if isinstance(value, Tensor):
        tensors[path] = value.detach().cpu()
        return {"$tensor": path, "device": value.device.type}
    if isinstance(value, dict):
        return {"$dict": [[key, pack(inner, tensors, f"{path}/{key}")] for key, inner in value.items()]}
    if isinstance(value, (list, tuple)):
        items = [pack(inner, tensors, f"{path}/{index}") for index, inner in enumerate(value)]
        return {"$tuple": items} if isinstance(value, tuple) else items
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise RunError(f"{path}: a {type(value).__name__} cannot be saved; state must be tensors, numbers, strings, lists and dicts")


def unpack(tree: Tree, tensors: dict[str, Tensor], device: torch.device) -> Any:
    """Return what ``pack`` was given; tensors that were on an accelerator go to ``device``."""
    if isinstance(tree, list):
        return [unpack(inner, tensors, device) for inner in tree]
    if not isinstance(tree, dict):
        return tree
    if "$tensor" in tree:
        tensor = tensors[tree["$tensor"]]
        return tensor if tree["device"] == "cpu" else tensor.to(device)
    if "$tuple" in tree:
        return tuple(unpack(inner, tensors, device) for inner in tree["$tuple"])
    if "$float" in tree:
        return float(tree["$float"])
    return {key: unpack(inner, tensors, device) for key, inner in tree["$dict"]}


def folders(root: Path) -> list[Path]:
    """Return the committed checkpoints under ``state/``, oldest first."""
    return sorted(path for path in root.glob("step-*") if (path / "manifest.json").is_file())


def save(root: Path, *, step: int, state: dict[str, Any]) -> Path:
    """Commit a checkpoint: staged in a folder of its own, synced, manifest last, renamed; then drop the older ones."""
    root.mkdir(parents=True, exist_ok=True)
    final = root / f"step-{step:08d}"
    staged = root / f".step-{step:08d}.{os.getpid()}.part"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir()
    tensors: dict[str, Tensor] = {}
    tree = pack(state, tensors, "")
    digests = {
        "tensors.safetensors": write_tensors(staged / "tensors.safetensors", tensors, {"layout": str(LAYOUT)}),
        "state.json": write_json(staged / "state.json", tree),
    }
    write_json(staged / "manifest.json", {"layout": LAYOUT, "step": step, "sha256": digests})
    if final.exists():  # the same step again: what is there was committed by an earlier attempt and is replaced whole
        shutil.rmtree(final)
    staged.rename(final)
    sync_folder(root)
    for old in root.iterdir():
        if old != final:
            shutil.rmtree(old, ignore_errors=True)
    return final


def load(folder: Path, *, device: torch.device) -> tuple[int, dict[str, Any]]:
    """Read a checkpoint after comparing every file with its manifest: (step, state).

    Raises:
        RunError: A file is absent or differs from what was committed.
    """
    manifest = read_json(folder / "manifest.json")
    for name, wanted in manifest["sha256"].items():
        path = folder / name
        found = file_sha256(path) if path.is_file() else "nothing"
        if found != wanted:
            raise RunError(f"{path}: sha256 {wanted[:12]} was committed, {found[:12]} found: the checkpoint is damaged")
    tensors, _ = read_tensors(folder / "tensors.safetensors")
    state = unpack(read_json(folder / "state.json"), tensors, device)
    return int(manifest["step"]), state
