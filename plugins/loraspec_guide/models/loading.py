"""From the options of a family to its modules and tokenizers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from attrs import evolve, frozen
from torch import nn

from loraspec.errors import Problem, SpecError
from loraspec.values import Context
from loraspec_guide.models.architecture import unet_targets, wrong_model
from loraspec_guide.models.configs import refuse_code
from loraspec_guide.models.facts import prediction_of
from loraspec_guide.models.hub import download
from loraspec_guide.models.places import VAE_KEYS, Place, architecture, find, part_config, tensor_names
from loraspec_guide.models.standard import Architecture
from loraspec_guide.models.tokens import tokenizers
from loraspec_guide.models.weights import Source, by_current_name, fill, from_folder, from_single_file, outline

if TYPE_CHECKING:
    from loraspec_guide.models.registry import ModelOptions


@frozen(eq=False)
class Loaded:
    """A base on the CPU.

    Attributes:
        architecture: What it is; its scheduler config holds the prediction that was settled on.
        modules: ``unet``, ``vae``, ``text_encoder`` and perhaps ``text_encoder_2``.
        digests: sha256 of config and stored tensors by the same names.
        tokenizers: In the order of the text encoders.
        later: By name, what fills a module that is still without values: a run that finds latents and embeddings in the cache needs
            neither VAE nor text encoders to train.
    """

    architecture: Architecture
    modules: Mapping[str, nn.Module]
    digests: Mapping[str, str]
    tokenizers: tuple[Any, ...]
    later: Mapping[str, Callable[[], None]]


def load(options: ModelOptions, context: Context, *, family: str, weights: torch.dtype) -> Loaded:
    """Load every part; see ``Family.load``."""
    place = find(options.checkpoint, context)
    assumed = architecture(place, family)
    prediction = prediction_of(place, assumed, options.prediction)
    if place.kind == "hub":
        place = Place("folder", place.text, download(place.text, options.revision, variant=options.variant))
        base = architecture(place, family)
        _as_planned(base, assumed, prediction, prediction_of(place, base, options.prediction))
    else:
        base = assumed
    base = evolve(base, scheduler=base.scheduler | {"prediction_type": prediction})
    sources = {part: (config, _source(part, config, place, options, family), weights) for part, config in base.text.items()}
    sources["vae"] = *_vae(options, context, place, base, family), getattr(torch, options.vae_dtype)
    source = _source("unet", base.unet, place, options, family)
    modules, digests, later = {}, {}, dict[str, Callable[[], None]]()
    modules["unet"], digests["unet"] = fill("unet", base.unet, source, dtype=weights)
    for part, (config, source, dtype) in sources.items():
        outlined = outline(part, config, source, dtype=dtype)
        modules[part], digests[part] = outlined or fill(part, config, source, dtype=dtype)
        if outlined:
            later[part] = partial(_filled_later, part, config, source, dtype, *outlined)
    return Loaded(base, modules, digests, tokenizers(options, context, place, base, family), later)


def _filled_later(part: str, config: Mapping[str, Any], source: Source, dtype: torch.dtype, module: nn.Module, digest: str) -> None:
    """Give an outlined part its values.

    Raises:
        SpecError: Its files are others by now.
    """
    if fill(part, config, source, dtype=dtype, into=module)[1] != digest:
        names = ", ".join(file.name for file in source.read.files)
        raise wrong_model(f"files of its {part} ({names}) changed while they were in use", hint="start again", code="E-MODEL-DRIFT")


def _as_planned(base: Architecture, assumed: Architecture, prediction: str, found: str) -> None:
    hint = "download it and name the folder in model.checkpoint: then its own configs are read when the plan is made"
    if unet_targets(base.unet) != unet_targets(assumed.unet) or [*base.vae["block_out_channels"]] != [*assumed.vae["block_out_channels"]]:
        raise wrong_model("it is not of the family's standard architecture, which the plan assumed for a hub id", hint=hint)
    if prediction != found:
        raise SpecError([Problem("model.prediction", f"the base's scheduler says {found}, the plan assumed {prediction}",
                                 f"write prediction = {found!r} in [model]", code="E-MODEL-KIND")])


def _source(part: str, config: Mapping[str, Any], place: Place, options: ModelOptions, family: str) -> Source:
    path = place.path
    assert path is not None  # a hub id has become a folder by now
    if place.kind == "file":
        return from_single_file(path, part, family, config)
    return from_folder(path, part, options.variant)


def _vae(options: ModelOptions, context: Context, place: Place, base: Architecture, family: str) -> tuple[Mapping[str, Any], Source]:
    if options.vae is None:
        return base.vae, _source("vae", base.vae, place, options, family)
    other = find(options.vae, context, what="model.vae")
    if other.kind == "file":
        assert other.path is not None
        names = tensor_names(other.path)
        own = any(".mid_block." in name for name in names)  # diffusers' naming in a single file, as hub repositories have it
        return base.vae, by_current_name([other.path], "vae") if own else from_single_file(other.path, "vae", family, base.vae)
    folder = other.path or download(other.text, "main", variant=None, parts=("vae",))
    refuse_code(folder)
    part = "vae" if (folder / "vae" / "config.json").is_file() else "."
    config = part_config(folder, part, VAE_KEYS)
    for key in ("latent_channels", "block_out_channels"):
        if len(str(config.get(key))) and config.get(key) != base.vae.get(key):
            message = f"its {key} is {config.get(key)!r}; the base needs {base.vae.get(key)!r}"
            raise SpecError([Problem("model.vae", message, code="E-MODEL-KIND")])
    return config, from_folder(folder, part, None)
