"""The built-in optimizers, and what a plan refuses of them."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stdout
from types import SimpleNamespace

import pytest
import torch
from attrs import frozen
from loraspec_guide.optim import registry

from loraspec import option
from loraspec.errors import EnvironmentMissing
from loraspec.randomness import generator

COMPONENTS = {component.name: component for component in registry.OPTIMIZERS}


def parameters(*shapes: tuple[int, ...]) -> list[torch.nn.Parameter]:
    return [
        torch.nn.Parameter(torch.from_numpy(generator(1, "test", i).standard_normal(shape)).float()) for i, shape in enumerate(shapes)
    ]


def train(optimizer: torch.optim.Optimizer, values: list[torch.nn.Parameter], steps: int = 8) -> list[torch.Tensor]:
    for step in range(steps):
        for i, value in enumerate(values):
            value.grad = torch.from_numpy(generator(2, "grad", step, i).standard_normal(tuple(value.shape))).float() + value.detach()
        optimizer.step()
    return [value.detach().clone() for value in values]


def build(name: str, values: list[torch.nn.Parameter], **options: object) -> torch.optim.Optimizer:
    component = COMPONENTS[name]
    return component.build(component.options(**options))([{"params": values}])


def test_dadapt_adamw_equals_the_library_with_decoupled_decay() -> None:
    """Weights and d are those of ``DAdaptAdam(decouple=True)``, to the order of a sum."""
    from dadaptation import DAdaptAdam

    ours, theirs = parameters((4, 3), (5,)), parameters((4, 3), (5,))
    optimizer = build("dadapt-adamw", ours, weight_decay=0.1)
    with redirect_stdout(io.StringIO()):
        reference = DAdaptAdam(theirs, lr=1.0, weight_decay=0.1, decouple=True)
    for mine, other in zip(train(optimizer, ours, 40), train(reference, theirs, 40), strict=True):
        assert torch.allclose(mine, other, rtol=1e-5, atol=1e-6)
    assert optimizer.param_groups[0]["d"] == pytest.approx(reference.param_groups[0]["d"], rel=1e-6)
    assert optimizer.param_groups[0]["d"] > 1e-6


def test_dadapt_adamw_differs_from_coupled_decay() -> None:
    """The default of the library (decay inside the gradient) would give other weights."""
    from dadaptation import DAdaptAdam

    ours, theirs = parameters((4, 3)), parameters((4, 3))
    optimizer = build("dadapt-adamw", ours, weight_decay=0.5)
    reference = DAdaptAdam(theirs, lr=1.0, weight_decay=0.5)
    assert not torch.equal(train(optimizer, ours, 40)[0], train(reference, theirs, 40)[0])


def test_dadapt_adamw_prints_nothing() -> None:
    """The library prints when it decouples; a run's output is the run's."""
    said = io.StringIO()
    with redirect_stdout(said):
        build("dadapt-adamw", parameters((2,)))
    assert said.getvalue() == ""


def test_dadapt_adamw_resumes_from_json() -> None:
    """Groups survive JSON without inf, and a restored optimizer goes on with the same bits."""
    whole, halves = parameters((4, 3)), parameters((4, 3))
    straight = train(build("dadapt-adamw", whole), whole, 12)
    first = build("dadapt-adamw", halves)
    train(first, halves, 6)
    state = first.state_dict()
    groups = json.loads(json.dumps(state["param_groups"], allow_nan=False))
    second = build("dadapt-adamw", halves)
    second.load_state_dict({"state": state["state"], "param_groups": groups})
    for step in range(6, 12):
        for i, value in enumerate(halves):
            value.grad = torch.from_numpy(generator(2, "grad", step, i).standard_normal(tuple(value.shape))).float() + value.detach()
        second.step()
    assert torch.equal(straight[0], halves[0].detach())


def test_dadapt_adamw_growth_rate_limits_d() -> None:
    """With growth_rate 1.02, d is at most d0 * 1.02^steps."""
    free, held = parameters((4, 3)), parameters((4, 3))
    train(unlimited := build("dadapt-adamw", free), free, 20)
    train(limited := build("dadapt-adamw", held, growth_rate=1.02), held, 20)
    assert limited.param_groups[0]["d"] <= 1e-6 * 1.02**20 * (1 + 1e-9) < unlimited.param_groups[0]["d"]


def test_adamw_is_fused_and_equals_plain_adamw() -> None:
    """The fused kernel is chosen, and differs from the plain formula by rounding only."""
    ours, theirs = parameters((4, 3)), parameters((4, 3))
    optimizer = build("adamw", ours, lr=0.01, weight_decay=0.1)
    assert optimizer.param_groups[0]["fused"]
    reference = torch.optim.AdamW(theirs, lr=0.01, weight_decay=0.1, foreach=False, fused=False)
    torch.testing.assert_close(train(optimizer, ours), train(reference, theirs), rtol=1e-5, atol=1e-6)


def test_adamw_8bit_names_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without bitsandbytes the error is what to type."""
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    with pytest.raises(EnvironmentMissing, match="bitsandbytes") as caught:
        build("adamw-8bit", parameters((2,)))
    assert caught.value.hint == "pip install 'loraspec[adamw-8bit]'"


def test_adafactor_moves_weights_that_start_at_zero() -> None:
    """LoRA's up weights start at zero; the given learning rate reaches them in full."""
    value = torch.nn.Parameter(torch.zeros(6, 4))
    optimizer = build("adafactor", [value], lr=0.01)
    value.grad = torch.ones(6, 4)
    optimizer.step()
    torch.testing.assert_close(value.detach(), torch.full((6, 4), -0.01), rtol=1e-3, atol=0)


@pytest.mark.parametrize("name", ["dadapt-adamw", "adamw", "adafactor"])
@pytest.mark.parametrize("scheduler", ["constant", "cosine", "linear"])
def test_optimizers_work_with_every_scheduler(name: str, scheduler: str) -> None:
    """Each pair takes steps to finite weights, with the scheduled learning rate in the groups."""
    values = parameters((4, 3), (2, 4, 1, 1))
    optimizer = build(name, values)
    component = {c.name: c for c in registry.LR_SCHEDULERS}[scheduler]
    schedule = component.build(component.options(warmup=0.25))(optimizer, total_steps=8)
    full = COMPONENTS[name].options().lr
    assert optimizer.param_groups[0]["lr"] == pytest.approx(full / 3)
    for _ in range(8):
        train(optimizer, values, 1)
        schedule.step()
    assert all(value.isfinite().all() for value in values)


# -- the plan's check -------------------------------------------------------------------------------------------------------


@frozen
class _AdapterOptions:
    text_encoder_lr: float | None = option(default=None, help="A second learning rate.")


def plan(optimizer: str, adapter: object = None, **options: object) -> SimpleNamespace:
    component = COMPONENTS[optimizer]
    stages = {
        "optimizer": SimpleNamespace(entry=SimpleNamespace(component=component), options=component.options(**options)),
        "adapter": SimpleNamespace(options=adapter) if adapter else None,
    }
    return SimpleNamespace(one=stages.get)


def test_check_plan_passes_the_recipe() -> None:
    """lr 1.0 and one learning rate is what D-Adaptation wants; a frozen text encoder (0) is none."""
    assert list(registry.check_plan(plan("dadapt-adamw", _AdapterOptions()))) == []
    assert list(registry.check_plan(plan("dadapt-adamw", _AdapterOptions(0.0)))) == []


def test_check_plan_refuses_a_small_learning_rate() -> None:
    """1e-4 with D-Adaptation trains nothing: an error at the key, with both repairs."""
    [problem] = registry.check_plan(plan("dadapt-adamw", lr=1e-4))
    assert problem.path == "optimizer.lr"
    assert problem.severity == "error"
    assert "lr = 1.0" in problem.hint
    assert "adamw" in problem.hint


def test_check_plan_refuses_two_learning_rates() -> None:
    """A text-encoder learning rate beside D-Adaptation's would raise in the first step."""
    [problem] = registry.check_plan(plan("dadapt-adamw", _AdapterOptions(0.5)))
    assert problem.path == "adapter.text_encoder_lr"
    assert "0.5" in problem.message


def test_check_plan_leaves_other_optimizers_alone() -> None:
    """adamw takes small and several learning rates."""
    assert list(registry.check_plan(plan("adamw", _AdapterOptions(5e-5), lr=1e-4))) == []
