"""A run's folder as a finished run leaves it, written by hand in milliseconds: for tests of what is done with one."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from loraspec.engine.cells import save_png
from loraspec.engine.folder import LAYOUT
from loraspec.engine.records import sealed, write_json
from loraspec.randomness import generator
from loraspec.sweetspot.ranking import CellScore, EpochScore, Interval, Label, Ranking
from loraspec.weights import header_bytes

PROMPTS = ("a boat, by Nobody", "a cat, by Nobody")
SEEDS = (7, 8)
WEIGHTS = (0.9, 1.0)
RESOLVED = """\
loraspec = 1
[run]
name = "{name}"
seed = 1808
[model]
use = "guide:sdxl"
checkpoint = "{base}"
[captions]
style_tag = "by Nobody"
[adapter]
use = "guide:lora"
rank = {rank}
"""


def finished_run(
    folder: Path, *, name: str = "style", epochs: int = 4, rank: int = 4, base: str = "models/base", exporters: Sequence[str] = ("",),
    keys: Mapping[int, float] | None = None, tied: Sequence[int] = (2, 3), confidence: Any = "high", epoch: int | None = None,
    pictures: bool = True, same: bool = False, size: int = 24, prompts: Sequence[str] = PROMPTS, state: str = "done", own: int = 0,
) -> Path:  # fmt: skip
    """Write a run's folder and return it.

    Args:
        folder: Where.
        name, rank, base: As in the spec.
        epochs: Committed epochs.
        exporters: Folders under ``epochs/`` that each epoch has a file in.
        keys: Epoch -> key of the ranking; None: rising to epoch 3; {}: no ranking.
        tied, confidence: As the ranking says.
        epoch: The recommended one; None: that with the highest key.
        pictures: Whether there are judged pictures.
        same: Whether every epoch's pictures are the same.
        size: Of the pictures, px.
        prompts: Judged prompts.
        state: As ``run.json`` says.
        own: Held-out pictures of the artist that have a thumbnail.
    """
    (folder / "epochs").mkdir(parents=True, exist_ok=True)
    facts = {"name": name, "spec": "spec.toml", "profiles": [], "sets": [], "state": state, "data_sha256": "0" * 64, "layout": LAYOUT}
    write_json(folder / "run.json", sealed(facts))
    (folder / "resolved.toml").write_text(RESOLVED.format(name=name, rank=rank, base=base), encoding="utf-8")
    entries = [_epoch(folder, name, number, exporters) for number in range(1, epochs + 1)]
    write_json(folder / "epochs" / "index.json", sealed({"layout": LAYOUT, "epochs": entries}))
    keys = {number: 0.5 - 0.1 * abs(number - 3) for number in range(1, epochs + 1)} if keys is None else keys
    if keys:
        found = ranking(keys, tied=tied, confidence=confidence, epoch=epoch)
        (folder / "ranking.json").write_text(found.to_json(), encoding="utf-8")
    if own:
        keep_own(folder, own)
    if pictures:
        draw(folder, epochs=epochs, same=same, size=size, prompts=prompts)
    return folder


def _epoch(folder: Path, name: str, number: int, exporters: Sequence[str]) -> dict[str, Any]:
    files = []
    for place in exporters:
        path = folder / "epochs" / place / f"{name}-{number:06d}.safetensors"
        path.parent.mkdir(exist_ok=True)
        metadata = {"ss_network_module": "networks.lora"} if not place else {}
        path.write_bytes(header_bytes({"weight": ("F32", (1,))}, metadata) + np.float32(number).tobytes())
        data = path.read_bytes()
        said = {"path": path.relative_to(folder / "epochs").as_posix(), "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        files.append(said)
    return {"epoch": number, "step": number * 10, "files": files, "loss": 0.5 - 0.02 * number}


def ranking(keys: Mapping[int, float], *, tied: Sequence[int] = (), confidence: Any = "high", epoch: int | None = None) -> Ranking:
    """Return a ranking with the given keys."""
    best = max(keys, key=lambda number: keys[number]) if epoch is None else epoch
    nothing = Interval(math.nan, math.nan, math.nan)

    def near(value: float) -> Interval:
        return Interval(value, value - 0.05, value + 0.05)

    rows = tuple(
        EpochScore(
            number, near(key), near(0.0), 1.0, 0.6 if number == best else 0.1, number in tied,
            labels=(Label("under-cooked", near(0.1), "the style is half there"),) if number == 1 else (),
        )
        for number, key in sorted(keys.items())
    )  # fmt: skip
    cells = tuple(
        CellScore(number, weight, near(key), {"style": near(key), "prompt": near(0.9)}, near(key), nothing)
        for number, key in sorted(keys.items())
        for weight in WEIGHTS
    )
    return Ranking(
        best, 1.0, confidence, ("few pictures",) if confidence != "high" else (), (f"Epoch {best} is the sweet spot (made up).",), rows,
        cells, {}, (), len(PROMPTS) * len(SEEDS), PROMPTS, SEEDS,
    )  # fmt: skip


def keep_own(folder: Path, count: int) -> None:
    """Write thumbnails of held-out pictures, each of one grey, and the manifest that names them."""
    from PIL import Image

    (folder / "grid" / "thumbs").mkdir(parents=True)
    for number in range(count):
        Image.new("RGB", (48, 32), (30 * number,) * 3).save(folder / "grid" / "thumbs" / f"{number:016x}.webp")
    rows = [{"key": f"{number}.png", "thumb": f"{number:016x}.webp", "heldout": True} for number in range(count)]
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def draw(folder: Path, *, epochs: int, same: bool = False, size: int = 24, prompts: Sequence[str] = PROMPTS) -> None:
    """Draw judged pictures, each of its own noise."""
    rows = []
    for number in range(epochs + 1):
        for weight in WEIGHTS if number else (0.0,):
            for p, prompt in enumerate(prompts):
                for s, seed in enumerate(SEEDS):
                    place = [1 if same and number else number, str(weight), prompt, seed]
                    rows.append({"epoch": number, "weight": weight, "prompt": p, "seed": s, "file": _picture(folder, place, number, size)})
    index = {"epochs": [*range(1, epochs + 1)], "weights": [*WEIGHTS], "prompts": [*prompts], "seeds": [*SEEDS], "cells": rows}
    write_json(folder / "grid" / "judged.json", index)


def _picture(folder: Path, place: list[Any], number: int, size: int) -> str:
    from PIL import Image

    pixels = generator(0, "finished", *map(str, place)).integers(0, 256, (size, size, 3), dtype=np.uint8)
    name = hashlib.sha256(json.dumps([number, *place]).encode()).hexdigest() + ".png"
    path = folder / "grid" / "cells" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    save_png(path, Image.fromarray(pixels), {"epoch": number})
    return name
