"""What a LoRA of the caption experiment does when it is asked for scenes that it never saw."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from loraspec_picturebook.export import with_lora
from loraspec_picturebook.probe import load, score
from loraspec_picturebook.quality import generate
from loraspec_picturebook.styles import STYLES
from loraspec_picturebook.truth import distance, held_out, true_set, way
from loraspec_picturebook.wording.arms import EPOCHS, FORMS

SCENES: Final = 64
STEPS: Final = 16
GUIDANCE: Final = 4.0
READ: Final = ("subject", "colour", "setting")


def measured(pipeline: Any, run: Path | None, style_name: str, seed: int, cache: Path) -> dict[str, float]:
    """Return the numbers of a finished run (None: of the base), the same scenes and noise for every arm of a seed.

    Returns:
        ``FORM subject``, ``FORM colour``, ``FORM setting``: the share of pictures in which the probe sees what the prompt says, 0 to 1.
        ``FORM distance``: energy distance to the true pictures of the scenes. ``floor``: that of another true set.
        ``true subject`` and on: what the probe reads in true pictures.
    """
    import torch

    style, scenes = STYLES[style_name], held_out(SCENES, seed=1000 + seed)
    true = true_set(scenes, style)
    probe = load("styled", cache)
    found = {"floor": distance(true_set(scenes, style, layout=1), true)}
    found |= {f"true {what}": value for what, value in score(probe, true, scenes).items()}
    weights = None if run is None else _weights(run)
    for form, prompt in FORMS.items():
        prompts = [prompt(scene, style) for scene in scenes]
        with torch.inference_mode(), with_lora(pipeline, weights, 1.0):
            pictures = generate(pipeline, prompts, steps=STEPS, guidance=GUIDANCE, seed=seed * 1_000_003, batch=32)
        found[f"{form} distance"] = distance(pictures, true)
        found |= {f"{form} {what}": value for what, value in score(probe, pictures, scenes).items() if what in READ}
    return found


def readings(found: dict[str, float], base: dict[str, float]) -> dict[str, float]:
    """Return what the page speaks of, from a run's numbers and those of the base on the same scenes."""
    values = {f"{form} {what}": found[f"{form} {what}"] for form in FORMS for what in READ}
    values |= {f"{form} style": way(base["own distance"], found[f"{form} distance"], found["floor"]) for form in FORMS}
    return values | {"setting lost when late": found["own setting"] - found["late setting"]}


def _weights(run: Path) -> Path:
    [file] = sorted((run / "epochs").glob(f"*-{EPOCHS:06d}.safetensors"))
    return file
