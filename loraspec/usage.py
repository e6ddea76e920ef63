"""How a file of weights is used in other programs, in their own words. No torch."""

from __future__ import annotations

import json
from pathlib import Path

from attrs import frozen

from loraspec.finished import Finished
from loraspec.weights import WeightsError, read_header


@frozen
class Use:
    """How one program takes a file: ``program`` and one or several ``lines``."""

    program: str
    lines: tuple[str, ...]


def uses(run: Finished, epoch: int, weight: float) -> tuple[Use, ...]:
    """Return what to do with the files of an epoch in ComfyUI, A1111 and diffusers, and what the prompt needs.

    Raises:
        SpecError: The epoch is not committed.
    """
    paths = [run.file(name) for name in run.digests(epoch)]
    first = next((path for path in paths if _is_kohya(path)), paths[0])
    node = "Load LoRA" if run.setting("adapter.text_encoder", False) else "LoraLoaderModelOnly"
    load = f"pipe.load_lora_weights({_quoted(first.parent)}, weight_name={_quoted(first.name)}, adapter_name=\"style\")"
    found = [
        Use("ComfyUI", (f"put {first.name} into models/loras; node {node}, strength_model {words(weight)}",)),
        Use("A1111", (f"put {first.name} into models/Lora; prompt: <lora:{first.stem}:{weight:g}>",)),
        Use("diffusers", (load, f"pipe.set_adapters(\"style\", {words(weight)})")),
    ]
    if tag := str(run.setting("captions.style_tag", "")):
        found.append(Use("prompt", (f"write the style's tag in it: {tag}",)))
    if str(run.setting("model.checkpoint", "")).startswith("package:"):
        where = "it comes inside a Python package: ComfyUI and A1111 do not have it, diffusers loads its folder"
        found.append(Use("base", (where,)))
    return tuple(found)


def words(weight: float) -> str:
    """Return a weight as people write it: ``0.85``, ``1.0``."""
    text = f"{weight:g}"
    return text if "." in text or "e" in text else f"{text}.0"


def _quoted(text: Path | str) -> str:
    return json.dumps(str(text), ensure_ascii=False)


def _is_kohya(path: Path) -> bool:
    """Whether a file is in the form that all three programs read."""
    try:
        return "ss_network_module" in read_header(path).metadata
    except (OSError, WeightsError):
        return False
