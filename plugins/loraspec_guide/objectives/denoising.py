"""The denoising objective (Ho et al. 2020; Salimans and Ho 2022; Hang et al. 2023)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from attrs import frozen

from loraspec.randomness import scaled, uniform53
from loraspec.values import Batch, Loss

if TYPE_CHECKING:
    from torch import Tensor

    from loraspec.contracts import ModelFamily
    from loraspec.randomness import Rng
    from loraspec.values import Visit


def draw_noise(rng: Rng, visits: tuple[Visit, ...], shape: tuple[int, ...], *, noise_offset: float) -> Tensor:
    """Noise for each visit, drawn on the host: float32 ``[B, *shape]`` with ``shape`` = (C, h, w).

    Each visit's noise depends on its own index and on nothing else. The offset has its own purpose, so switching it on leaves
    every other draw as it was.
    """
    drawn = []
    for visit in visits:
        noise = rng("noise", *visit.index).standard_normal(shape, dtype=np.float32)
        if noise_offset:
            offset = rng("noise_offset", *visit.index).standard_normal((shape[0], *([1] * (len(shape) - 1))), dtype=np.float32)
            noise = noise + np.float32(noise_offset) * offset
        drawn.append(noise)
    return torch.from_numpy(np.stack(drawn))


def draw_timesteps(rng: Rng, visits: tuple[Visit, ...], steps: int) -> Tensor:
    """Uniform timesteps 0 to ``steps - 1`` for each visit, drawn on the host: int64 ``[B]``.

    From a uniform number with 53 bits, not from a bounded-integer routine: those differ between library versions.
    """
    return torch.tensor([scaled(uniform53(rng("timestep", *visit.index)), steps) for visit in visits], dtype=torch.int64)


def snr_weights(alphas: Tensor, *, prediction: str, gamma: float) -> Tensor:
    """Min-SNR weights (Hang et al. 2023) for ``a_t``, float32 ``[B]``.

    With ``snr = a / (1 - a)``: ``min(snr, gamma) / snr`` for epsilon and ``min(snr, gamma) / (snr + 1)`` for velocity. Written without
    dividing by the snr, so that ``a = 0`` (zero terminal SNR) and ``a = 1`` stay finite.
    """
    clamped = torch.minimum(alphas, gamma * (1.0 - alphas))  # min(snr, gamma) * (1 - a)
    if prediction == "epsilon":
        return torch.where(alphas > 0, clamped / alphas.clamp_min(torch.finfo(alphas.dtype).tiny), torch.ones_like(alphas))
    return clamped


@frozen(eq=False)
class Denoising:
    """Noise the latents at a drawn timestep, predict, compare.

    Attributes:
        snr_gamma: Gamma of min-SNR, or None for equal weights.
        noise_offset: Size of the noise that is constant over each channel.
    """

    snr_gamma: float | None = None
    noise_offset: float = 0.0

    def __call__(self, family: ModelFamily, *, batch: Batch) -> Loss:
        """Return the loss of each sample: mean of squared errors over C, h, w, weighted; float32 ``[B]``.

        Raises:
            ValueError: The base predicts neither ``epsilon`` nor ``v_prediction``.
        """
        latents, schedule = batch.latents, family.schedule
        timesteps = draw_timesteps(batch.rng, batch.visits, len(schedule.alphas_cumprod))
        noise = draw_noise(batch.rng, batch.visits, tuple(latents.shape[1:]), noise_offset=self.noise_offset)
        noise = noise.to(latents.device, non_blocking=True)
        table = schedule.alphas_cumprod
        alphas = table[timesteps.to(table.device)].to(latents.device, torch.float32, non_blocking=True)
        timesteps = timesteps.to(latents.device, non_blocking=True)

        signal, sigma = (a.view(-1, *([1] * (latents.ndim - 1))) for a in (alphas.sqrt(), (1.0 - alphas).sqrt()))
        noisy = signal * latents + sigma * noise
        if schedule.prediction == "epsilon":
            target = noise
        elif schedule.prediction == "v_prediction":
            target = signal * noise - sigma * latents
        else:
            raise ValueError(f"prediction {schedule.prediction!r}: denoising knows 'epsilon' and 'v_prediction'")
        predicted = family.denoise(noisy, timesteps=timesteps, conditioning=batch.conditioning)
        error = (predicted.float() - target.float()).square().flatten(1).mean(1)
        if self.snr_gamma is None:
            return Loss(error)
        weights = snr_weights(alphas, prediction=schedule.prediction, gamma=self.snr_gamma)
        return Loss(error * weights, {"mse": error.detach().mean()})
