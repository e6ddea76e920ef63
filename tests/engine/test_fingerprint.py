"""The numerics fingerprint: equal here, other where kernels are others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from loraspec.engine import fingerprint as module
from loraspec.engine.fingerprint import fingerprint
from loraspec.values import Precision

FLOAT = Precision(device=torch.device("cpu"), weights=torch.float32, compute=None)


def adam(groups):
    """A plain optimizer."""
    return torch.optim.Adam(groups, lr=0.1)


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    module._kernels_once.cache_clear()


def again(precision=FLOAT, factory=adam):
    """Computed, not remembered."""
    module._kernels_once.cache_clear()
    return fingerprint(precision, factory)


def test_it_is_the_same_again() -> None:
    """Every kernel, for each dtype that the run computes in."""
    both = Precision(device=torch.device("cpu"), weights=torch.float32, compute=torch.bfloat16)
    one, two = again(both), again(both)

    assert one == two
    assert set(one) == {"cpu float32", "cpu bfloat16", "host"}
    assert len(one["cpu float32"]) == 12
    assert len({*one["cpu float32"].values(), *one["cpu bfloat16"].values()}) == 23


def test_another_number_of_threads_is_another_fingerprint() -> None:
    """The sums of backward passes are cut differently."""
    one = again()
    torch.set_num_threads(2)
    two = again()

    assert one["host"] == two["host"]
    assert one != two


def test_one_wrong_kernel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silu that is off by one unit in the last place."""
    before = again()
    real = module.F.silu
    monkeypatch.setattr(module.F, "silu", lambda x: torch.nextafter(real(x), torch.tensor(2.0)))
    after = again()

    assert {name for name in before["cpu float32"] if before["cpu float32"][name] != after["cpu float32"][name]} == {"silu"}


def test_the_runs_own_optimizer_is_looked_at() -> None:
    """Another learning rate takes other steps."""
    one, two = again(), again(factory=lambda groups: torch.optim.Adam(groups, lr=0.2))

    assert {name for name in one["cpu float32"] if one["cpu float32"][name] != two["cpu float32"][name]} == {"optimizer steps"}
