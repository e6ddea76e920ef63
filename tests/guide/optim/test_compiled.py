"""The compiled walk: the same bits however it is cut, and nothing read where nothing may be."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from loraspec_guide.optim import compiled, dadapt
from loraspec_guide.optim.dadapt import DAdaptAdam

pytest.importorskip("numba", reason="the extra fast-cpu is not installed")
SHAPES = [(3000,), (16, 130), (1,), (1023,), (1025, 2)]


@pytest.fixture(autouse=True)
def _large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dadapt, "LARGE", 1)


def numbers(seed: int) -> list[torch.Tensor]:
    """Tensors of every shape: shorter and longer than a block, and not a multiple of one."""
    source = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=source) for shape in SHAPES]


def stepped(steps: int, *, optimizer: Any = None, parameters: Any = None, first: int = 0) -> tuple[list[Any], Any]:
    """Take steps along drawn gradients."""
    if optimizer is None:
        parameters = [torch.nn.Parameter(one) for one in numbers(0)]
        optimizer = DAdaptAdam([{"params": parameters}], lr=1.0, weight_decay=0.01, d0=1e-3)
        optimizer.param_groups[0]["decouple"] = True
    for step in range(first, first + steps):
        for parameter, grad in zip(parameters, numbers(100 + step), strict=True):
            parameter.grad = grad
        optimizer.step()
    return parameters, optimizer


def test_threads_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread, three, and more than there are tensors."""
    found = []
    for threads in (1, 3, 9):
        monkeypatch.setattr(torch, "get_num_threads", lambda count=threads: count)
        parameters, optimizer = stepped(12)
        assert optimizer.__dict__["_walks"]
        found.append([optimizer.param_groups[0]["d"], *(one.detach().clone() for one in parameters)])
    for other in found[1:]:
        assert other[0] == found[0][0]
        assert all(one.equal(two) for one, two in zip(other[1:], found[0][1:], strict=True))


def test_one_walk_and_two_give_the_same_bits() -> None:
    """The first step gathers and then moves, the others do both at once."""
    rows = []
    for cut in (False, True):
        parameters, optimizer = stepped(3)
        (walk,), (group,) = optimizer.__dict__["_walks"], optimizer.param_groups
        rest: dict[str, Any] = {"dlr": 0.01, "beta1": 0.9, "beta2": 0.999}
        if cut:
            sums = walk(group, gather=True, move=False, **rest)
            assert walk(group, gather=False, move=True, **rest) == (0.0, 0.0)
        else:
            sums = walk(group, gather=True, move=True, **rest)
        rows.append([np.array(sums), *(one.detach().numpy().copy() for one in parameters)])
    assert all((one == two).all() for one, two in zip(*rows, strict=True))


def test_a_stop_in_the_middle_changes_no_bit() -> None:
    """A state that was saved and loaded goes on as if nothing had been."""
    whole, _ = stepped(8)
    parameters, optimizer = stepped(4)
    kept = copy.deepcopy(optimizer.state_dict())
    again = [torch.nn.Parameter(one.detach().clone()) for one in parameters]
    fresh = DAdaptAdam([{"params": again}], lr=1.0)
    fresh.load_state_dict(kept)
    stepped(4, optimizer=fresh, parameters=again, first=4)
    assert all(one.equal(two) for one, two in zip(whole, again, strict=True))


@pytest.mark.parametrize("what", ["double", "slice", "turned gradient", "no gradient"])
def test_what_it_cannot_walk_is_the_library_s(what: str) -> None:
    """Other dtypes, tensors with holes and missing gradients; no address of them is ever read."""
    wide = torch.zeros(40, 40, dtype=torch.float64 if what == "double" else torch.float32)
    parameter = torch.nn.Parameter(wide[:, ::2] if what == "slice" else wide)
    parameter.grad = {"turned gradient": torch.ones(40, 40).t(), "no gradient": None}.get(what, torch.ones_like(parameter))
    whole = torch.nn.Parameter(torch.zeros(50, 50))
    whole.grad = torch.ones(50, 50)
    optimizer = DAdaptAdam([parameter, whole], lr=1.0, d0=1e-3)
    optimizer.param_groups[0]["decouple"] = True
    optimizer.step()
    assert not optimizer.__dict__["_walks"]
    assert float(whole.abs().sum().detach()) > 0


def test_gradients_may_lie_elsewhere_at_every_step() -> None:
    """Addresses are asked for anew: a gradient that was freed is never read."""
    parameters, optimizer = stepped(2)
    walk = optimizer.__dict__["_walks"][0]
    before = walk.addresses[0].copy()
    keep = [parameter.grad for parameter in parameters]
    stepped(1, optimizer=optimizer, parameters=parameters, first=2)
    assert optimizer.__dict__["_walks"][0] is walk
    assert (walk.addresses[0] != before).all()
    assert all(grad is not None for grad in keep)


@pytest.mark.parametrize("what", ["weight", "moment"])
def test_what_lies_elsewhere_is_looked_at_anew(what: str) -> None:
    """A weight or a moment that was exchanged is walked where it is now, not where it was."""
    parameters, optimizer = stepped(2)
    (before,) = optimizer.__dict__["_walks"]
    old = parameters[0].data if what == "weight" else optimizer.state[parameters[0]]["exp_avg"]
    kept, new = old.clone(), old.clone()
    if what == "weight":
        parameters[0].data = new
    else:
        optimizer.state[parameters[0]]["exp_avg"] = new
    stepped(1, optimizer=optimizer, parameters=parameters, first=2)
    assert optimizer.__dict__["_walks"][0] is not before
    assert old.equal(kept)
    assert not new.equal(kept)


def test_without_numba_there_is_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no error: the library steps."""
    import sys

    compiled.kernel.cache_clear()
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "loraspec_guide.optim.kernels", raising=False)
    try:
        assert compiled.kernel() is None
        assert float(stepped(2)[0][0].detach().abs().sum()) > 0
    finally:
        compiled.kernel.cache_clear()


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Where machine code is kept; the kernel is made anew in the test and after it."""
    import numba

    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "kept"))
    compiled.kernel.cache_clear()
    yield tmp_path / "kept"
    compiled.kernel.cache_clear()


def steps_of_a_new_kernel() -> tuple[list[torch.Tensor], Any]:
    """Weights after three steps, and the kernel's count of what it found kept."""
    compiled.kernel.cache_clear()
    weights = [one.detach().clone() for one in stepped(3)[0]]
    kernel: Any = compiled.kernel()
    return weights, kernel.stats.cache_hits.total()


def test_machine_code_is_kept_for_the_next_process(kept: Path) -> None:
    """The second finds it, and steps to the same bits."""
    (first, found), (second, found_again) = steps_of_a_new_kernel(), steps_of_a_new_kernel()
    assert (found, found_again) == (0, 1)
    assert list(kept.rglob("*.nbc"))
    assert all(one.equal(two) for one, two in zip(first, second, strict=True))


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("left", [0, 40])
def test_a_kept_file_that_is_half_written_ends_nothing(kept: Path, suffix: str, left: int) -> None:
    """Machine code is made anew."""
    first, _ = steps_of_a_new_kernel()
    for file in kept.rglob(f"*.{suffix}"):
        file.write_bytes(file.read_bytes()[:left])
    second, found = steps_of_a_new_kernel()
    assert found == 0
    assert all(one.equal(two) for one, two in zip(first, second, strict=True))


def test_where_nothing_can_be_kept_it_is_compiled_all_the_same(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder that may be written, neither beside the code nor for the user."""
    from loraspec_guide.optim import kernels
    from numba.core.caching import CacheImpl

    monkeypatch.setattr(CacheImpl, "_locator_classes", [])
    with pytest.raises(RuntimeError, match="no locator"):
        kernels.compile_walk(keep=True)
    weights, found = steps_of_a_new_kernel()
    assert (found, kept.exists()) == (0, False)
    assert float(weights[0].abs().sum()) > 0
