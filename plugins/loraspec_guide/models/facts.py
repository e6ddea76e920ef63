"""``ModelFacts`` of both families, without torch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from attrs import evolve

from loraspec.memory import MemoryAsked, MemoryParts
from loraspec.values import Context, ModelFacts
from loraspec_guide.models.architecture import clip_targets, unet_targets, wrong_model
from loraspec_guide.models.files import files_of
from loraspec_guide.models.footprint import memory_of
from loraspec_guide.models.places import Place, architecture, find, tensor_names
from loraspec_guide.models.standard import Architecture
from loraspec_guide.models.tokens import counter

if TYPE_CHECKING:
    from loraspec_guide.models.registry import ModelOptions

PIPELINE_STEP = 8  # diffusers' pipelines refuse other heights and widths
PREDICTIONS = ("epsilon", "v_prediction")


def prediction_of(place: Place, base: Architecture, asked: str) -> str:
    """Return what the denoiser predicts: as asked, else as a single file's marker or the scheduler config says.

    Raises:
        SpecError: The scheduler config states something else than epsilon or v_prediction.
    """
    if asked != "auto":
        return asked
    if place.kind == "file" and place.path is not None and "v_pred" in tensor_names(place.path):
        return "v_prediction"  # the marker that v-prediction SDXL finetunes put in their files
    stated = base.scheduler.get("prediction_type", "epsilon")
    if stated not in PREDICTIONS:
        raise wrong_model(f"its scheduler predicts {stated!r}; supported are {', '.join(PREDICTIONS)}")
    return str(stated)


def facts_of(base: Architecture, *, public: str, prediction: str) -> ModelFacts:
    """Turn an architecture into facts."""
    scale = 2 ** (len(base.vae["block_out_channels"]) - 1)
    side = int(base.unet.get("sample_size") or 64) * scale
    targets = unet_targets(base.unet)
    for part, config in base.text.items():
        targets += clip_targets(config, part)
    last = list(base.text.values())[-1]
    return ModelFacts(
        family=base.family,
        step=math.lcm(PIPELINE_STEP, scale),
        native_resolution=side,
        latent_channels=int(base.vae["latent_channels"]),
        latent_scale=scale,
        text_widths=tuple(int(config["hidden_size"]) for config in base.text.values()),
        pooled_width=int(last["projection_dim"]) if base.family == "sdxl" else 0,
        max_tokens=base.max_length - 2,
        targets=targets,
        prediction=prediction,
        base=public,
        default_size=(side, side),
        unet_config=base.unet,
    )


def model_facts(options: ModelOptions, *, context: Context, family: str) -> ModelFacts:
    """Facts of the chosen base: from a folder's config files, or from the family's table for a hub id or a single file.

    Raises:
        SpecError: The checkpoint is no model of this family.
        EnvironmentMissing: Nothing is at the given path.
    """
    place = find(options.checkpoint, context)
    base = architecture(place, family)
    if place.kind == "folder" and place.path is not None:
        for file in sorted(file for part in ("unet", *base.text, "vae") for file in (place.path / part).glob("*.safetensors")):
            tensor_names(file)  # a file that was cut short is told before anything heavy is imported
    facts = facts_of(base, public=place.public, prediction=prediction_of(place, base, options.prediction))
    counts = counter(options, context, place, base, family)
    tokens = facts.max_tokens * options.chunks

    def memory(asked: MemoryAsked) -> MemoryParts:
        vae_bytes = 4 if options.vae_dtype == "float32" else 2
        given: dict[str, Any] = {"tokens": tokens + 2 * options.chunks, "vae_bytes": vae_bytes, "narrow": options.unet_dtype}
        return memory_of(base, asked, scale=facts.latent_scale, **given)

    return evolve(facts, files=files_of(options, context), counter=counts, max_tokens=tokens, memory=memory)
