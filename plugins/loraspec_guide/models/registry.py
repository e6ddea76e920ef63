"""Model families offered by the guide; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from attrs import frozen, validators

from loraspec.components import Component, option
from loraspec.errors import EnvironmentMissing, Problem, SpecError
from loraspec_guide.models.facts import model_facts

if TYPE_CHECKING:
    from loraspec.contracts import ModelFamily
    from loraspec.plan import Plan

CHECKPOINT = "Base model: a hub id, a diffusers folder or a single .safetensors file (relative to the spec), or package:NAME/PATH."
LIBRARIES = ("torch", "diffusers", "transformers", "tokenizers", "safetensors")


@frozen
class ModelOptions:
    """Options that both families have, without ``checkpoint``'s default."""

    checkpoint: str = option(
        help=CHECKPOINT,
        validator=validators.min_len(1),
        place=True,
    )
    revision: str = option(default="main", help="Branch, tag or commit of a hub id; a commit pins the base.")
    variant: str | None = option(default=None, help="Weight files of a folder or hub id to use, such as fp16; none: the plain ones.")
    vae: str | None = option(
        default=None, help="Another VAE in place of the base's own: a hub id, a folder or a single .safetensors file.", place=True,
    )
    vae_dtype: Literal["float32", "bfloat16", "float16"] = option(default="float32", help="dtype of the VAE; SDXL's own breaks in float16.")
    unet_dtype: Literal["auto", "float8", "int8"] = option(
        default="auto",
        help="What the U-Net's frozen weights are kept in: what mixed_precision says, or 8 bits, widened layer by layer when needed.",
    )
    compile: bool = option(default=False, help="Train on the U-Net through torch.compile: minutes before the first step, for each bucket.")
    tokenizer: str | None = option(
        default=None,
        help="Folder with CLIP's vocabulary for single files, which hold none: one with vocab.json, or with tokenizer folders inside.",
        place=True,
    )
    clip_skip: int = option(default=0, help="Last layers of the text encoders to leave out, beyond what the family leaves out itself.",
                            unit="layers", validator=[validators.ge(0), validators.le(11)])
    chunks: int = option(
        default=1, help="Prompts are read in so many pieces of 75 tokens, each with start and end, as ComfyUI and A1111 read long ones.",
        validator=[validators.ge(1), validators.le(4)],
    )
    prediction: Literal["auto", "epsilon", "v_prediction"] = option(
        default="auto", help="What the denoiser predicts; auto reads the base's scheduler config (epsilon for a hub id until it is loaded)."
    )


@frozen
class SdxlOptions(ModelOptions):
    """Options of ``sdxl``."""

    checkpoint: str = option(default="stabilityai/stable-diffusion-xl-base-1.0", help=CHECKPOINT,
                             validator=validators.min_len(1), place=True)


@frozen
class Sd15Options(ModelOptions):
    """Options of ``sd15``."""

    checkpoint: str = option(default="stable-diffusion-v1-5/stable-diffusion-v1-5", help=CHECKPOINT,
                             validator=validators.min_len(1), place=True)


def build_sdxl(options: SdxlOptions) -> ModelFamily:
    """Stable Diffusion XL: two text encoders, pooled embedding and size conditioning."""
    from loraspec_guide.models.sdxl import Sdxl

    return Sdxl(options)


def build_sd15(options: Sd15Options) -> ModelFamily:
    """Stable Diffusion 1.x: one text encoder, 512 px."""
    from loraspec_guide.models.sd15 import Sd15

    return Sd15(options)


MODEL_FAMILIES = [
    Component("sdxl", SdxlOptions, build_sdxl, LIBRARIES, partial(model_facts, family="sdxl")),
    Component("sd15", Sd15Options, build_sd15, LIBRARIES, partial(model_facts, family="sd15")),
]


def check_plan(plan: Plan) -> Iterable[Problem]:
    """Compare the sides of buckets and of grid cells with what the base can take, and the resolution with what it knows."""
    stage: Any = plan.one("model_family")
    if stage is None or stage.entry.component not in MODEL_FAMILIES:
        return
    try:
        facts = plan.model
    except (EnvironmentMissing, SpecError):
        return  # told where the facts are needed
    data, grid = plan.spec.data, plan.spec.grid
    if data.buckets.step % facts.step:
        better = -(-data.buckets.step // facts.step) * facts.step
        yield Problem("data.buckets.step", f"{data.buckets.step} is not a multiple of {facts.step}, which {facts.family} needs",
                      f"write {max(better, facts.step)} (64 is usual)", code="E-SPEC-CONFLICT")
    for key, side in (("width", grid.width), ("height", grid.height)):
        if side % facts.step:
            yield Problem(f"grid.{key}", f"{side} is not a multiple of {facts.step}, which {facts.family} needs",
                          f"write {max(round(side / facts.step), 1) * facts.step}", code="E-SPEC-CONFLICT")
    if not 0.7 <= data.resolution / facts.native_resolution <= 1.5:
        yield Problem("data.resolution", f"{data.resolution} px is far from the {facts.native_resolution} px that the base was trained at",
                      f"{facts.native_resolution} is what it draws best", severity="warning", code="W-DATA-RESOLUTION")
