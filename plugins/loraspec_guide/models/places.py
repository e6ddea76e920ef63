"""Where a base model lies: a diffusers folder, a single file in the original layout, or a hub id. No torch.

Config files are read as JSON and cut down to the keys below: nothing that a model folder names is imported, and keys
that make a library fetch code (``quantization_config``, ``_attn_implementation``) never get through.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, Literal

from attrs import frozen

from loraspec.errors import EnvironmentMissing
from loraspec.values import Context
from loraspec.weights import WeightsError, read_header
from loraspec_guide.models.architecture import wrong_model
from loraspec_guide.models.configs import read_json, refuse_code
from loraspec_guide.models.kinds import WORDS, kind_of
from loraspec_guide.models.standard import STANDARD, Architecture

HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
FOLDERS: Final = frozenset({"base", "bases", "checkpoint", "checkpoints", "ckpt", "ckpts", "data", "model", "models", "weights"})


def _keys(text: str) -> frozenset[str]:
    return frozenset(text.split())


UNET_KEYS: Final = _keys(
    "sample_size in_channels out_channels center_input_sample flip_sin_to_cos freq_shift down_block_types mid_block_type up_block_types "
    "only_cross_attention block_out_channels layers_per_block downsample_padding mid_block_scale_factor dropout act_fn norm_num_groups "
    "norm_eps cross_attention_dim transformer_layers_per_block reverse_transformer_layers_per_block attention_head_dim num_attention_heads "
    "dual_cross_attention use_linear_projection upcast_attention resnet_time_scale_shift addition_embed_type addition_time_embed_dim "
    "projection_class_embeddings_input_dim time_embedding_type attention_type resnet_skip_time_act resnet_out_scale_factor "
    "conv_in_kernel conv_out_kernel"
)
VAE_KEYS: Final = _keys(
    "in_channels out_channels down_block_types up_block_types block_out_channels layers_per_block act_fn latent_channels norm_num_groups "
    "sample_size scaling_factor shift_factor latents_mean latents_std force_upcast use_quant_conv use_post_quant_conv "
    "mid_block_add_attention"
)
TEXT_KEYS: Final = _keys(
    "vocab_size hidden_size intermediate_size projection_dim num_hidden_layers num_attention_heads max_position_embeddings hidden_act "
    "layer_norm_eps attention_dropout pad_token_id bos_token_id eos_token_id"
)
SCHEDULER_KEYS: Final = _keys(
    "_class_name num_train_timesteps beta_start beta_end beta_schedule trained_betas prediction_type rescale_betas_zero_snr clip_sample "
    "set_alpha_to_one skip_prk_steps steps_offset timestep_spacing interpolation_type sample_max_value use_karras_sigmas clip_sample_range "
    "thresholding dynamic_thresholding_ratio timestep_type sigma_min sigma_max final_sigmas_type use_beta_sigmas use_exponential_sigmas "
    "variance_type"
)


@frozen
class Place:
    """A base model's place.

    Attributes:
        kind: ``folder`` (diffusers layout), ``file`` (original layout) or ``hub``.
        text: As written in the spec.
        path: Where it lies; None for a hub id.
    """

    kind: Literal["folder", "file", "hub"]
    text: str
    path: Path | None

    @property
    def public(self) -> str:
        """What a weight file may say of the base: a hub id, a package place or a bare name; never a path of the machine."""
        if self.path is None or self.text.startswith("package:"):
            return self.text
        return self.path.name


def find(text: str, context: Context, *, what: str = "model.checkpoint") -> Place:
    """Say what ``text`` names. A folder or file wins over a hub id of the same spelling; a path never becomes a hub id.

    Raises:
        EnvironmentMissing: It is a path, and nothing is there.
        SpecError: It is a file of a format that can run code.
    """
    path = context.path(text)
    if path.is_dir():
        return Place("folder", text, path)
    if path.is_file():
        if path.suffix != ".safetensors":
            raise wrong_model(f"{text!r} is not a .safetensors file; other formats can run code when they are opened, and are never loaded",
                              hint="convert it to .safetensors on a machine that you do not mind", code="E-ST-FORMAT")
        return Place("file", text, path)
    if HUB_ID.fullmatch(text) and not _means_a_path(text, context):
        return Place("hub", text, None)
    raise EnvironmentMissing(
        f"{what}: nothing is at {text!r}", hint="paths are relative to the spec; a hub id is written owner/name"
    ).coded("E-MODEL-PATH")


def _means_a_path(text: str, context: Context) -> bool:
    """Whether ``owner/name`` is a path that leads nowhere: fetching a stranger's model of that name would be the wrong repair."""
    owner, _, name = text.partition("/")
    return name.endswith((".safetensors", ".ckpt", ".pt", ".pth", ".bin")) or owner.lower() in FOLDERS or context.path(owner).exists()


def part_config(folder: Path, part: str, keys: frozenset[str], name: str = "config.json") -> dict[str, Any]:
    """Read ``folder/part/name`` and keep the known keys.

    Raises:
        SpecError: The file is missing or no JSON.
    """
    path = folder / part / name
    if not path.is_file():
        hint = "a diffusers folder has unet, vae, text_encoder, tokenizer, scheduler"
        raise wrong_model(f"{folder.name!r} has no {part}/{name}", hint=hint, code="E-MODEL-CONFIG")
    return {key: value for key, value in read_json(path).items() if key in keys}


def architecture(place: Place, family: str) -> Architecture:
    """Return what the base is: read from a folder's configs, or the family's standard one for a hub id or a single file.

    Raises:
        SpecError: The folder's configs are no model of this family.
    """
    standard = STANDARD[family]
    if place.path is None:
        return standard
    if place.kind == "file":
        kind = kind_of(tensor_names(place.path))
        if kind != family:
            hint = f"write use = {kind!r} in [model]" if kind in STANDARD else ""
            raise wrong_model(f"{place.text!r} is {WORDS[kind]}, not {WORDS[family]}", hint=hint)
        return standard
    folder = place.path
    refuse_code(folder)
    unet = part_config(folder, "unet", UNET_KEYS)
    wants_sdxl, is_sdxl = family == "sdxl", unet.get("addition_embed_type") == "text_time"
    if wants_sdxl != is_sdxl or (folder / "text_encoder_2").is_dir() != wants_sdxl:
        other = "sdxl" if is_sdxl else "sd15"
        hint = f"write use = {other!r} in [model]" if other != family else "SDXL refiners and other variants are not supported"
        raise wrong_model(f"{place.text!r} is not a model of the family {family!r}", hint=hint)
    if unet.get("in_channels", 4) != unet.get("out_channels", 4):
        raise wrong_model(f"{place.text!r} is a model with {unet['in_channels']} input channels (inpainting has 9), not {WORDS[family]}")
    text = {part: part_config(folder, part, TEXT_KEYS) for part in standard.text}
    text = {part: standard_text_defaults() | config for part, config in text.items()}
    length = min(int(config["max_position_embeddings"]) for config in text.values())
    tokenizer = folder / "tokenizer" / "tokenizer_config.json"
    if tokenizer.is_file():
        stated = read_json(tokenizer).get("model_max_length")
        length = min(length, int(stated)) if isinstance(stated, int) and stated > 2 else length
    index = folder / "model_index.json"
    zeros = read_json(index).get("force_zeros_for_empty_prompt", True) if index.is_file() else True
    return Architecture(family, unet, part_config(folder, "vae", VAE_KEYS), text,
                        part_config(folder, "scheduler", SCHEDULER_KEYS, "scheduler_config.json"), length,
                        {"force_zeros_for_empty_prompt": bool(zeros)})


def standard_text_defaults() -> dict[str, Any]:
    """Return transformers' defaults for keys that old configs of CLIP text encoders leave out."""
    return {"max_position_embeddings": 77, "intermediate_size": 2048, "hidden_size": 512, "num_hidden_layers": 12, "projection_dim": 512,
            "num_attention_heads": 8}


def tensor_names(path: Path) -> dict[str, tuple[int, ...]]:
    """Read the names and shapes in a .safetensors file from its header alone.

    Raises:
        SpecError: The file is not a whole .safetensors file.
    """
    try:
        return {name: shape for name, (_, shape) in read_header(path).tensors.items()}
    except OSError as error:
        raise wrong_model(f"{path.name!r} cannot be read: {error.strerror}", code="E-ST-HEADER") from None
    except WeightsError as error:
        hint = "download it again" if error.code in ("E-ST-HEADER", "E-ST-SIZE") else ""
        raise wrong_model(str(error), hint=hint, code=error.code) from None
