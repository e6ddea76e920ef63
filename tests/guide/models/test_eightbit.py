"""Weights in 8 bits: how far they are from the whole ones, the same gradients as from what they widen to, and nothing wide kept."""

import copy

import pytest
import torch
from loraspec_guide.adapters.fused import FusedLinear, fuse
from loraspec_guide.models import eightbit
from loraspec_guide.models.eightbit import FORMATS, EightBitConv2d, EightBitLinear, narrow, narrowed, widened
from peft import LoraConfig, inject_adapter_in_model
from safetensors.torch import load_file
from torch import nn

from loraspec.randomness import generator
from loraspec.testing.pipelines import build_tiny

FAR = {"float8": 2**-4, "int8": 0.5 / 127}  # of the largest value of a row: half a step of the mantissa, half a step
SPEC = """\
loraspec = 1
evaluators = []
[run]
name = "narrow"
[model]
use = "sd15"
checkpoint = "base"
unet_dtype = "{form}"
[data]
repeats = 1
resolution = 64
buckets = {{ step = 64, min = 64, max = 64, upscale = true }}
[[data.sources]]
use = "folder"
path = "pictures"
rights = "own"
[adapter]
rank = 2
[train]
epochs = 2
mixed_precision = "{precision}"
device = "cpu"
"""


def layers():
    """A Linear layer, a strided convolution and a Linear layer too small to be worth it."""
    made = nn.ModuleDict({"linear": nn.Linear(96, 64), "conv": nn.Conv2d(16, 32, 3, stride=2, padding=1), "small": nn.Linear(8, 8)})
    for name, weight in made.named_parameters():
        weight.data = normal(name, *weight.shape) / 8
    return made


def normal(name, *shape):
    """Normal numbers that depend on a name."""
    return torch.from_numpy(generator(0, "eight bits", name).standard_normal(shape)).float()


@pytest.mark.parametrize("form", FORMATS)
def test_rounding_is_bounded_by_row(form):
    """Rows of very different sizes, one of zeros among them."""
    weight = normal("rows", 6, 40) * torch.tensor([1e-6, 1.0, 30.0, 0.0, 1e4, 1e-3]).view(-1, 1)
    kept, scale = narrowed(weight, form)
    assert kept.element_size() == 1
    assert scale.shape == (6, 1)
    error = (widened(kept, scale, torch.float32) - weight).abs()
    assert (error <= FAR[form] * weight.abs().amax(dim=1, keepdim=True) * 1.001).all()
    assert error[3].max() == 0
    assert error[1].max() > 0


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("autocast", [False, True])
def test_outputs_and_gradients_are_those_of_the_widened_weights(form, autocast):
    """Linear and convolution, in float32 and under autocast; small layers stay as they are."""
    module = layers().requires_grad_(False)
    whole = copy.deepcopy(module)
    narrow(module, form)
    assert (type(module.linear), type(module.conv), type(module.small)) == (EightBitLinear, EightBitConv2d, nn.Linear)
    for name in ("linear", "conv"):
        whole[name].weight.copy_(widened(module[name].weight, module[name].scale, torch.float32))
    for name, shape in (("linear", (5, 7, 96)), ("conv", (3, 16, 10, 12))):
        given = [normal("x", *shape).requires_grad_() for _ in range(2)]
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            ours, theirs = module[name](given[0]), whole[name](given[1])
        assert ours.dtype == theirs.dtype == (torch.bfloat16 if autocast else torch.float32)
        far = 3e-2 if autocast else 1e-5
        torch.testing.assert_close(ours, theirs, rtol=far, atol=far)
        for out in (ours, theirs):
            out.float().square().sum().backward()
        torch.testing.assert_close(given[0].grad, given[1].grad, rtol=far, atol=far * given[1].grad.abs().max())


@pytest.mark.parametrize("form", FORMATS)
def test_lora_over_it_has_the_gradients_of_the_widened_base(form):
    """In the fused layer, which reads the 8 bits itself."""
    grads = []
    for wide in (False, True):
        base = nn.Sequential(nn.Linear(96, 64)).requires_grad_(False)
        base[0].weight.copy_(normal("base", 64, 96))
        narrow(base, form)
        if wide:
            weight = widened(base[0].weight, base[0].scale, torch.float32)
            base[0] = nn.Linear(96, 64).requires_grad_(False)
            base[0].weight.copy_(weight)
        base[0].bias.copy_(torch.arange(64) / 64)
        inject_adapter_in_model(LoraConfig(r=4, target_modules=["0"]), base)
        down, up = base[0].lora_A["default"], base[0].lora_B["default"]
        down.weight, up.weight = nn.Parameter(normal("down", 4, 96)), nn.Parameter(normal("up", 64, 4))
        fuse(base[0])
        assert type(base[0]) is FusedLinear
        x = normal("x", 6, 96).requires_grad_()
        out = base(x)
        out.square().sum().backward()
        grads.append([out.detach(), x.grad, down.weight.grad, up.weight.grad])
    for ours, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4 * theirs.abs().max().item())


@pytest.mark.parametrize("adapted", [False, True])
def test_nothing_wide_is_kept_for_the_backward_pass(adapted):
    """Of the weights, only the 8 bits and their scales."""
    module = nn.Sequential(nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 256)).requires_grad_(False)
    narrow(module, "int8")
    if adapted:
        inject_adapter_in_model(LoraConfig(r=2, target_modules=["0", "2"]), module)
        for layer in (module[0], module[2]):
            layer.lora_A["default"].weight, layer.lora_B["default"].weight = nn.Parameter(torch.zeros(2, layer.in_features)), nn.Parameter(
                torch.zeros(layer.out_features, 2))  # fmt: skip
            fuse(layer)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda one: kept.append(one) or one, lambda one: one):
        module(normal("x", 1, 256).requires_grad_()).sum()
    wide = [one for one in kept if one.is_floating_point() and one.numel() >= 128 * 256]
    assert kept
    assert not wide
    assert sum(one.dtype == torch.int8 for one in kept) == 2


@pytest.mark.parametrize(("form", "precision"), [("float8", "no"), ("int8", "bf16")])
def test_a_run_trains_on_it(run_spec, spec_file, paint, tmp_path, monkeypatch, form, precision):
    """Whole, with the same bits a second time; the weights differ from those that the whole base gives, and a little only."""
    monkeypatch.setattr(eightbit, "WORTH_NARROWING", 64)  # the tiny base has no weight that is worth it
    build_tiny(tmp_path / "base", "sd15-small")
    for number in range(4):
        paint(number)
    found = {}
    for name, chosen in (("one", form), ("two", form), ("whole", "auto")):
        spec = spec_file(SPEC.format(form=chosen, precision=precision), f"{name}.toml")
        outcome = run_spec(spec, "--set", "run.name=same", folder=name)
        outcome.assert_success()
        found[name] = outcome
    assert [one.read_bytes() for one in found["one"].epoch_files] == [one.read_bytes() for one in found["two"].epoch_files]
    tensors = {name: load_file(outcome.epoch_files[-1]) for name, outcome in found.items()}
    apart = [(tensors["one"][name].float() - whole.float()).abs().max() for name, whole in tensors["whole"].items()]
    assert max(apart) > 0
    losses = {name: [event["loss"] for event in outcome.events if event["kind"] == "epoch"] for name, outcome in found.items()}
    assert losses["one"] == pytest.approx(losses["whole"], rel=0.1)
