"""The adapter ``lora`` on the tiny family of the suites and on tiny diffusers pipelines."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from loraspec_guide.adapters import registry
from loraspec_guide.adapters.dropout import Clock, KeyedDropout
from loraspec_guide.adapters.registry import ADAPTERS, LoraOptions, lora_facts

from loraspec.engine.events import Events
from loraspec.errors import RunError, SpecError
from loraspec.randomness import generator, rng_of
from loraspec.testing import AdapterSuite
from loraspec.values import AdapterState, Placement


class TestLora(AdapterSuite):
    use = "lora"
    options = {"rank": 2, "alpha": 1.0}  # noqa: RUF012


Family = Callable[..., tuple[Any, Any]]
"""The fixture ``own_family``: a loaded tiny family to adapt, and its facts."""


def predict(family: Any) -> torch.Tensor:
    noisy = torch.from_numpy(generator(0, "noisy").standard_normal((2, 4, 8, 8))).float()
    encoded = family.encode_tokens(torch.from_numpy(family.tokenize(["a cat", "a dog"])))
    conditioning = family.condition(encoded, placements=[Placement(64, 64, (64, 64), (0, 0), (64, 64))] * 2)
    out: torch.Tensor = family.denoise(noisy, timesteps=torch.tensor([5, 800]), conditioning=conditioning)
    return out


def stir(adapter: Any) -> None:
    state = adapter.state()
    for name, tensor in state.tensors.items():
        tensor.copy_(torch.from_numpy(generator(3, "stir", name).standard_normal(tuple(tensor.shape))) * 0.2)
    adapter.load_state(state)


@pytest.mark.parametrize("options", [LoraOptions(rank=2), LoraOptions(rank=3, target_modules="attention", text_encoder=True),
                                     LoraOptions(rank=2, target_modules=("to_k", "ff.net.2"))])  # fmt: skip
@pytest.mark.parametrize("shape", ["sdxl-small", "sd15-small"])
def test_what_is_trained_is_what_the_plan_said(shape: str, options: LoraOptions, own_family: Family) -> None:
    """Modules, shapes and alphas of the injected adapter are those of the facts, and nothing else in the base trains."""
    family, model = own_family(shape)
    adapter = ADAPTERS[0].build(options)
    [group] = adapter.inject(family, rng=rng_of(1))

    facts, state = lora_facts(options, model=model), adapter.state()
    assert {name: tuple(tensor.shape) for name, tensor in state.tensors.items()} == dict(facts.tensors)
    assert dict(state.alphas) == dict(facts.alphas)
    trainable = [p for part in (family.denoiser, *family.text_encoders.values()) for p in part.parameters() if p.requires_grad]
    assert sum(p.numel() for p in trainable) == facts.parameters == sum(p.numel() for p in group["params"])


def test_first_weights_have_the_distribution_of_peft(own_family: Family) -> None:
    """down is uniform up to 1 / sqrt(inputs), each module from its own draw; up is zero."""
    family, _ = own_family("sdxl-small")
    adapter = ADAPTERS[0].build(LoraOptions(rank=64))
    adapter.inject(family, rng=rng_of(1))

    for name, tensor in adapter.state().tensors.items():
        if ".lora_up." in name:
            assert not tensor.any()
            continue
        bound = tensor.shape[1] ** -0.5
        assert float(tensor.abs().max()) <= bound
        assert float(tensor.std()) == pytest.approx(bound / 3**0.5, rel=0.15)
        drawn = rng_of(1)("adapter", name.removesuffix(".lora_down.weight")).uniform(-bound, bound, tuple(tensor.shape))
        assert np.array_equal(tensor.numpy(), drawn.astype(np.float32))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weight_zero_is_exactly_the_base(dtype: torch.dtype, own_family: Family) -> None:
    """To the bit, whatever the base's dtype; the adapter itself stays float32 and trainable when it is back."""
    family, _ = own_family("sdxl-small", dtype)
    with torch.no_grad():
        base = predict(family)
    adapter = ADAPTERS[0].build(LoraOptions(rank=2, text_encoder=True))
    [group] = adapter.inject(family, rng=rng_of(1))
    stir(adapter)
    with torch.no_grad():
        trained = predict(family)
        adapter.set_weight(0.0)
        assert predict(family).equal(base)
        adapter.set_weight(1.0)
        assert predict(family).equal(trained)
    assert not trained.equal(base)
    assert all(p.dtype == torch.float32 and p.requires_grad for p in group["params"])


def test_text_encoders_learn_when_asked(own_family: Family) -> None:
    """Gradients reach the adapters in both text encoders through encode_tokens."""
    family, _ = own_family("sdxl-small")
    adapter = ADAPTERS[0].build(LoraOptions(rank=2, text_encoder=True))
    adapter.inject(family, rng=rng_of(1))
    stir(adapter)
    predict(family).square().sum().backward()

    for part in family.text_encoders.values():
        trained = [p for p in part.parameters() if p.requires_grad]
        assert trained
        assert sum(bool(p.grad is not None and p.grad.any()) for p in trained) >= len(trained) // 2


def test_unknown_endings_are_refused(own_family: Family) -> None:
    """An ending that fits nothing names those that would."""
    _, model = own_family("sd15-small")
    with pytest.raises(SpecError, match=r"'to_x'.*\n?.*to_q"):
        lora_facts(LoraOptions(target_modules=("to_k", "to_x")), model=model)


def test_state_of_another_adapter_is_refused(own_family: Family) -> None:
    """Other modules, ranks or alphas are not loaded half."""
    family, _ = own_family("sdxl-small")
    adapter = ADAPTERS[0].build(LoraOptions(rank=2, alpha=1.0))
    adapter.inject(family, rng=rng_of(1))
    state = adapter.state()

    for wrong in (AdapterState("lokr", state.tensors, state.alphas, 2),
                  AdapterState("lora", dict(list(state.tensors.items())[1:]), state.alphas, 2),
                  AdapterState("lora", state.tensors, dict.fromkeys(state.alphas, 2.0), 2)):  # fmt: skip
        with pytest.raises(RunError) as caught:
            adapter.load_state(wrong)
        assert caught.value.code == "E-ADAPTER-SHAPE"


def test_dropout_is_a_function_of_step_and_pass() -> None:
    """The same step gives the same mask in any run, another step or pass another one; evaluation has none; checkpointing repeats it."""
    values, clock = torch.ones(4, 1000), Clock()
    layer = KeyedDropout(0.25, "unet.to_q", rng_of(1), clock)
    clock.start(7)
    first, second = layer(values), layer(values)
    again = KeyedDropout(0.25, "unet.to_q", rng_of(1), clock)
    assert again(values).equal(first)
    assert again(values).equal(second)
    assert not first.equal(second)
    assert float(first.mean()) == pytest.approx(1, abs=0.05)
    assert float((first == 0).float().mean()) == pytest.approx(0.25, abs=0.03)
    clock.start(8)
    eighth = layer(values)
    assert not eighth.equal(first)
    assert KeyedDropout(0.25, "unet.to_q", rng_of(1), clock)(values).equal(eighth)  # passes are counted anew, as after a resume
    assert layer.eval()(values) is values

    clock.start(9)
    gradients = []
    for checkpointed in (False, True):
        fresh, weight = KeyedDropout(0.5, "m", rng_of(1), clock), torch.ones(64, requires_grad=True)

        def work(x: torch.Tensor, fresh: KeyedDropout = fresh) -> torch.Tensor:
            return fresh(x * x).square()

        out = torch.utils.checkpoint.checkpoint(work, weight, use_reentrant=False) if checkpointed else work(weight)
        out.sum().backward()
        gradients.append(weight.grad)
    assert gradients[0] is not None
    assert gradients[1] is not None
    assert gradients[0].equal(gradients[1])


def test_dropout_reaches_training_only(own_family: Family) -> None:
    """With dropout two steps differ in training mode and not in evaluation; torch's global generator is not drawn from."""
    family, _ = own_family("sdxl-small")
    adapter = ADAPTERS[0].build(LoraOptions(rank=2, dropout=0.5))
    adapter.inject(family, rng=rng_of(1))
    stir(adapter)
    events = Events(lambda text: None)
    events.register([("lora", adapter, False)])
    before, seen = torch.random.get_rng_state(), {}
    for training in (True, False):
        family.denoiser.train(training)
        for step in (1, 2):
            events.hook.loraspec_before_step(run=None, step=step, batch=None)
            seen[training, step] = predict(family).detach()
    assert not seen[True, 1].equal(seen[True, 2])
    assert seen[False, 1].equal(seen[False, 2])
    assert torch.random.get_rng_state().equal(before)


def test_large_alpha_is_warned_about() -> None:
    """alpha far above the rank is rarely meant."""
    stage = SimpleNamespace(entry=SimpleNamespace(component=ADAPTERS[0]), options=LoraOptions(rank=4, alpha=64.0))
    plan: Any = SimpleNamespace(one=lambda name: stage)
    [problem] = registry.check_plan(plan)
    assert (problem.path, problem.severity) == ("adapter.alpha", "warning")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_float32_weights_are_folded_and_others_run_beside(dtype: torch.dtype, own_family: Family) -> None:
    """In float32 the sum is the base's own weight meanwhile; bfloat16 would round it, so it is left as it is."""
    family, _ = own_family("sdxl-small")
    family.denoiser.to(dtype)
    adapter = ADAPTERS[0].build(LoraOptions(rank=2, text_encoder=False))
    adapter.inject(family, rng=rng_of(1))
    stir(adapter)
    bases = {name: (one.base_layer.weight, one.base_layer.weight.clone()) for name, one in family.denoiser.named_modules()
             if hasattr(one, "lora_A")}  # fmt: skip
    with adapter.folded(0.8):
        changed = [not weight.equal(before) for weight, before in bases.values()]
        assert changed == [dtype == torch.float32] * len(bases)
        with torch.no_grad():
            inside = predict(family) if dtype == torch.float32 else None
    assert all(weight.equal(before) for weight, before in bases.values())
    adapter.set_weight(0.8)
    with torch.no_grad():
        assert inside is None or inside.allclose(predict(family), rtol=1e-4, atol=1e-4)
