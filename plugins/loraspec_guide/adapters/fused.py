"""A LoRA layer as one function of autograd: what PEFT computes, with fewer passes over memory and fewer calls."""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora.layer import Linear
from torch import Tensor, nn

from loraspec_guide.models.eightbit import EightBitLinear, widened


class LoraLinear(torch.autograd.Function):
    """``x W' + b + scale (x A') B'`` of a frozen layer and a low-rank update (Hu et al. 2021), ``'`` for transposed.

    Kept for the backward pass are the input, shared with nothing, and the ``[n, rank]`` product; the gradient of the input is left out
    where nobody asks for it, as before the first adapted block. A weight in 8 bits, with ``rows`` its scales, is widened in both passes.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, bias: Tensor | None, down: Tensor, up: Tensor, weight: Tensor, rows: Tensor | None, scale: float
    ) -> Tensor:
        """``[..., inputs]`` -> ``[..., outputs]``."""
        flat = x.reshape(-1, x.shape[-1])
        low, across = flat @ down.t(), widened(weight, rows, x.dtype).t()
        out = flat @ across if bias is None else torch.addmm(bias, flat, across)
        out.addmm_(low, up.t(), alpha=scale)
        ctx.save_for_backward(flat, weight, rows, down, up, low)
        ctx.scale, ctx.shape = scale, x.shape
        return out.view(*x.shape[:-1], weight.shape[0])

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of input, ``down`` and ``up``."""
        flat, weight, rows, down, up, low = ctx.saved_tensors
        grad = outputs[0].reshape(-1, outputs[0].shape[-1])
        inner = grad @ up if ctx.scale == 1 else (grad @ up).mul_(ctx.scale)
        to_input = (grad @ widened(weight, rows, grad.dtype)).addmm_(inner, down).view(ctx.shape) if ctx.needs_input_grad[0] else None
        to_up = grad.t() @ low
        return to_input, None, inner.t() @ flat, to_up if ctx.scale == 1 else to_up.mul_(ctx.scale), None, None, None


class FusedLinear(Linear):  # type: ignore[misc]
    """PEFT's layer with another way to the same numbers; names, state, scaling and switches are PEFT's."""

    def forward(self, x: Tensor, *given: Any, **named: Any) -> Tensor:
        """``[..., inputs]`` -> ``[..., outputs]``; what the fused form does not know goes PEFT's way."""
        if given or named or self.disable_adapters or self.merged or len(self.active_adapters) != 1:
            return super().forward(x, *given, **named)  # type: ignore[no-any-return]
        name, base, kind = self.active_adapters[0], self.base_layer, x.device.type
        tensors = (x, base.bias, self.lora_A[name].weight, self.lora_B[name].weight)
        weight, rows = base.weight, getattr(base, "scale", None)
        if not torch.is_autocast_enabled(kind):
            if len({tensor.dtype for tensor in (*tensors, x if rows is not None else weight) if tensor is not None}) > 1:
                return super().forward(x)  # type: ignore[no-any-return]
            return LoraLinear.apply(*tensors, weight, rows, self.scaling[name])  # type: ignore[no-untyped-call,no-any-return]
        dtype = torch.get_autocast_dtype(kind)
        with torch.autocast(kind, enabled=False):
            lowered = (tensor if tensor is None else tensor.to(dtype) for tensor in tensors)
            known = weight if rows is not None else weight.to(dtype)
            return LoraLinear.apply(*lowered, known, rows, self.scaling[name])  # type: ignore[no-untyped-call,no-any-return]


def fuse(layer: nn.Module) -> None:
    """Make a layer of PEFT compute the fused way, where it is a plain LoRA on a Linear layer without dropout."""
    if type(layer) is not Linear or type(layer.base_layer) not in (nn.Linear, EightBitLinear):
        return
    plain = not layer.lora_variant and not any(layer.lora_bias.values())
    if plain and all(type(one) is nn.Identity for one in layer.lora_dropout.values()):
        layer.__class__ = FusedLinear
