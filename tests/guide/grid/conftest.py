"""A run folder as the engine leaves it, with drawn cells instead of generated ones."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from loraspec_guide.grid.evaluator import Layout, _index, _sheets
from PIL import Image, ImageDraw

from loraspec.engine.cells import Cells, Surroundings, save_png
from loraspec.randomness import generator
from loraspec.values import Sampling

Draw = Callable[[int, float, int, int], Image.Image]
PROMPTS = ("caricature of a man, green coat, city street, lithography, by Honoré Daumier", "caricature of a large red boat, sunny beach")

RESOLVED = """\
loraspec = 1
[run]
name = "daumier"
seed = 1808
[model]
use = "guide:sdxl"
checkpoint = "package:loraspec_picturebook/base"
[data]
repeats = 10
[adapter]
use = "guide:lora"
rank = 16
alpha = 16.0
"""


def drawn(size: int = 64) -> Draw:
    """Cells that differ by epoch, weight, prompt and seed."""

    def draw(epoch: int, weight: float, prompt: int, seed: int) -> Image.Image:
        image = Image.new("RGB", (size, size), (40 + 9 * epoch, int(90 * weight) + 60, 200 - 60 * prompt))
        side = size // 4 + (seed % 5) * size // 16
        ImageDraw.Draw(image).ellipse((side, side, size - side, size - side), fill=(240, 230, 200))
        return image

    return draw


def lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def logs(steps: int, epochs: int) -> list[dict[str, Any]]:
    noise = generator(0, "test").standard_normal(steps)
    rows = []
    for step in range(10, steps + 1, 10):
        d_lr = 1e-6 * min(300.0, 1.04**step)
        loss = 0.11 + 0.05 * math.exp(-step / 300) + 0.012 * float(noise[step - 1])
        epoch = (step - 1) * epochs // steps + 1
        rows.append(
            {
                "kind": "log",
                "step": step,
                "loss": loss,
                "grad_norm": 0.3 + 0.1 * abs(float(noise[step - 2])),
                "lr": 1.0,
                "d_lr": d_lr,
                "images_per_second": 31.0 + float(noise[step - 3]),
                "epoch": epoch,
            }
        )
    return rows


def write_run(
    folder: Path,
    *,
    epochs: int = 5,
    weights: tuple[float, ...] = (0.6, 0.8, 1.0),
    prompts: tuple[str, ...] = PROMPTS,
    seeds: tuple[int, ...] = (1,),
    draw: Draw | None = None,
    size: int = 64,
    steps: int = 400,
    thumbs: Sequence[Image.Image] = (),
    captions: Sequence[str] = ("caricature of a man, tall hat, lithography",),
) -> Path:
    """Write a finished run into ``folder``; return it."""
    draw = draw or drawn(size)
    for name in ("epochs", "grid/cells", "grid/thumbs", "grid/sheets"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    numbers = tuple(range(1, epochs + 1))
    sampling = Sampling("euler-a", 20, 4.0, size, size)
    surroundings = Surroundings({"denoiser": "ab" * 32}, sampling, "cpu torch.float32 None", {"torch": "2.13.0"})
    cells = Cells(folder / "grid" / "cells", sampling, surroundings, "", {n: f"{n:064x}" for n in numbers})
    layout = Layout(numbers, weights, prompts, seeds, cells, folder / "grid")
    for group in layout.groups():
        for cell in group:
            save_png(layout.path(cell), draw(cell.epoch, cell.weight, cell.prompt, seeds[cell.seed]), {"epoch": cell.epoch})
    (folder / "grid" / "index.json").write_text(json.dumps(_index(layout, _sheets(layout), {})), encoding="utf-8")
    entries = [
        {
            "epoch": n,
            "step": steps * n // epochs,
            "loss": 0.16 - 0.002 * n,
            "d_lr": 3e-4,
            "weight_norm": 1.5 + n / 7,
            "files": [{"path": f"daumier-{n:06d}.safetensors", "bytes": 1_843_220, "sha256": f"{n:064x}"}],
        }
        for n in numbers
    ]
    (folder / "epochs" / "index.json").write_text(json.dumps({"epochs": entries}))
    rows = []
    for number in range(40):
        thumb = ""
        if number < len(thumbs):
            thumb = f"{number:016x}.webp"
            thumbs[number].save(folder / "grid" / "thumbs" / thumb)
        rows.append(
            {
                "key": f"lithograph-{number:03d}.png",
                "width": 64,
                "height": 64,
                "caption": captions[number % len(captions)],
                "caption_state": "found",
                "rights": "public-domain",
                "credits": "Honoré Daumier; National Gallery of Art, Washington",
                "heldout": number >= 36,
                "thumb": thumb,
            }
        )
    lines(folder / "manifest.jsonl", rows)
    lines(
        folder / "events.jsonl",
        [*logs(steps, epochs), {"kind": "message", "severity": "warning", "text": "2 captions are longer than 75 tokens"}],
    )
    facts = {
        "name": "daumier",
        "spec_hash": "4f1c" * 16,
        "started": "2026-11-22T12:00:00Z",
        "loraspec": "0.1.0",
        "state": "running",
        "step": steps,
        "seconds": {"load": 3.1, "prepare": 4.0, "train": 318.4},
        "peak_memory": {"host": 1_934_000_000},
    }
    (folder / "run.json").write_text(json.dumps(facts))
    (folder / "resolved.toml").write_text(RESOLVED, encoding="utf-8")
    packages = {
        name: {"version": version, "code_sha256": ""}
        for name, version in (("torch", "2.13.0"), ("diffusers", "0.42.1"), ("peft", "0.21.2"))
    }
    stages = {"optimizer": "guide:dadapt-adamw", "adapter": "guide:lora", "lr_scheduler": "guide:cosine"}
    lock = {
        "data": {"sha256": "9a" * 32},
        "model": {"family": "sdxl", "base": "loraspec_picturebook/base", "prediction": "epsilon"},
        "stages": {stage: [{"use": use, "distribution": "loraspec"}] for stage, use in stages.items()},
        "plugins": {"loraspec": {"version": "0.1.0", "code_sha256": ""}},
        "environment": {"python": "3.11.2", "packages": packages},
        "adapter": {"kind": "lora", "rank": 16, "modules": 722, "parameters": 460_800},
        "run": {"device": {"device": "cpu", "threads": 2, "compute": "float32"}, "base": {"denoiser": "cd" * 32, "vae": "ef" * 32}},
    }
    (folder / "lock.json").write_text(json.dumps(lock))
    return folder


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """``make_run(**changes)`` writes a finished run and returns its folder."""
    return lambda **changes: write_run(tmp_path / "run", **changes)
