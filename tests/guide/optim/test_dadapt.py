"""The flat form of DAdapt AdamW is the library's, number by number."""

from __future__ import annotations

import copy
from typing import Any

import dadaptation
import pytest
import torch
from loraspec_guide.optim import compiled, dadapt
from loraspec_guide.optim.dadapt import DAdaptAdam

SHAPES = [(8, 4), (3,), (4, 5, 1, 1), (16, 2), (2, 7)]


@pytest.fixture(params=["one buffer", "many", "compiled"], autouse=True)
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Everything here holds for one buffer a group, for buffers that hold one tensor or two, and for the compiled walk."""
    if request.param == "many":
        monkeypatch.setattr(dadapt, "CHUNK", 36)
    if request.param == "compiled":
        pytest.importorskip("numba", reason="the extra fast-cpu is not installed")
        monkeypatch.setattr(dadapt, "LARGE", 4)
    return str(request.param)


def drawn(seed: int) -> list[torch.Tensor]:
    source = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=source) for shape in SHAPES]


def made(kind: Any, *, layer_scale: float = 1.0, decouple: bool = True, second_lr: float = 1.0, **given: Any) -> tuple[list[Any], Any]:
    """Parameters in two groups, and their optimizer."""
    parameters = [torch.nn.Parameter(tensor) for tensor in drawn(0)]
    groups = [{"params": parameters[:3]}, {"params": parameters[3:], "layer_scale": layer_scale, "lr": second_lr}]
    optimizer = kind(groups, lr=1.0, **given)
    for group in optimizer.param_groups:
        group["decouple"] = decouple
    return parameters, optimizer


def descend(pairs: list[tuple[list[Any], Any]], steps: range) -> float:
    """Follow noisy gradients to a target with several optimizers at once; return how far their ``d`` differed, relatively."""
    target, worst = drawn(1), 0.0
    for step in steps:
        noise = drawn(100 + step)
        for parameters, optimizer in pairs:
            for parameter, goal, shake in zip(parameters, target, noise, strict=True):
                parameter.grad = (parameter.detach() - goal) + 0.3 * shake
            optimizer.step()
        found = [optimizer.param_groups[0]["d"] for _, optimizer in pairs]
        worst = max(worst, (max(found) - min(found)) / max(found))
    return worst


@pytest.mark.parametrize("given", [
    {}, {"weight_decay": 0.1}, {"weight_decay": 0.1, "decouple": False}, {"use_bias_correction": True}, {"growth_rate": 1.02},
    {"layer_scale": 0.5}, {"second_lr": 0.0}, {"betas": (0.8, 0.95), "eps": 1e-6, "d0": 1e-4},
])  # fmt: skip
def test_d_and_weights_are_the_library_s(given: dict[str, Any], form: str) -> None:
    """Over 150 steps ``d`` within 1e-6, the weights within what the order of a sum explains; it did grow."""
    ours, theirs = made(DAdaptAdam, **given), made(dadaptation.DAdaptAdam, **given)
    assert descend([ours, theirs], range(150)) < 1e-6
    assert ours[1].param_groups[0]["d"] > 2e-6
    assert not ours[1].remark
    if given.get("decouple", True):
        assert bool(ours[1].__dict__.get("_walks")) is (form == "compiled")  # it was not the library that stepped
    for mine, other in zip(ours[0], theirs[0], strict=True):
        assert torch.allclose(mine, other, rtol=1e-4, atol=1e-5)
    assert ours[1].param_groups[1]["k"] == theirs[1].param_groups[1]["k"] == 150
    assert [ours[1].state[p]["step"] for p in ours[0]] == [150] * 5


def test_states_go_both_ways_in_the_middle() -> None:
    """After 40 steps each goes on with the other's state dict, which has the library's names and shapes."""
    ours, theirs = made(DAdaptAdam), made(dadaptation.DAdaptAdam)
    descend([ours, theirs], range(40))
    mine, other = (copy.deepcopy(optimizer.state_dict()) for _, optimizer in (ours, theirs))
    assert {name: tuple(value.shape) for name, value in mine["state"][2].items() if name != "step"} == {
        "s": (4, 5, 1, 1), "exp_avg": (4, 5, 1, 1), "exp_avg_sq": (4, 5, 1, 1)
    }  # fmt: skip
    assert mine["state"].keys() == other["state"].keys()
    assert set(mine["state"][0]) == set(other["state"][0])
    ours[1].load_state_dict(other)
    theirs[1].load_state_dict(mine)
    assert descend([ours, theirs], range(40, 150)) < 1e-6
    assert torch.allclose(ours[0][0], theirs[0][0], rtol=1e-4, atol=1e-5)


def test_a_step_without_some_gradients_is_the_library_s() -> None:
    """It takes the library's own step on the same state, and goes on flat after it."""
    ours, theirs = made(DAdaptAdam), made(dadaptation.DAdaptAdam)
    descend([ours, theirs], range(3))
    for parameters, optimizer in (ours, theirs):
        parameters[1].grad = None
        optimizer.step()
    assert descend([ours, theirs], range(4, 60)) < 1e-6
    assert ours[1].state[ours[0][1]]["step"] == ours[1].state[ours[0][0]]["step"] - 1
    assert torch.allclose(ours[0][1], theirs[0][1], rtol=1e-4, atol=1e-5)


def test_no_gradient_at_all_changes_nothing() -> None:
    """Gradients of zero: no step is counted, as in the library."""
    parameters, optimizer = made(DAdaptAdam)
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert optimizer.param_groups[0]["k"] == 0
    assert all(parameter.equal(tensor) for parameter, tensor in zip(parameters, drawn(0), strict=True))


def test_two_learning_rates_are_refused() -> None:
    """As by the library; the plan refuses them before."""
    ours = made(DAdaptAdam, second_lr=0.5)
    with pytest.raises(RuntimeError, match="one learning rate"):
        descend([ours], range(1))


def test_the_device_is_read_once_a_step(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """The library reads two numbers for each tensor; here one read serves all, and none where torch takes no sum at all."""
    reads: list[str] = []
    for name in ("item", "tolist", "__float__", "__bool__"):
        whole = getattr(torch.Tensor, name)
        monkeypatch.setattr(torch.Tensor, name, lambda self, *given, _whole=whole, _name=name: reads.append(_name) or _whole(self, *given))
    ours, theirs = made(DAdaptAdam), made(dadaptation.DAdaptAdam)
    descend([ours], range(5))
    assert reads == ([] if form == "compiled" else ["tolist"] * 5)
    reads.clear()
    descend([theirs], range(5))
    assert len(reads) == 5 * 2 * len(SHAPES)


def test_a_copy_has_buffers_of_its_own() -> None:
    """Stepping a deep copy leaves the original alone."""
    pair = made(DAdaptAdam)
    descend([pair], range(5))
    before = copy.deepcopy(pair[1].state_dict())
    parameters, optimizer = copy.deepcopy(pair)
    descend([(parameters, optimizer)], range(5, 9))
    after = pair[1].state_dict()
    assert all(after["state"][0][name].equal(before["state"][0][name]) for name in ("s", "exp_avg", "exp_avg_sq"))
    assert optimizer.param_groups[0]["k"] == 9


def test_large_tensors_of_a_cpu_are_the_library_s_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    """There the calls cost nothing beside the memory."""
    monkeypatch.setattr(dadapt, "LARGE", 4)
    monkeypatch.setattr(compiled, "kernel", lambda: None)
    pair = made(DAdaptAdam)
    descend([pair], range(3))
    assert "_flats" not in pair[1].__dict__
    assert not pair[1].__dict__["_walks"]
    assert "loraspec[fast-cpu]" in pair[1].remark
    monkeypatch.setattr(dadapt, "LARGE", 400)
    descend([pair], range(3, 5))
    assert set(pair[1].__dict__["_flats"]) == {0, 1}
