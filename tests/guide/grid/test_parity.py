"""A cell of the grid is what a person gets who loads that epoch file in diffusers with the same seed and sampler."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from loraspec.engine.cells import read_png
from loraspec.randomness import generator
from loraspec.testing.fixtures import RunOutcome
from loraspec.testing.pipelines import build_tiny

PROMPTS = ("a man, green coat, by Honoré", "a red boat")
SPEC = """\
loraspec = 1
evaluators = [{{ use = "grid" }}]
[run]
name = "tiny"
[model]
use = "{family}"
checkpoint = "base"
[data]
repeats = 2
resolution = 64
buckets = {{ step = 64, min = 64, max = 64 }}
expect = {{ images = [1, 9] }}
[[data.sources]]
use = "folder"
path = "images"
rights = "own"
[adapter]
rank = 4
alpha = 8.0
[optimizer]
use = "adamw"
lr = 0.02
[train]
epochs = 2
batch_size = 2
mixed_precision = "no"
device = "cpu"
[grid]
prompts = {prompts}
weights = [0.8, 1.0]
seeds = [3, 480187136]
negative = "{negative}"
sampler = "{sampler}"
steps = 3
guidance = 4.0
width = 64
height = 64
"""


def person(folder: Path, family: str, sampler: str) -> Any:
    """Load the base as its card says, with the sampler chosen."""
    import diffusers

    kind = {"sdxl": diffusers.StableDiffusionXLPipeline, "sd15": diffusers.StableDiffusionPipeline}[family]
    extra = {} if family == "sdxl" else {"safety_checker": None}
    pipeline = kind.from_pretrained(folder, local_files_only=True, **extra)
    name = {"euler-a": "EulerAncestralDiscreteScheduler", "dpmpp-2m": "DPMSolverMultistepScheduler"}[sampler]
    pipeline.scheduler = getattr(diffusers, name).from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def shot(pipeline: Any, prompt: str, seed: int, negative: str) -> np.ndarray[Any, Any]:
    import torch

    made = pipeline(
        prompt, negative_prompt=negative or None, generator=torch.Generator("cpu").manual_seed(seed), num_inference_steps=3,
        guidance_scale=4.0, width=64, height=64,
    )  # fmt: skip
    return np.asarray(made.images[0], dtype=np.int64)


@pytest.fixture
def base(tmp_path: Path) -> Callable[[str], Path]:
    """Write a tiny base and three captioned images; return the base's folder."""

    def write(family: str) -> Path:
        images = tmp_path / "images"
        images.mkdir()
        for number in range(3):
            pixels = generator(5, "test", number).integers(0, 256, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(images / f"{number}.png")
            (images / f"{number}.txt").write_text(f"picture {number}, by Honoré")
        return build_tiny(tmp_path / "base", f"{family}-small")

    return write


@pytest.mark.parametrize(("family", "sampler", "negative"), [("sdxl", "euler-a", ""), ("sd15", "dpmpp-2m", "blurry")])
def test_a_cell_is_what_diffusers_gives_for_its_epoch_file(
    base: Callable[[str], Path], run_spec: Callable[..., RunOutcome], family: str, sampler: str, negative: str
) -> None:
    """Every cell of a real run, pixel by pixel: the base, and each epoch at weights 0.8 and 1.0.

    Cells are generated eight at a time and a person generates one: convolutions may then round the last bit otherwise, which
    turns a pixel value by one at most.
    """
    folder = base(family)
    prompts = json.dumps(list(PROMPTS), ensure_ascii=False)
    outcome = run_spec(SPEC.format(family=family, prompts=prompts, sampler=sampler, negative=negative))
    outcome.assert_success()
    index = json.loads((outcome.folder / "grid" / "index.json").read_text())
    assert len(index["cells"]) == (2 * 2 + 1) * 2 * 2
    by_place = {
        (c["epoch"], c["weight"], c["prompt"], c["seed"]): read_png(outcome.folder / "grid" / "cells" / c["file"]) for c in index["cells"]
    }
    pipeline = person(folder, family, sampler)
    plain = {}
    for epoch in (0, 1, 2):
        if epoch:
            pipeline.unload_lora_weights()
            pipeline.load_lora_weights(outcome.folder / "epochs" / f"tiny-{epoch:06d}.safetensors", adapter_name="style")
        for weight in (0.8, 1.0) if epoch else (0.0,):
            if epoch:
                pipeline.set_adapters("style", adapter_weights=weight)
            for p, prompt in enumerate(PROMPTS):
                for s, seed in enumerate((3, 480187136)):
                    theirs = shot(pipeline, prompt, seed, negative)
                    ours = np.asarray(by_place[epoch, weight, p, s], dtype=np.int64)
                    assert np.abs(ours - theirs).max() <= 1, (epoch, weight, prompt, seed)
                    plain.setdefault((p, s), theirs)
                    if epoch == 2:
                        assert np.abs(ours - plain[p, s]).mean() > 1, "the LoRA must show, or this test compares nothing"
    assert (outcome.folder / "report.html").is_file()
