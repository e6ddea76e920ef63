"""Frozen layers whose weights are kept in 8 bits and widened for the moment that they are needed, forward and backward.

A weight is kept as ``float8`` (e4m3: 3 bits of mantissa, Micikevicius et al. 2022) or as ``int8``, with one scale for each output, the
largest absolute value of its row over the largest that the format holds. Computed is in the input's dtype as ever: this buys memory with
rounding and with a little time. Widened weights are never kept for the backward pass, which is what would cost the memory again.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from loraspec_guide.models.footprint import WORTH_NARROWING

FORMATS: Final = {"float8": (torch.float8_e4m3fn, 448.0), "int8": (torch.int8, 127.0)}


def narrowed(weight: Tensor, form: str) -> tuple[Tensor, Tensor]:
    """Return a weight ``[outputs, ...]`` in 8 bits and its scales ``[outputs, 1, ...]`` in float32."""
    dtype, largest = FORMATS[form]
    rows = weight.detach().float().flatten(1)
    scale = rows.abs().amax(dim=1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny) / largest
    steps = rows / scale
    kept = (steps.round() if dtype is torch.int8 else steps).clamp(-largest, largest).to(dtype)
    return kept.view(weight.shape), scale.view(-1, *[1] * (weight.ndim - 1))


def widened(weight: Tensor, scale: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Return a weight in the dtype that is computed in; without ``scale`` it is as it stands."""
    return weight if scale is None else weight.to(dtype).mul_(scale.to(dtype))


class _Product(torch.autograd.Function):
    """``x W' + b``; the gradient goes to ``x`` alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, scale: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight, scale)
        return functional.linear(x, widened(weight, scale, x.dtype), None if bias is None else bias.to(x.dtype))

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
        weight, scale = ctx.saved_tensors
        return outputs[0] @ widened(weight, scale, outputs[0].dtype), None, None, None


class _Convolution(torch.autograd.Function):
    """A convolution; the gradient goes to ``x`` alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, scale: Tensor, bias: Tensor | None, how: tuple[Any, ...]) -> Tensor:
        ctx.save_for_backward(weight, scale)
        ctx.how, ctx.shape = how, x.shape
        return functional.conv2d(x, widened(weight, scale, x.dtype), None if bias is None else bias.to(x.dtype), *how)

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
        weight, scale = ctx.saved_tensors
        whole = widened(weight, scale, outputs[0].dtype)
        return torch.nn.grad.conv2d_input(ctx.shape, whole, outputs[0], *ctx.how), None, None, None, None


class EightBitLinear(nn.Linear):
    """A Linear layer after ``narrow``: ``weight`` in 8 bits, ``scale`` beside it."""

    scale: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """``[..., inputs]`` -> ``[..., outputs]`` in the input's dtype, or autocast's."""
        x = _cast(x)
        with torch.autocast(x.device.type, enabled=False):
            return _Product.apply(x, self.weight, self.scale, self.bias)  # type: ignore[no-untyped-call,no-any-return]


class EightBitConv2d(nn.Conv2d):
    """The same of a convolution."""

    scale: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, h, w]`` -> ``[B, outputs, h', w']`` in the input's dtype, or autocast's."""
        if "scale" not in self._buffers:  # PEFT makes the two halves of a LoRA with the class of the layer that they adapt
            return super().forward(x)
        x = _cast(x)
        with torch.autocast(x.device.type, enabled=False):
            how = (self.stride, self.padding, self.dilation, self.groups)
            return _Convolution.apply(x, self.weight, self.scale, self.bias, how)  # type: ignore[no-untyped-call,no-any-return]


def narrow(module: nn.Module, form: str) -> None:
    """Keep the weights of a frozen module's Linear layers and convolutions in 8 bits, in place; biases, norms and small ones stay.

    Args:
        module: Where it lies is where it stays.
        form: ``float8`` or ``int8``.
    """
    kinds: dict[type[nn.Module], type[nn.Module]] = {nn.Linear: EightBitLinear, nn.Conv2d: EightBitConv2d}
    for layer in module.modules():
        kind = kinds.get(type(layer))
        if kind is None or not isinstance(layer.weight, Tensor) or layer.weight.numel() < WORTH_NARROWING:
            continue
        kept, scale = narrowed(layer.weight, form)
        layer.weight = nn.Parameter(kept, requires_grad=False)
        layer.register_buffer("scale", scale, persistent=False)
        layer.__class__ = kind


def _cast(x: Tensor) -> Tensor:
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x
