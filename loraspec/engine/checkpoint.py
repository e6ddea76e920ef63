"""What resuming needs, on disk: adapter, optimizer, lr scheduler, loss scaler; tensors and exact scalars, no pickle."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from loraspec.digests import file_sha256
from loraspec.engine import disk, forms
from loraspec.engine.store import read_json, read_sealed, read_tensors, sealed, tensors_sha256, write_json, write_tensors
from loraspec.errors import RunError

LAYOUT = 2  # 2: the manifest is sealed
KEPT = 2  # checkpoints: when the newest is damaged, the one before it serves
TENSORS, STATE, MANIFEST = "tensors.safetensors", "state.json", "manifest.json"
NAME = re.compile(r"step-(\d{8,})")
Tree = Any


def pack(value: Any, tensors: dict[str, Tensor], path: str) -> Tree:
    """Return ``value`` as JSON with its tensors moved to ``tensors`` under their path.

    Raises:
        RunError: A value is neither tensor nor plain data; its path is named.
    """
    if isinstance(value, Tensor):
        if path in tensors:
            raise RunError(f"{path}: two tensors have this name")
        tensors[path] = value.detach().cpu()
        return {"$tensor": path, "device": value.device.type}
    if isinstance(value, dict):
        for key in value:
            if key is not None and not isinstance(key, (bool, int, float, str)):
                raise RunError(f"{path}: a {type(key).__name__} cannot be the key of a state")
        return {"$dict": [[key, pack(inner, tensors, f"{path}/{key}")] for key, inner in value.items()]}
    if isinstance(value, (list, tuple)):
        items = [pack(inner, tensors, f"{path}/{index}") for index, inner in enumerate(value)]
        return {"$tuple": items} if isinstance(value, tuple) else items
    if isinstance(value, float):  # float(): what NumPy calls a float64 is one of these too
        return float(value) if math.isfinite(value) else {"$float": repr(float(value))}
    if value is None or isinstance(value, (bool, int, str)):
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
    """Return the checkpoints under ``state/``, oldest first, damaged ones too."""
    return sorted(path for path in root.glob("step-*") if NAME.fullmatch(path.name))


def step_of(folder: Path) -> int:
    """Return the step in a checkpoint's name; ``load`` compares it with the manifest's."""
    found = NAME.fullmatch(folder.name)
    assert found is not None, folder
    return int(found[1])


def save(root: Path, *, step: int, state: dict[str, Any]) -> Path:
    """Commit a checkpoint: staged in a folder of its own, manifest last, all synced, renamed; then drop those before the last two.

    One that is there already stays when it is the same; checkpoints of later steps are left alone.
    """
    disk.make_folders(root)
    final = root / f"step-{step:08d}"
    tensors: dict[str, Tensor] = {}
    tree = pack(state, tensors, "")
    beside = disk.staged(final)
    disk.make_folders(beside)
    digests = {
        TENSORS: write_tensors(beside / TENSORS, tensors, {"layout": str(LAYOUT)}, write=disk.write_new),
        STATE: write_json(beside / STATE, tree, write=disk.write_new),
    }
    manifest = sealed({"layout": LAYOUT, "step": step, "sha256": digests})
    write_json(beside / MANIFEST, manifest, write=disk.write_new)
    disk.sync_folder(beside)
    if final.exists() and read_json(final / MANIFEST) == manifest:
        disk.discard(beside)
    else:
        if final.exists():
            disk.discard(final)
        disk.move(beside, final)
    prune(root, step=step)
    return final


def prune(root: Path, *, step: int) -> None:
    """Drop all checkpoints up to ``step`` but the last two."""
    for old in [folder for folder in folders(root) if step_of(folder) <= step][:-KEPT]:
        disk.discard(old)


def load(folder: Path, *, device: torch.device) -> tuple[int, dict[str, Any]]:
    """Read a checkpoint after comparing every file with its manifest: (step, state).

    Raises:
        RunError: A file is absent or differs from what was committed.
    """
    step = check(folder)
    tensors, _ = read_tensors(folder / TENSORS)
    try:
        return step, unpack(read_json(folder / STATE), tensors, device)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise RunError(f"{folder / STATE}: is no state: {error}").coded("E-RUN-LAYOUT") from error


def check(folder: Path) -> int:
    """Compare every file of a checkpoint with its manifest; return the step.

    Raises:
        RunError: A file is absent, differs from what was committed, or is a link.
    """
    present = {path.name for path in folder.iterdir()}
    links = [path.name for path in (folder, *sorted(folder.iterdir())) if path.is_symlink()]
    if links or present != {TENSORS, STATE, MANIFEST}:
        raise RunError(f"{folder}: holds {', '.join(links or sorted(present)) or 'nothing'}, which is no checkpoint")
    manifest = read_json(folder / MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("layout") != 1 or set(manifest) != {"layout", "step", "sha256"}:
        manifest = read_sealed(folder / MANIFEST)  # layout 1 had no seal
    manifest = forms.manifest(folder / MANIFEST, manifest, (TENSORS, STATE))
    if manifest["layout"] > LAYOUT:
        raise RunError(f"{folder}: written by a newer loraspec (layout {manifest['layout']}, here {LAYOUT})").coded("E-RUN-VERSION")
    for name in (TENSORS, STATE):
        wanted, found = manifest["sha256"][name], file_sha256(folder / name)
        if found != wanted:
            raise RunError(f"{folder / name}: sha256 {wanted[:12]} was committed, {found[:12]} found: the checkpoint is damaged")
    if manifest["step"] != step_of(folder):
        raise RunError(f"{folder}: its manifest says step {manifest['step']}")
    return step_of(folder)


def same(left: Any, right: Any) -> bool:
    """Whether two states are equal in every bit and type."""
    left_tensors: dict[str, Tensor] = {}
    right_tensors: dict[str, Tensor] = {}
    trees = repr(pack(left, left_tensors, "")) == repr(pack(right, right_tensors, ""))
    return trees and tensors_sha256(left_tensors) == tensors_sha256(right_tensors)


def rehearse(parts: Mapping[str, Any], *, device: torch.device) -> None:
    """Save and load the state of fresh objects in memory: what could not be resumed is told before the first step.

    Raises:
        RunError: A part's state cannot be saved, or is another after it was loaded.
    """
    for name, part in parts.items():
        tensors: dict[str, Tensor] = {}
        try:
            before = part.state_dict()
            tree = json.loads(json.dumps(pack(before, tensors, f"/{name}")))
            part.load_state_dict(unpack(tree, tensors, device))
            kept = same(before, part.state_dict())
        except Exception as error:
            raise RunError(f"a run with this {name} could not be resumed: {error}").coded("E-RUN-STATE") from error
        if not kept:
            raise RunError(f"a run with this {name} could not be resumed: its state is another after it was loaded").coded("E-RUN-STATE")
