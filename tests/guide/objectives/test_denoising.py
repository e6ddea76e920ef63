"""The denoising objective against the formulas, written out."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pytest
import torch
from loraspec_guide.objectives.denoising import Denoising, draw_noise, draw_timesteps, snr_weights
from loraspec_guide.objectives.registry import OBJECTIVES

from loraspec.randomness import rng_of
from loraspec.values import Batch, NoiseSchedule, Visit

STEPS = 1000
SHAPE = (4, 6, 5)
RNG = rng_of(7)
ALPHAS = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, STEPS) ** 2, 0)
VISITS = tuple(Visit(3, f"{name}.png", repeat) for name in "abc" for repeat in range(2))


class Family:
    """A denoiser with one weight, so that gradients have somewhere to go."""

    def __init__(self, prediction: str, alphas: torch.Tensor = ALPHAS) -> None:
        self.schedule = NoiseSchedule(alphas, prediction)
        self.weight = torch.tensor(0.7, requires_grad=True)
        self.seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def denoise(self, noisy: torch.Tensor, *, timesteps: torch.Tensor, conditioning: Mapping[str, torch.Tensor]) -> torch.Tensor:
        self.seen.append((noisy, timesteps))
        return noisy * self.weight + conditioning["embeds"].view(-1, 1, 1, 1)


def batch(visits: tuple[Visit, ...] = VISITS) -> Batch:
    latents = torch.stack([torch.from_numpy(RNG("latent", v.key).standard_normal(SHAPE)).float() for v in visits])
    return Batch(visits, latents, {"embeds": torch.tensor([0.1 * v.repeat for v in visits])}, RNG)


def reference(prediction: str, *, gamma: float | None = None, offset: float = 0.0) -> list[float]:
    """Sample by sample in float64, straight from the papers."""
    losses = []
    for visit in VISITS:
        x0 = RNG("latent", visit.key).standard_normal(SHAPE)
        noise = RNG("noise", *visit.index).standard_normal(SHAPE, dtype=np.float32).astype(np.float64)
        if offset:
            noise = noise + offset * RNG("noise_offset", *visit.index).standard_normal((4, 1, 1), dtype=np.float32)
        t = int(RNG("timestep", *visit.index).random() * STEPS)
        a = float(ALPHAS[t])
        noisy = a**0.5 * x0 + (1 - a) ** 0.5 * noise
        target = noise if prediction == "epsilon" else a**0.5 * noise - (1 - a) ** 0.5 * x0
        loss = float(np.mean((0.7 * noisy + 0.1 * visit.repeat - target) ** 2))
        if gamma is not None:
            snr = a / (1 - a)
            loss *= min(snr, gamma) / (snr if prediction == "epsilon" else snr + 1)
        losses.append(loss)
    return losses


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("gamma", [None, 5.0, 0.5])
@pytest.mark.parametrize("offset", [0.0, 0.1])
def test_loss_equals_the_written_formula(prediction: str, gamma: float | None, offset: float) -> None:
    """Both targets, with and without min-SNR and noise offset."""
    loss = Denoising(gamma, offset)(Family(prediction), batch=batch())
    assert loss.per_sample.dtype == torch.float32
    assert loss.per_sample.tolist() == pytest.approx(reference(prediction, gamma=gamma, offset=offset), rel=1e-4)


@pytest.mark.parametrize("sizes", [(1,) * 6, (2, 4), (5, 1)])
def test_loss_does_not_depend_on_batch_boundaries(sizes: tuple[int, ...]) -> None:
    """What a sample meets follows from its visit alone, however the visits are cut."""
    whole = Denoising(noise_offset=0.1)(Family("epsilon"), batch=batch()).per_sample
    cuts = np.cumsum((0, *sizes))
    parts = [Denoising(noise_offset=0.1)(Family("epsilon"), batch=batch(VISITS[a:b])).per_sample for a, b in pairwise(cuts)]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-6, atol=0)


def test_draws_differ_between_visits_and_between_epochs() -> None:
    """Another repeat, image or epoch is another draw."""
    visits = (Visit(1, "a", 0), Visit(1, "a", 1), Visit(1, "b", 0), Visit(2, "a", 0))
    noise = draw_noise(RNG, visits, SHAPE, noise_offset=0.0)
    assert noise.dtype == torch.float32
    assert len({tuple(n.flatten().tolist()) for n in noise}) == 4
    assert len(set(draw_timesteps(RNG, visits, STEPS).tolist())) > 1


def test_timesteps_cover_the_schedule_evenly() -> None:
    """Ten bins of 4000 draws each hold about 400, and none is out of range."""
    drawn = draw_timesteps(RNG, tuple(Visit(1, "a", r) for r in range(4000)), STEPS)
    assert drawn.dtype == torch.int64
    assert 0 <= int(drawn.min()) < 5
    assert 994 < int(drawn.max()) < STEPS
    counts = torch.bincount(drawn // 100, minlength=10)
    assert int(counts.min()) > 330
    assert int(counts.max()) < 470


def test_noise_offset_leaves_the_other_draws_alone() -> None:
    """Two runs that differ in the offset share noise and timesteps: the difference is constant over each channel."""
    plain, offset = (draw_noise(RNG, VISITS, SHAPE, noise_offset=o) for o in (0.0, 0.2))
    difference = (offset - plain).flatten(2)
    assert float(difference.std(-1).max()) < 1e-6
    assert float(difference.mean(-1).std()) > 0.05


@pytest.mark.parametrize(("prediction", "ends"), [("epsilon", (1.0, 0.0)), ("v_prediction", (0.0, 0.0))])
def test_snr_weights_are_finite_at_both_ends(prediction: str, ends: tuple[float, float]) -> None:
    """a = 0 (zero terminal SNR) and a = 1 divide by nothing."""
    weights = snr_weights(torch.tensor([0.0, 1.0]), prediction=prediction, gamma=5.0)
    assert tuple(weights.tolist()) == ends


def test_gradient_reaches_the_denoiser_and_metrics_do_not_carry_it() -> None:
    """The loss can be differentiated; the unweighted error is kept for comparison between gammas."""
    family = Family("epsilon")
    loss = Denoising(5.0)(family, batch=batch())
    loss.per_sample.mean().backward()
    assert family.weight.grad is not None
    assert float(family.weight.grad.abs()) > 0
    assert not loss.metrics["mse"].requires_grad
    assert float(loss.metrics["mse"]) == pytest.approx(float(np.mean(reference("epsilon"))), rel=1e-4)


def test_unknown_prediction_is_refused() -> None:
    """``sample`` prediction has no target here."""
    with pytest.raises(ValueError, match="sample"):
        Denoising()(Family("sample"), batch=batch())


def test_registry_builds_what_the_options_say() -> None:
    """The component hands its options on."""
    [component] = OBJECTIVES
    built = component.build(component.options(snr_gamma=5.0, noise_offset=0.05))
    assert (built.snr_gamma, built.noise_offset) == (5.0, 0.05)
    assert (component.options().snr_gamma, component.options().noise_offset) == (None, 0.0)
