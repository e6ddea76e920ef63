"""The sizes that are measured: the embedded base, the full-size SD 1.5 with random weights at 128 px, and one for a GPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from attrs import frozen

from loraspec.randomness import generator
from loraspec.testing.pipelines import build_tiny, write_vocabulary


@frozen
class Size:
    """What is trained on, and how.

    Attributes:
        name: For people.
        family: Family of the base.
        base: ``embedded``, ``full`` or the name of a tiny pipeline.
        batch, side: Pictures of a step, and their side in px.
        images: Of the folder.
        steps: In a turn of a benchmark.
        device, precision: As in ``[train]``.
        checkpointing: Whether activations are computed again in the backward pass.
    """

    name: str
    family: Literal["sdxl", "sd15"]
    base: str
    batch: int
    side: int
    images: int = 16
    steps: int = 5
    device: str = "cpu"
    precision: str = "no"
    checkpointing: bool = False

    def checkpoint(self, folder: Path) -> str:
        """Return what ``model.checkpoint`` says; a base that has to be built is, below ``folder``, once."""
        if self.base == "embedded":
            return "package:loraspec_picturebook/base"
        place = folder / self.base / self.family
        if not (place / "model_index.json").is_file():
            build_full(place, self.family) if self.base == "full" else build_tiny(place, self.base)  # type: ignore[arg-type]
        return str(place)


EMBEDDED: Final = Size("embedded", "sdxl", "embedded", batch=4, side=64)
SD15: Final = Size("sd15-128", "sd15", "full", batch=1, side=128, images=8, steps=2)
SDXL_GPU: Final = Size("sdxl-1024-gpu", "sdxl", "full", batch=1, side=1024, steps=10, device="cuda", precision="bf16", checkpointing=True)
TINY: Final = Size("tiny", "sd15", "sd15-small", batch=1, side=64, images=4, steps=1)  # where nothing is measured


def build_full(folder: Path, family: Literal["sdxl", "sd15"]) -> None:
    """Write a diffusers folder of the published architecture with random weights in float16."""
    import diffusers
    import torch
    import transformers
    from loraspec_guide.models.standard import STANDARD

    base = STANDARD[family]
    names = ["tokenizer", "tokenizer_2"] if family == "sdxl" else ["tokenizer"]
    made = {type(write_vocabulary(folder / name)).__name__ for name in names}.pop()
    with torch.device("meta"):
        parts: dict[str, Any] = {"unet": diffusers.UNet2DConditionModel(**base.unet), "vae": diffusers.AutoencoderKL(**base.vae)}
        for name, config in base.text.items():
            kind = transformers.CLIPTextModelWithProjection if name == "text_encoder_2" else transformers.CLIPTextModel
            parts[name] = kind(transformers.CLIPTextConfig(**config))
    for number, (name, module) in enumerate(parts.items()):
        _fill(module.to_empty(device="cpu"), number)
        module.half().save_pretrained(folder / name)
        parts[name] = [type(module).__module__.split(".")[0], type(module).__name__]
    diffusers.DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
                            set_alpha_to_one=False, steps_offset=1).save_pretrained(folder / "scheduler")  # fmt: skip
    two = family == "sdxl"
    index = {"_class_name": "StableDiffusionXLPipeline" if two else "StableDiffusionPipeline", **parts,
             "scheduler": ["diffusers", "DDIMScheduler"], **{name: ["transformers", made] for name in names}}  # fmt: skip
    index |= {"force_zeros_for_empty_prompt": True} if two else {
        "safety_checker": [None, None], "feature_extractor": [None, None], "requires_safety_checker": False}  # fmt: skip
    (folder / "model_index.json").write_text(json.dumps(index, indent=1))


def _fill(module: Any, seed: int) -> None:
    """Uniform weights of variance 1 / fan-in, ones and zeros in norms and biases; buffers of positions count up."""
    import torch

    chance = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if weight.ndim < 2:
                weight.fill_(1.0 if name.endswith("weight") else 0.0)
            else:
                bound = (3 / weight[0].numel()) ** 0.5
                weight.uniform_(-bound, bound, generator=chance)
        for buffer in module.buffers():
            buffer.copy_(torch.arange(buffer.numel()).view(buffer.shape))


def write_images(folder: Path, size: Size) -> None:
    """Write the pictures of noise that are trained on, each with a caption."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for number in range(size.images):
        pixels = generator(0, "bench", number).integers(0, 256, (size.side, size.side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
        (folder / f"{number:02}.txt").write_text(f"picture {number}, noise, in colour, many dots, by Nobody", encoding="utf-8")


SPEC: Final = """\
loraspec = 1
evaluators = []
[run]
name = "bench"
[model]
use = "{family}"
checkpoint = "{checkpoint}"
[data]
repeats = 10
resolution = {side}
buckets = {{ step = 64, min = 64, max = {side} }}
expect = {{ images = [1, 99], min_side = 64 }}
[[data.sources]]
use = "folder"
path = "images"
rights = "own"
[[captions.transforms]]
use = "tidy"
[[captions.transforms]]
use = "shuffle"
keep = 1
[adapter]
rank = 16
alpha = 16
[optimizer]
use = "{optimizer}"
{rate}
[lr_scheduler]
use = "cosine"
[train]
epochs = 20
batch_size = {batch}
mixed_precision = "{precision}"
device = "{device}"
gradient_checkpointing = {checkpointing}
[[trackers]]
use = "jsonl"
"""


def write_spec(folder: Path, size: Size, checkpoint: str, optimizer: str = "dadapt-adamw", rate: str = "") -> Path:
    """Write a spec and, once, its images; return its path."""
    if not (folder / "images").is_dir():
        write_images(folder / "images", size)
    path = folder / f"{optimizer}.toml"
    given = {"family": size.family, "checkpoint": checkpoint, "side": size.side, "batch": size.batch, "device": size.device}
    given |= {"precision": size.precision, "checkpointing": str(size.checkpointing).lower(), "optimizer": optimizer, "rate": rate}
    path.write_text(SPEC.format(**given), encoding="utf-8")
    return path
