"""The fused LoRA layer computes what PEFT's does: outputs, gradients, switches, half precision, checkpointing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from loraspec_guide.adapters.fused import FusedLinear, fuse
from peft import LoraConfig, inject_adapter_in_model
from torch import nn
from torch.utils.checkpoint import checkpoint


def pair(*, bias: bool = True, scale: float = 0.5, dropout: float = 0.0, rank: int = 3, **given: Any) -> tuple[nn.Module, nn.Module]:
    """A layer of PEFT with random weights, and the same fused."""
    made = []
    for fused in (False, True):
        holder = nn.ModuleDict({"one": nn.Linear(7, 5, bias=bias)}).requires_grad_(False)
        config = LoraConfig(r=rank, lora_alpha=scale * rank, lora_dropout=dropout, target_modules=["one"], **given)
        inject_adapter_in_model(config, holder, adapter_name="loraspec")
        source = torch.Generator().manual_seed(4)
        with torch.no_grad():
            for tensor in holder.parameters():
                tensor.copy_(torch.randn(tensor.shape, generator=source))
        layer = holder["one"]
        if fused:
            fuse(layer)
        made.append(layer)
    return made[0], made[1]


def inputs(*shape: int, grad: bool = True) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(9)).requires_grad_(grad)


def grads(layer: nn.Module, x: torch.Tensor, through: Any = None) -> tuple[torch.Tensor, list[torch.Tensor | None]]:
    """The output, and the gradients of input and both weights."""
    own = x.detach().clone().requires_grad_(x.requires_grad)
    out = layer(own) if through is None else through(layer, own)
    out.float().square().sum().backward()
    return out.detach(), [own.grad, layer.lora_A["loraspec"].weight.grad, layer.lora_B["loraspec"].weight.grad]


@pytest.mark.parametrize("scale", [1.0, 0.5])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(4, 7), (2, 6, 7), (2, 3, 4, 7)])
def test_outputs_and_gradients_are_peft_s(shape: tuple[int, ...], bias: bool, scale: float) -> None:
    """In float32, to the order of a sum; the base gets no gradient."""
    peft, fused = pair(bias=bias, scale=scale)
    assert type(fused) is FusedLinear
    (theirs, wanted), (ours, found) = (grads(layer, inputs(*shape)) for layer in (peft, fused))
    assert torch.allclose(theirs, ours, rtol=1e-6, atol=1e-6)
    assert all(torch.allclose(a, b, rtol=1e-5, atol=1e-5) for a, b in zip(wanted, found, strict=True))
    assert fused.base_layer.weight.grad is None


def test_an_input_that_needs_no_gradient_gets_none() -> None:
    """As in the first block that is adapted."""
    peft, fused = pair()
    (_, wanted), (_, found) = (grads(layer, inputs(4, 7, grad=False)) for layer in (peft, fused))
    assert wanted[0] is found[0] is None
    assert torch.allclose(wanted[1], found[1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_under_autocast_it_is_the_same_to_the_last_bits(dtype: torch.dtype) -> None:
    """Computed in half precision; gradients of the weights are float32."""
    peft, fused = pair()
    with torch.autocast("cpu", dtype):
        (theirs, wanted), (ours, found) = (grads(layer, inputs(2, 6, 7)) for layer in (peft, fused))
    assert ours.dtype == theirs.dtype == dtype
    assert torch.allclose(theirs.float(), ours.float(), rtol=3e-2, atol=3e-2)
    for a, b in zip(wanted, found, strict=True):
        assert a.dtype == b.dtype == torch.float32
        assert (a - b).norm() < 0.02 * a.norm()


def test_it_can_be_recomputed() -> None:
    """Gradient checkpointing gives the same gradients to the bit."""
    _, fused = pair()
    _, plain = grads(fused, inputs(2, 6, 7))
    for weight in (fused.lora_A["loraspec"].weight, fused.lora_B["loraspec"].weight):
        weight.grad = None
    _, again = grads(fused, inputs(2, 6, 7), lambda layer, x: checkpoint(layer, x, use_reentrant=False))
    assert all(torch.equal(a, b) for a, b in zip(plain, again, strict=True))


def test_switches_are_peft_s() -> None:
    """Scaled, switched off, merged and unmerged: always what PEFT gives."""
    peft, fused = pair()
    x = inputs(4, 7, grad=False)
    for act in (lambda one: one.set_scale("loraspec", 0.3), lambda one: one.enable_adapters(False), lambda one: one.enable_adapters(True),
                lambda one: one.merge(), lambda one: one.unmerge()):  # fmt: skip
        for layer in (peft, fused):
            act(layer)
        assert torch.allclose(peft(x), fused(x), rtol=1e-5, atol=1e-5)
    fused.enable_adapters(False)
    assert torch.equal(fused(x), fused.base_layer(x))


@pytest.mark.parametrize("given", [{"dropout": 0.5}, {"use_dora": True}, {"lora_bias": True}])
def test_what_it_does_not_know_stays_peft_s(given: dict[str, Any]) -> None:
    """Dropout, DoRA and biases of the update."""
    _, layer = pair(**given)
    assert type(layer) is not FusedLinear


def test_other_dtypes_than_the_input_s_go_peft_s_way() -> None:
    """A half-precision base under float32 weights, without autocast."""
    peft, fused = pair()
    for layer in (peft, fused):
        layer.base_layer.to(torch.bfloat16)
    x = inputs(4, 7, grad=False).to(torch.bfloat16)
    assert torch.equal(peft(x), fused(x))
    assert fused(x).dtype == torch.bfloat16
