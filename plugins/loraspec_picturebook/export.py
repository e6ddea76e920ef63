"""Writes the trained base as a StableDiffusionXLPipeline folder, weights in float16."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from loraspec_picturebook import models, words
from loraspec_picturebook.train_unet import encode_pool, fresh_modules
from loraspec_picturebook.train_vae import averaged
from loraspec_picturebook.training import Trainer

if TYPE_CHECKING:
    from diffusers import StableDiffusionXLPipeline

BASE: Final = Path(__file__).parent / "base"
"""The folder of the shipped base."""


def export(folder: Path, target: Path = BASE, *, seed: int = 1) -> int:
    """Writes the averaged weights of the checkpoints in folder to target; returns the bytes of all weight files."""
    modules: dict[str, Any] = fresh_modules(seed, folder)
    trainer = Trainer(modules, folder, name="unet")
    if not trainer.restore():
        raise FileNotFoundError(f"{folder}: no unet.safetensors; run the training step 'unet' first")
    trainer.use_averaged()
    vae = averaged(folder)
    _, scaling = encode_pool(folder, seed=seed)
    vae.register_to_config(scaling_factor=round(scaling, 6))
    parts = {"vae": vae, **modules}
    target.mkdir(parents=True, exist_ok=True)
    for name, part in parts.items():
        shutil.rmtree(target / name, ignore_errors=True)
        part.half().save_pretrained(target / name, safe_serialization=True)
        _tidy(target / name / "config.json")
    for name in ("text_encoder", "text_encoder_2"):
        _published_names(target / name / "model.safetensors")
    models.scheduler().save_pretrained(target / "scheduler")
    for name in ("tokenizer", "tokenizer_2"):
        words.write_tokenizer(target / name)
    index: dict[str, Any] = {
        "_class_name": "StableDiffusionXLPipeline",
        "_diffusers_version": "0.35.0",
        "feature_extractor": [None, None],
        "force_zeros_for_empty_prompt": False,
        "image_encoder": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "tokenizer_2": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (target / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    for name in ("vae", "unet"):
        log = folder / f"{name}.jsonl"
        if log.exists():
            shutil.copyfile(log, target / f"{name}.jsonl")
    return sum(path.stat().st_size for path in target.rglob("*.safetensors"))


def _published_names(path: Path) -> None:
    """Writes a text encoder's keys as SDXL's are published, so that older and newer transformers read them alike."""
    from safetensors.torch import load_file, save_file

    kept = ("text_model.", "text_projection.")
    tensors = {key if key.startswith(kept) else f"text_model.{key}": value for key, value in load_file(path).items()}
    save_file(tensors, path, metadata={"format": "pt"})


def _tidy(path: Path) -> None:
    """Takes out of a configuration what names a place on this machine."""
    config = json.loads(path.read_text(encoding="utf-8"))
    config.pop("_name_or_path", None)
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


@contextmanager
def with_lora(pipeline: Any, weights: Path | None, weight: float = 1.0) -> Iterator[None]:
    """Let the pipeline generate with a LoRA's file at an adapter weight, or (None) as it is."""
    if weights is None:
        yield
        return
    pipeline.load_lora_weights(str(weights.parent), weight_name=weights.name, adapter_name="judged")
    try:
        pipeline.set_adapters(["judged"], [weight])
        yield
    finally:
        pipeline.delete_adapters("judged")


def load_pipeline(folder: Path = BASE) -> StableDiffusionXLPipeline:
    """The pipeline of an exported base, in float32 on the CPU, quiet."""
    import torch
    from diffusers import StableDiffusionXLPipeline

    pipeline: StableDiffusionXLPipeline = StableDiffusionXLPipeline.from_pretrained(
        folder, torch_dtype=torch.float32, local_files_only=True, add_watermarker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
