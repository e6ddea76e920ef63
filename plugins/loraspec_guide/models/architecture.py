"""Which modules an adapter may adapt, read off a model's config without building it.

The published target set (networks/lora.py of sd-scripts, and every file trained with it): each Linear and each 1x1
convolution inside the U-Net's ``Transformer2DModel`` blocks. SDXL base has 722 of them, SD 1.5 has 192.
For CLIP text encoders: the four attention projections and both layers of the MLP.
Names and order are those of ``named_modules()`` in diffusers; text encoders are named as in transformers before 5.6
(with ``text_model.`` in front), which is what LoRA files use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from loraspec.errors import Problem, SpecError
from loraspec.values import Target

ATTENTION_LEAVES = ("to_q", "to_k", "to_v", "to_out.0", "q_proj", "k_proj", "v_proj", "out_proj")
DOWN = {"DownBlock2D": False, "CrossAttnDownBlock2D": True}
UP = {"UpBlock2D": False, "CrossAttnUpBlock2D": True}
MID = "UNetMidBlock2DCrossAttn"


def wrong_model(message: str, *, hint: str = "", code: str = "E-MODEL-KIND") -> SpecError:
    """Return the error for a checkpoint that this family cannot use."""
    return SpecError([Problem("model.checkpoint", message, hint, code=code)])


def per_block(value: Any, blocks: int, key: str) -> list[int]:
    """Return a per-block setting as one int for each block; diffusers allows a single int for all.

    Raises:
        SpecError: The config nests or miscounts it.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return [value] * blocks
    if isinstance(value, Sequence) and len(value) == blocks and all(isinstance(one, int) for one in value):
        return list(value)
    raise wrong_model(f"the U-Net's {key} is {value!r}; an int or {blocks} ints are supported")


def unet_targets(config: Mapping[str, Any], component: str = "unet") -> tuple[Target, ...]:
    """Walk a ``UNet2DConditionModel`` config (diffusers' keys) and return its published target set in module order.

    Raises:
        SpecError: The config uses blocks that the walk does not know.
    """
    channels = list(config["block_out_channels"])
    count = len(channels)
    down_types, up_types = list(config["down_block_types"]), list(config["up_block_types"])
    unknown = sorted({*down_types} - {*DOWN} | {*up_types} - {*UP})
    mid_type = config.get("mid_block_type", MID)
    if unknown or mid_type != MID:
        raise wrong_model(f"the U-Net has blocks {unknown or [mid_type]}; known are {sorted([*DOWN, *UP, MID])}")
    if config.get("dual_cross_attention") or config.get("attention_type", "default") != "default":
        raise wrong_model("the U-Net has attention of another kind than SDXL and SD 1.5")
    # diffusers calls the number of heads attention_head_dim unless num_attention_heads is given
    heads = per_block(config.get("num_attention_heads") or config.get("attention_head_dim", 8), count, "attention_head_dim")
    depth = per_block(config.get("transformer_layers_per_block", 1), count, "transformer_layers_per_block")
    reverse = config.get("reverse_transformer_layers_per_block")
    up_depth = depth[::-1] if reverse is None else per_block(reverse, count, "reverse_transformer_layers_per_block")
    layers = per_block(config.get("layers_per_block", 2), count, "layers_per_block")
    context = per_block(config.get("cross_attention_dim", 1280), count, "cross_attention_dim")
    only_cross = config.get("only_cross_attention", False)
    if only_cross is not False and any(only_cross if isinstance(only_cross, Sequence) else [only_cross]):
        raise wrong_model("the U-Net has blocks without self-attention (only_cross_attention)")
    linear = bool(config.get("use_linear_projection", False))

    def transformer(path: str, width: int, block: int, blocks: int) -> Iterator[Target]:
        inner = heads[block] * (width // heads[block])
        yield Target(component, f"{path}.proj_in", width, inner, conv=not linear)
        for number in range(blocks):
            base = f"{path}.transformer_blocks.{number}"
            for attention, source in (("attn1", inner), ("attn2", context[block])):
                yield Target(component, f"{base}.{attention}.to_q", inner, inner)
                yield Target(component, f"{base}.{attention}.to_k", source, inner)
                yield Target(component, f"{base}.{attention}.to_v", source, inner)
                yield Target(component, f"{base}.{attention}.to_out.0", inner, inner)
            yield Target(component, f"{base}.ff.net.0.proj", inner, 8 * inner)  # GEGLU: value and gate, each four times as wide
            yield Target(component, f"{base}.ff.net.2", 4 * inner, inner)
        yield Target(component, f"{path}.proj_out", inner, width, conv=not linear)

    found: list[Target] = []
    for block, kind in enumerate(down_types):
        for layer in range(layers[block] if DOWN[kind] else 0):
            found += transformer(f"down_blocks.{block}.attentions.{layer}", channels[block], block, depth[block])
    for number, kind in enumerate(up_types):  # diffusers registers up_blocks before mid_block
        block = count - 1 - number
        for layer in range(layers[block] + 1 if UP[kind] else 0):
            found += transformer(f"up_blocks.{number}.attentions.{layer}", channels[block], block, up_depth[number])
    found += transformer("mid_block.attentions.0", channels[-1], count - 1, depth[-1])
    return tuple(found)


def clip_targets(config: Mapping[str, Any], component: str) -> tuple[Target, ...]:
    """Return the targets of a CLIP text encoder's config (transformers' keys), in module order."""
    width, wide = int(config["hidden_size"]), int(config["intermediate_size"])
    found = []
    for layer in range(int(config["num_hidden_layers"])):
        base = f"text_model.encoder.layers.{layer}"
        found += [Target(component, f"{base}.self_attn.{leaf}", width, width) for leaf in ("k_proj", "v_proj", "q_proj", "out_proj")]
        found += [Target(component, f"{base}.mlp.fc1", width, wide), Target(component, f"{base}.mlp.fc2", wide, width)]
    return tuple(found)
