"""Suites for ``adapter`` and ``objective``, on the tiny family."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from loraspec.contracts import Adapter
from loraspec.randomness import rng_of
from loraspec.testing.suites.base import SEED, ComponentSuite
from loraspec.testing.suites.models import drawn, predict, tiny_base
from loraspec.testing.tiny import TinyOptions, tiny_facts
from loraspec.values import AdapterFacts, Batch, Context, Visit


class AdapterSuite(ComponentSuite):
    """``build(options)`` gives an ``Adapter``, ``facts(options, model=)`` its ``AdapterFacts``; tested on the tiny family."""

    stage: ClassVar[str] = "adapter"

    @pytest.fixture
    def family(self, context: Context) -> Any:
        """The tiny family, loaded."""
        return tiny_base(context)

    @pytest.fixture
    def facts(self, component: Any, made_options: Any, context: Context) -> AdapterFacts:
        """What ``plan`` knows."""
        facts = component.facts(made_options, model=tiny_facts(TinyOptions(), context=context))
        assert isinstance(facts, AdapterFacts)
        return facts

    def _stir(self, groups: list[dict[str, Any]]) -> None:
        """Move every weight, so that the adapter does something."""
        for number, parameter in enumerate(p for group in groups for p in group["params"]):
            parameter.data.copy_(drawn(f"weight {number}", *parameter.shape) * 0.3)

    def test_weights_are_float32_and_trainable(self, built: Any, family: Any, facts: AdapterFacts) -> None:
        """As many values as ``plan`` counted; everything else stays frozen."""
        assert isinstance(built, Adapter)
        groups = built.inject(family, rng=rng_of(SEED))

        ours = [parameter for group in groups for parameter in group["params"]]
        assert all(p.requires_grad and str(p.dtype) == "torch.float32" for p in ours)
        assert sum(p.numel() for p in ours) == facts.parameters
        trainable = {id(p) for part in (family.denoiser, *family.text_encoders.values()) for p in part.parameters() if p.requires_grad}
        assert trainable == {id(p) for p in ours}

    def test_a_new_adapter_changes_nothing(self, built: Any, family: Any) -> None:
        """Training starts at the base."""
        before = predict(family)
        built.inject(family, rng=rng_of(SEED))

        assert predict(family).allclose(before, atol=1e-6)

    def test_state_has_the_shapes_of_the_facts(self, built: Any, family: Any, facts: AdapterFacts) -> None:
        """Names, shapes, alphas and rank are those that ``plan`` and the exporters count with."""
        built.inject(family, rng=rng_of(SEED))
        state = built.state()

        assert {name: tuple(tensor.shape) for name, tensor in state.tensors.items()} == {k: tuple(v) for k, v in facts.tensors.items()}
        assert dict(state.alphas) == dict(facts.alphas)
        assert (state.kind, state.rank) == (facts.kind, facts.rank)
        assert all(str(tensor.dtype) == "torch.float32" and tensor.device.type == "cpu" for tensor in state.tensors.values())

    def test_initial_weights_follow_the_seed(self, component: Any, made_options: Any, context: Context) -> None:
        """The same seed gives the same weights, another seed others; torch's global generator is left alone."""
        import torch

        states, before = [], torch.random.get_rng_state()
        for seed in (SEED, SEED, SEED + 1):
            adapter = component.build(made_options)
            adapter.inject(tiny_base(context), rng=rng_of(seed))
            states.append({name: tensor.clone() for name, tensor in adapter.state().tensors.items()})

        assert all(states[0][name].equal(states[1][name]) for name in states[0])
        assert any(not states[0][name].equal(states[2][name]) for name in states[0])
        assert torch.random.get_rng_state().equal(before)

    def test_state_survives_save_and_load(self, component: Any, made_options: Any, family: Any, context: Context) -> None:
        """A fresh adapter with the state predicts the same; state taken earlier does not change with training."""
        adapter = component.build(made_options)
        groups = adapter.inject(family, rng=rng_of(SEED))
        self._stir(groups)
        state = adapter.state()
        trained = predict(family)
        other_family, other = tiny_base(context), component.build(made_options)
        other.inject(other_family, rng=rng_of(SEED + 1))

        other.load_state(state)

        assert predict(other_family).equal(trained)
        for parameter in (p for group in groups for p in group["params"]):
            parameter.data.zero_()
        assert any(bool(tensor.any()) for tensor in state.tensors.values())

    def test_weight_scales_the_effect(self, built: Any, family: Any) -> None:
        """0 is the base, 1 is as trained, and 1 again after 0 is the same as before."""
        base = predict(family)
        self._stir(built.inject(family, rng=rng_of(SEED)))
        trained = predict(family)
        assert not trained.allclose(base, atol=1e-3)

        built.set_weight(0.0)
        assert predict(family).allclose(base, atol=1e-6)
        built.set_weight(0.5)
        half = predict(family)
        assert not half.allclose(base, atol=1e-4)
        assert not half.allclose(trained, atol=1e-4)
        built.set_weight(1.0)
        assert predict(family).equal(trained)

    def test_folding_is_the_same_effect_and_leaves_no_trace(self, built: Any, family: Any) -> None:
        """Where an adapter can be part of the base's weights: the same predictions, and afterwards the same base to the bit."""
        if not hasattr(built, "folded"):
            pytest.skip("this adapter does not fold")
        base = predict(family)
        self._stir(built.inject(family, rng=rng_of(SEED)))
        trained = predict(family)

        for weight in (0.0, 0.5, 1.0):
            built.set_weight(weight)
            beside = predict(family)
            with built.folded(weight):
                assert predict(family).allclose(beside, atol=1e-4)
        assert predict(family).equal(trained)
        with pytest.raises(KeyError), built.folded(0.5):
            raise KeyError
        assert predict(family).equal(trained)
        built.set_weight(0.0)
        assert predict(family).allclose(base, atol=1e-6)

    def test_gradients_reach_every_weight(self, built: Any, family: Any) -> None:
        """Nothing is injected that cannot learn."""
        groups = built.inject(family, rng=rng_of(SEED))
        self._stir(groups)
        predict(family).square().mean().backward()  # type: ignore[no-untyped-call]

        assert all(p.grad is not None and bool(p.grad.any()) for group in groups for p in group["params"])


class ObjectiveSuite(ComponentSuite):
    """``build(options)`` gives an ``Objective``; tested on the tiny family."""

    stage: ClassVar[str] = "objective"

    def _batch(self, family: Any, keys: tuple[str, ...]) -> Batch:
        import torch

        tokens = torch.from_numpy(family.tokenize(["a square"] * len(keys)))
        latents = torch.cat([drawn(f"latents {key}", 1, 4, 4, 4) for key in keys])
        visits = tuple(Visit(epoch=1, key=key, repeat=0) for key in keys)
        return Batch(visits=visits, latents=latents, conditioning=family.encode_tokens(tokens), rng=rng_of(SEED))

    def test_each_sample_has_a_finite_loss(self, built: Any, context: Context) -> None:
        """float32 ``[B]``, not negative; metrics are tensors."""
        family = tiny_base(context)
        loss = built(family, batch=self._batch(family, ("a", "b", "c")))

        assert tuple(loss.per_sample.shape) == (3,)
        assert str(loss.per_sample.dtype) == "torch.float32"
        assert bool(loss.per_sample.isfinite().all())
        assert bool((loss.per_sample >= 0).all())
        assert all(hasattr(value, "device") for value in loss.metrics.values())

    def test_a_loss_depends_on_its_own_visit_only(self, built: Any, context: Context) -> None:
        """Noise and timestep are drawn per visit: batch mates and order change nothing beyond rounding."""
        family = tiny_base(context)
        both = built(family, batch=self._batch(family, ("a", "b"))).per_sample
        swapped = built(family, batch=self._batch(family, ("b", "a"))).per_sample
        alone = built(family, batch=self._batch(family, ("b",))).per_sample

        assert both.flip(0).allclose(swapped, rtol=1e-4)
        assert both[1:].allclose(alone, rtol=1e-4)
        assert both[0] != both[1]

    def test_the_gradient_reaches_the_denoiser(self, built: Any, context: Context) -> None:
        """Backward works, and global random state is left alone."""
        import torch

        family = tiny_base(context)
        family.denoiser.requires_grad_(True)
        before = torch.random.get_rng_state()
        built(family, batch=self._batch(family, ("a", "b"))).per_sample.mean().backward()

        assert any(p.grad is not None and bool(p.grad.any()) for p in family.denoiser.parameters())
        assert torch.random.get_rng_state().equal(before)
