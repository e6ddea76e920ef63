"""Names of tensors in the original layout (CompVis, Stability), seen from diffusers' names.

Every function takes a name as diffusers has it and says where its values stand in a single-file checkpoint. Going this
way round makes loading strict: each parameter must be found, with the right shape. The same block numbers name the
modules of SDXL LoRA files (SAI block names).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from torch import Tensor

UNET_PREFIX: Final = "model.diffusion_model."
VAE_PREFIX: Final = "first_stage_model."
RESNET: Final = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
                 "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}
UNET_TOP: Final = {"time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2", "conv_in": "input_blocks.0.0",
                   "conv_norm_out": "out.0", "conv_out": "out.2", "add_embedding.linear_1": "label_emb.0.0",
                   "add_embedding.linear_2": "label_emb.0.2"}
VAE_ATTENTION: Final = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
_BLOCK: Final = re.compile(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)")
_MID: Final = re.compile(r"mid_block\.(resnets|attentions)\.(\d+)\.(.+)")
_VAE_BLOCK: Final = re.compile(r"(encoder|decoder)\.(?:down|up)_blocks\.(\d+)\.(resnets|downsamplers|upsamplers)\.(\d+)\.(.+)")
_VAE_MID: Final = re.compile(r"(encoder|decoder)\.mid_block\.(resnets|attentions)\.(\d+)\.(.+)")


def _resnet(rest: str) -> str:
    head, dot, tail = rest.partition(".")
    return RESNET[head] + dot + tail


def unet_name(name: str, config: Mapping[str, Any]) -> str:
    """Return the original name of a U-Net module or parameter; ``layers_per_block`` must be one int.

    Raises:
        KeyError: The name belongs to no known part of a U-Net.
    """
    layers = int(config.get("layers_per_block", 2))
    found = _BLOCK.fullmatch(name)
    if found:
        side, block, kind, layer, rest = found[1], int(found[2]), found[3], int(found[4]), found[5]
        place = block * (layers + 1) + layer
        if side == "down":
            if kind == "downsamplers":
                return f"input_blocks.{1 + block * (layers + 1) + layers}.0.op" + rest.removeprefix("conv")
            stem = f"input_blocks.{1 + place}"
        else:
            if kind == "upsamplers":
                inner = 2 if config["up_block_types"][block].startswith("CrossAttn") else 1
                return f"output_blocks.{block * (layers + 1) + layers}.{inner}.{rest}"
            stem = f"output_blocks.{place}"
        return f"{stem}.0.{_resnet(rest)}" if kind == "resnets" else f"{stem}.1.{rest}"
    found = _MID.fullmatch(name)
    if found:
        kind, number, rest = found[1], int(found[2]), found[3]
        return f"middle_block.{2 * number}.{_resnet(rest)}" if kind == "resnets" else f"middle_block.1.{rest}"
    for new, old in UNET_TOP.items():
        if name == new or name.startswith(new + "."):
            return old + name.removeprefix(new)
    raise KeyError(name)


def vae_name(name: str, config: Mapping[str, Any]) -> str:
    """Return the original name of a VAE's parameter.

    Raises:
        KeyError: The name belongs to no known part of a VAE.
    """
    found = _VAE_BLOCK.fullmatch(name)
    if found:
        side, block, kind, layer, rest = found[1], int(found[2]), found[3], found[4], found[5]
        where = f"encoder.down.{block}" if side == "encoder" else f"decoder.up.{len(config['block_out_channels']) - 1 - block}"
        if kind == "resnets":
            return f"{where}.block.{layer}.{rest.replace('conv_shortcut', 'nin_shortcut')}"
        return f"{where}.{'downsample' if kind == 'downsamplers' else 'upsample'}.{rest}"
    found = _VAE_MID.fullmatch(name)
    if found:
        side, kind, number, rest = found[1], found[2], int(found[3]), found[4]
        if kind == "resnets":
            return f"{side}.mid.block_{number + 1}.{rest.replace('conv_shortcut', 'nin_shortcut')}"
        module, _, leaf = rest.rpartition(".")
        return f"{side}.mid.attn_{number + 1}.{VAE_ATTENTION[module]}.{leaf}"
    if name.startswith(("quant_conv.", "post_quant_conv.", "encoder.conv_", "decoder.conv_")):
        return name.replace("conv_norm_out", "norm_out")
    raise KeyError(name)


def open_clip_values(name: str, read: Mapping[str, Tensor], prefix: str) -> Tensor:
    """Return the values of a parameter of SDXL's second text encoder, which single files keep in OpenCLIP's layout.

    Args:
        name: As in transformers, with ``text_model.``.
        read: The checkpoint.
        prefix: Where the encoder stands in it.

    Raises:
        KeyError: The checkpoint lacks it.
    """
    top = {"text_model.embeddings.position_embedding.weight": "positional_embedding",
           "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
           "text_model.final_layer_norm.weight": "ln_final.weight", "text_model.final_layer_norm.bias": "ln_final.bias"}
    if name in top:
        return read[prefix + top[name]]
    if name == "text_projection.weight":
        return read[prefix + "text_projection"].T  # OpenCLIP multiplies from the right
    layer, _, rest = name.removeprefix("text_model.encoder.layers.").partition(".")
    block = f"{prefix}transformer.resblocks.{layer}."
    found = re.fullmatch(r"self_attn\.([qkv])_proj\.(weight|bias)", rest)
    if found:
        joined = read[f"{block}attn.in_proj_{found[2]}"]
        return joined.chunk(3)["qkv".index(found[1])]
    for new, old in (("self_attn.out_proj", "attn.out_proj"), ("layer_norm1", "ln_1"), ("layer_norm2", "ln_2"), ("mlp.fc1", "mlp.c_fc"),
                     ("mlp.fc2", "mlp.c_proj")):
        if rest.startswith(new + "."):
            return read[block + old + rest.removeprefix(new)]
    raise KeyError(name)
