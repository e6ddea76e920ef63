"""Suites for ``optimizer`` and ``lr_scheduler``."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest

from loraspec.randomness import generator
from loraspec.testing.suites.base import SEED, ComponentSuite

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class _Problem:
    """A low-rank regression as a LoRA sees it: ``y = x down^T up^T``, with ``up`` at zero; float32, two parameters."""

    def __init__(self) -> None:
        import torch

        def draw(name: str, *shape: int) -> Tensor:
            return torch.from_numpy(generator(SEED, "suite", name).standard_normal(shape, dtype=np.float32))

        self.x, self.y = draw("x", 64, 8), draw("x", 64, 8) @ draw("map", 8, 4)
        self.down: nn.Parameter = torch.nn.Parameter(draw("down", 4, 8) / 8**0.5)
        self.up: nn.Parameter = torch.nn.Parameter(torch.zeros(4, 4))

    @property
    def groups(self) -> list[dict[str, Any]]:
        return [{"params": [self.down]}, {"params": [self.up]}]

    def loss(self) -> Tensor:
        return (self.x @ self.down.T @ self.up.T - self.y).square().mean()

    def train(self, optimizer: torch.optim.Optimizer, steps: int) -> list[float]:
        losses = []
        for _ in range(steps):
            loss = self.loss()
            losses.append(loss.item())
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return [*losses, self.loss().item()]


class OptimizerSuite(ComponentSuite):
    """``build(options)`` gives ``factory(parameter_groups) -> torch.optim.Optimizer``.

    Attributes:
        steps: How many steps must lower the loss of a small regression.
    """

    stage: ClassVar[str] = "optimizer"
    steps: ClassVar[int] = 10

    def test_factory_takes_parameter_groups(self, built: Any) -> None:
        """The groups come back in order, each with a learning rate."""
        import torch

        problem = _Problem()
        optimizer = built(problem.groups)

        assert isinstance(optimizer, torch.optim.Optimizer)
        assert [id(group["params"][0]) for group in optimizer.param_groups] == [id(problem.down), id(problem.up)]
        assert all(group["lr"] >= 0 for group in optimizer.param_groups)

    def test_ten_steps_lower_the_loss(self, built: Any) -> None:
        """The loss falls, and every parameter moves."""
        problem = _Problem()
        before = problem.down.detach().clone(), problem.up.detach().clone()

        losses = problem.train(built(problem.groups), self.steps)

        assert losses[-1] < losses[0], losses
        assert not problem.down.equal(before[0])
        assert not problem.up.equal(before[1])

    def test_state_survives_save_and_load(self, built: Any) -> None:
        """A run that is stopped and resumed takes the same steps, bit for bit."""
        straight, resumed = _Problem(), _Problem()
        optimizer = built(straight.groups)
        straight.train(optimizer, 4)
        resumed.down.data.copy_(straight.down.data)
        resumed.up.data.copy_(straight.up.data)
        saved = copy.deepcopy(optimizer.state_dict())

        other = built(resumed.groups)
        other.load_state_dict(saved)

        assert straight.train(optimizer, 4) == resumed.train(other, 4)
        assert straight.up.equal(resumed.up)

    def test_state_is_tensors_and_plain_values(self, built: Any) -> None:
        """Checkpoints hold no pickles: state is tensors, numbers, strings, None, and lists or tables of these."""
        import torch

        def strange(value: Any) -> list[Any]:
            if isinstance(value, dict):
                return [found for inner in value.values() for found in strange(inner)]
            if isinstance(value, list | tuple):
                return [found for inner in value for found in strange(inner)]
            return [] if value is None or isinstance(value, torch.Tensor | bool | int | float | str) else [value]

        problem = _Problem()
        optimizer = built(problem.groups)
        problem.train(optimizer, 2)

        assert strange(optimizer.state_dict()) == []

    def test_steps_do_not_draw(self, built: Any) -> None:
        """The same gradients give the same steps, and torch's global generator is left alone."""
        import torch

        first, second = _Problem(), _Problem()
        state = torch.random.get_rng_state()

        assert first.train(built(first.groups), 4) == second.train(built(second.groups), 4)
        assert torch.random.get_rng_state().equal(state)


class LRSchedulerSuite(ComponentSuite):
    """``build(options)`` gives ``factory(optimizer, *, total_steps) -> LRScheduler``, stepped once an optimizer step."""

    stage: ClassVar[str] = "lr_scheduler"
    total_steps: ClassVar[int] = 40

    def _start(self, built: Any, total_steps: int) -> tuple[torch.optim.Optimizer, Any]:
        import torch

        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
        return optimizer, built(optimizer, total_steps=total_steps)

    def _rates(self, optimizer: torch.optim.Optimizer, scheduler: Any, steps: int) -> list[float]:
        rates = []
        for _ in range(steps):
            rates.append(float(optimizer.param_groups[0]["lr"]))
            optimizer.step()
            scheduler.step()
        return rates

    def test_factory_gives_a_scheduler(self, built: Any) -> None:
        """It is torch's kind of scheduler, on the optimizer that it was given."""
        import torch

        optimizer, scheduler = self._start(built, self.total_steps)

        assert isinstance(scheduler, torch.optim.lr_scheduler.LRScheduler)
        assert scheduler.optimizer is optimizer

    @pytest.mark.parametrize("total_steps", [1, 2, 40])
    def test_rates_stay_between_zero_and_the_given_one(self, built: Any, total_steps: int) -> None:
        """Also for runs of one and two steps; some step has a rate above zero."""
        rates = self._rates(*self._start(built, total_steps), total_steps)

        assert all(0 <= rate <= 0.5 + 1e-9 for rate in rates), rates
        assert max(rates) > 0, rates

    def test_state_survives_save_and_load(self, built: Any) -> None:
        """A resumed run sees the same learning rates."""
        optimizer, scheduler = self._start(built, self.total_steps)
        self._rates(optimizer, scheduler, 7)
        other_optimizer, other = self._start(built, self.total_steps)
        other_optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        other.load_state_dict(copy.deepcopy(scheduler.state_dict()))

        assert self._rates(other_optimizer, other, 9) == self._rates(optimizer, scheduler, 9)
