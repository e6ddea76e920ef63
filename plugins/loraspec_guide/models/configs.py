"""A model folder's configs: read as plain JSON, and refused where they ask for code.

A folder that brings code of its own, or asks for it, is refused rather than read without it: its weights may mean something
else to that code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from loraspec_guide.models.architecture import wrong_model

MAX_CONFIG: Final = 1 << 20
MAX_VOCABULARY: Final = 16 << 20  # bytes; CLIP's largest tokenizer file has 4 MB
PARTS: Final = ("unet", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler")
CLASSES: Final = frozenset({
    "UNet2DConditionModel", "AutoencoderKL", "CLIPTextModel", "CLIPTextModelWithProjection", "CLIPModel", "CLIPTokenizer",
    "CLIPTokenizerFast", "PNDMScheduler", "DDPMScheduler", "DDIMScheduler", "LMSDiscreteScheduler", "HeunDiscreteScheduler",
    "UniPCMultistepScheduler", "EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler", "DPMSolverMultistepScheduler",
})  # fmt: skip
PIPELINE: Final = re.compile(r"StableDiffusion(XL)?[A-Za-z0-9]*Pipeline")


def read_json(path: Path) -> dict[str, Any]:
    """Read a small JSON object.

    Raises:
        SpecError: It is not a JSON object, or larger than 1 MiB.
    """
    place = f"{path.parent.name}/{path.name}"
    try:
        if path.stat().st_size > MAX_CONFIG:
            raise wrong_model(f"{place} is larger than a config file can be", code="E-MODEL-CONFIG")
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise wrong_model(f"{place} cannot be read as JSON: {type(error).__name__}", code="E-MODEL-CONFIG") from None
    if not isinstance(read, dict):
        raise wrong_model(f"{place} holds no JSON object", code="E-MODEL-CONFIG")
    return read


def refuse_code(folder: Path) -> None:
    """Look for code in a model folder, for configs that ask for it, and for vocabularies that would fill the memory.

    Raises:
        SpecError: It has Python files, ``auto_map``, classes that are none of ``CLASSES``, or a vocabulary beyond ``MAX_VOCABULARY``.
    """
    for path in _inside(folder, ("", "tokenizer", "tokenizer_2"), "*.*"):
        size = path.stat().st_size
        if path.suffix in (".json", ".txt") and size > MAX_VOCABULARY:
            raise wrong_model(f"{path.relative_to(folder)} has {size} bytes; up to {MAX_VOCABULARY} are read", code="E-TOK-SIZE")
    found = [f"{path.relative_to(folder)} is code" for path in _inside(folder, ("", *PARTS), "*.py")]
    for path in _inside(folder, ("", *PARTS), "*config.json"):
        found += [f"{path.relative_to(folder)} {what}" for what in _asked(read_json(path))]
    index = folder / "model_index.json"
    if index.is_file():
        found += [f"{index.name} {what}" for what in _asked_by_index(read_json(index))]
    if found:
        more = f"; and {len(found) - 10} more" if len(found) > 10 else ""
        raise wrong_model(f"the folder asks for code of its own, which is never loaded: {'; '.join(found[:10])}{more}",
                          hint="use a revision without custom code", code="E-MODEL-CODE")


def _inside(folder: Path, parts: tuple[str, ...], pattern: str) -> list[Path]:
    return [path for part in parts for path in sorted((folder / part).glob(pattern)) if path.is_file()]


def _asked(config: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"has {key}" for key in ("auto_map", "custom_pipelines") if config.get(key))
    stated = config.get("architectures")
    yield from _unknown([*(stated if isinstance(stated, list) else [stated]), config.get("_class_name"), config.get("tokenizer_class")])


def _asked_by_index(index: Mapping[str, Any]) -> Iterator[str]:
    pipeline = index.get("_class_name", "StableDiffusionPipeline")
    if not isinstance(pipeline, str) or not PIPELINE.fullmatch(pipeline):
        yield f"asks for the pipeline {pipeline!r}"
    pairs = (index[part] for part in PARTS if part in index)
    yield from _unknown([pair[-1] if isinstance(pair, list) and pair else pair for pair in pairs])


def _unknown(named: list[Any]) -> Iterator[str]:
    yield from (f"asks for the class {name!r}" for name in named if name and not (isinstance(name, str) and name in CLASSES))
