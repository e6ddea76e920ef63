"""How much memory a base of the Stable Diffusion kind takes to train on, from its config alone: parameters exactly, activations by layer.

Activations are what autograd keeps of a layer for the backward pass with frozen weights and the fused LoRA layers. A norm keeps its
input, an activation function too, a convolution its input whether or not its weight is trained, attention its q, k, v and output; a frozen
linear layer keeps nothing and an adapted one its input. Nothing is kept before the first adapted block: no gradient gets there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from attrs import frozen

from loraspec.memory import MemoryAsked, MemoryParts
from loraspec_guide.models.architecture import DOWN, UP, per_block
from loraspec_guide.models.standard import Architecture

FLOAT = 4  # bytes
ROOM = 0.06  # share of the activations that is in flight beside what is kept
WORTH_NARROWING = 4096  # numbers of a weight that 8 bits are worth it for


@frozen
class Layer:
    """A part of the U-Net on its way.

    Attributes:
        kind: ``resnet``, ``transformer`` or ``resample`` (one convolution).
        inputs, outputs: Channels; for a transformer both are its width.
        level: Times that the latents were halved.
        depth, context: Blocks of a transformer, and the width of the text that it attends to.
    """

    kind: Literal["resnet", "transformer", "resample"]
    inputs: int
    outputs: int
    level: int
    depth: int = 0
    context: int = 0


def layers_of(config: Mapping[str, Any]) -> Iterator[Layer]:
    """Walk a ``UNet2DConditionModel`` config in the order of its forward pass: down, middle, up."""
    channels, last = list(config["block_out_channels"]), len(config["block_out_channels"]) - 1
    depth = per_block(config.get("transformer_layers_per_block", 1), last + 1, "transformer_layers_per_block")
    reverse = config.get("reverse_transformer_layers_per_block")
    up_depth = depth[::-1] if reverse is None else list(reverse)
    count = per_block(config.get("layers_per_block", 2), last + 1, "layers_per_block")
    context = per_block(config.get("cross_attention_dim", 1280), last + 1, "cross_attention_dim")
    width = channels[0]
    skips = [width]
    for block, kind in enumerate(config["down_block_types"]):
        for _ in range(count[block]):
            yield Layer("resnet", width, channels[block], block)
            width = channels[block]
            skips.append(width)
            if DOWN[kind]:
                yield Layer("transformer", width, width, block, depth[block], context[block])
        if block < last:
            yield Layer("resample", width, width, block)
            skips.append(width)
    yield Layer("resnet", width, width, last)
    yield Layer("transformer", width, width, last, depth[-1], context[-1])
    yield Layer("resnet", width, width, last)
    for number, kind in enumerate(config["up_block_types"]):
        block = last - number
        for _ in range(count[block] + 1):
            yield Layer("resnet", width + skips.pop(), channels[block], block)
            width = channels[block]
            if UP[kind]:
                yield Layer("transformer", width, width, block, up_depth[number], context[block])
        if block:
            yield Layer("resample", width, width, block - 1)


def unet_shapes(config: Mapping[str, Any]) -> Iterator[tuple[int, ...]]:
    """Yield the shape of every parameter of the U-Net."""
    first = config["block_out_channels"][0]
    time = 4 * first
    yield from _convolution(int(config.get("in_channels", 4)), first)
    yield from _linear(first, time)
    yield from _linear(time, time)
    if config.get("addition_embed_type") == "text_time":
        yield from _linear(int(config["projection_class_embeddings_input_dim"]), time)
        yield from _linear(time, time)
    for layer in layers_of(config):
        if layer.kind == "resample":
            yield from _convolution(layer.inputs, layer.outputs)
        elif layer.kind == "resnet":
            yield from [(layer.inputs,)] * 2
            yield from _convolution(layer.inputs, layer.outputs)
            yield from _linear(time, layer.outputs)
            yield from [(layer.outputs,)] * 2
            yield from _convolution(layer.outputs, layer.outputs)
            if layer.inputs != layer.outputs:
                yield from _convolution(layer.inputs, layer.outputs, side=1)
        else:
            yield from _transformer(layer, linear=bool(config.get("use_linear_projection", False)))
    yield from [(first,)] * 2
    yield from _convolution(first, int(config.get("out_channels", 4)))


def _transformer(layer: Layer, *, linear: bool) -> Iterator[tuple[int, ...]]:
    width = layer.inputs
    projection = (width, width) if linear else (width, width, 1, 1)
    yield from [(width,)] * 2
    for _ in range(2):  # into the blocks and out of them
        yield from (projection, (width,))
    for _ in range(layer.depth):
        yield from [(width,)] * 6
        for source in (width, layer.context):
            yield from ((width, width), (width, source), (width, source), (width, width), (width,))
        yield from _linear(width, 8 * width)
        yield from _linear(4 * width, width)


def _linear(inputs: int, outputs: int) -> Iterator[tuple[int, ...]]:
    yield from ((outputs, inputs), (outputs,))


def _convolution(inputs: int, outputs: int, side: int = 3) -> Iterator[tuple[int, ...]]:
    yield from ((outputs, inputs, side, side), (outputs,))


def numbers(shapes: Iterator[tuple[int, ...]]) -> int:
    """Return how many numbers tensors of these shapes hold."""
    total = 0
    for shape in shapes:
        count = 1
        for side in shape:
            count *= side
        total += count
    return total


def narrowed_bytes(shapes: Iterator[tuple[int, ...]], own: int) -> int:
    """Return the bytes of parameters of which large weights are kept in 8 bits with a scale for each output, others in ``own`` bytes."""
    total = 0
    for shape in shapes:
        count = numbers(iter([shape]))
        total += count + FLOAT * shape[0] if len(shape) > 1 and count >= WORTH_NARROWING else own * count
    return total


def clip_numbers(config: Mapping[str, Any], *, projection: bool) -> int:
    """Return the parameters of a CLIP text encoder."""
    width, wide = int(config["hidden_size"]), int(config["intermediate_size"])
    layer = 4 * (width * width + width) + 2 * width * wide + wide + width + 4 * width
    own = int(config["vocab_size"]) * width + int(config["max_position_embeddings"]) * width + 2 * width
    return own + int(config["num_hidden_layers"]) * layer + (width * int(config["projection_dim"]) if projection else 0)


def activations(config: Mapping[str, Any], asked: MemoryAsked, *, height: int, width: int, tokens: int) -> tuple[int, int]:
    """Return the bytes that are kept of one forward pass, without and with gradient checkpointing.

    Args:
        config: Of the U-Net.
        asked: Batch size, rank, dtype.
        height, width: Of the latents.
        tokens: Of a prompt, start and end included.

    Raises:
        SpecError: The config is one that the walk does not know.
    """
    own = FLOAT if not asked.half else 2  # bytes of what is computed
    norm = FLOAT  # a norm under autocast takes a float32 copy
    linear = bool(config.get("use_linear_projection", False))
    whole, kept, largest, begun = 0, 0, 0, False
    for layer in layers_of(config):
        # the first layer of all that keeps something is an adapted transformer
        places = asked.batch * -(-height // 2**layer.level) * -(-width // 2**layer.level)
        if layer.kind == "transformer":
            begun = True
            block = _block(layer, asked, places, own, norm, asked.batch * tokens)
            around = places * layer.inputs * (norm + 2 * own) + (0 if linear else places * asked.rank * own * 2)
            whole += around + layer.depth * block
            kept += around + layer.depth * places * layer.inputs * own
            largest = max(largest, block)
        elif begun:
            unit = places * layer.inputs * own
            if layer.kind == "resnet":
                unit = places * (layer.inputs + layer.outputs) * (2 * norm + own)
                largest = max(largest, unit)
            whole += unit
            kept += places * layer.inputs * own
    first = config["block_out_channels"][0] * asked.batch * height * width
    last = first * (2 * norm + own)
    return whole + last, kept + last + largest


def _block(layer: Layer, asked: MemoryAsked, places: int, own: int, norm: int, words: int) -> int:
    """Return what a transformer block keeps: self-attention, attention to the text, and the gated layer four times as wide."""
    copies = 3 if asked.half else 1  # q, k and v each take a copy in half precision, else they share one
    wide = layer.inputs
    kept = wide * (norm + copies * own + 4 * own)  # norm, what q k v are computed from, q k v and the output
    kept += wide * (norm + own + 2 * own)  # the same, but k and v are of the text
    kept += wide * (norm + own + 8 * own + 4 * own + 4 * own)  # value and gate, the gate's curve, their product
    low = asked.rank * own * (3 + 1 + 1 + 1 + 1 + 1)
    return places * (kept + low) + words * own * (2 * wide + 2 * asked.rank)


def memory_of(base: Architecture, asked: MemoryAsked, *, scale: int, tokens: int, vae_bytes: int, narrow: str) -> MemoryParts:
    """Return the parts of the device's memory; see ``loraspec.memory.MemoryParts``."""
    own = FLOAT if not asked.half_weights else 2
    shapes = unet_shapes(base.unet)
    weights = numbers(shapes) * own if narrow == "auto" else narrowed_bytes(shapes, own)
    without, with_ = activations(base.unet, asked, height=asked.height // scale, width=asked.width // scale, tokens=tokens)
    texts = sum(clip_numbers(config, projection=name == "text_encoder_2") for name, config in base.text.items()) * own
    widest = int(base.vae["block_out_channels"][0]) * asked.width * asked.height * vae_bytes
    return MemoryParts(
        weights=weights, activations=round(without * (1 + ROOM)), checkpointed=round(with_ * (1 + ROOM)), text_encoders=texts,
        vae=vae_numbers(base.vae) * vae_bytes + 4 * widest,
    )  # fmt: skip


def vae_numbers(config: Mapping[str, Any]) -> int:
    """Return the parameters of an ``AutoencoderKL``."""
    channels, count, latent = list(config["block_out_channels"]), int(config.get("layers_per_block", 2)), int(config["latent_channels"])

    def resnet(inputs: int, outputs: int) -> int:
        own = 2 * inputs + 2 * outputs + 9 * inputs * outputs + outputs + 9 * outputs * outputs + outputs
        return own + (inputs * outputs + outputs if inputs != outputs else 0)

    top = channels[-1]
    middle = 2 * resnet(top, top) + (2 * top + 4 * (top * top + top) if config.get("mid_block_add_attention", True) else 0)
    total = 2 * middle
    total += numbers(_convolution(int(config.get("in_channels", 3)), channels[0])) + numbers(_convolution(latent, top))
    total += 2 * top + numbers(_convolution(top, 2 * latent)) + 2 * channels[0] + numbers(_convolution(channels[0], 3))
    width = channels[0]
    for block, outputs in enumerate(channels):
        total += resnet(width, outputs) + (count - 1) * resnet(outputs, outputs)
        width = outputs
        total += numbers(_convolution(outputs, outputs)) if block < len(channels) - 1 else 0
    width = top
    for block, outputs in enumerate(reversed(channels)):
        total += resnet(width, outputs) + count * resnet(outputs, outputs)
        width = outputs
        total += numbers(_convolution(outputs, outputs)) if block < len(channels) - 1 else 0
    quant = (2 * latent) ** 2 + 2 * latent if config.get("use_quant_conv", True) else 0
    return total + quant + (latent * latent + latent if config.get("use_post_quant_conv", True) else 0)
