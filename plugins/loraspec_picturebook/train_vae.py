"""Trains the autoencoder on drawn scenes and generic textures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from loraspec_picturebook import models
from loraspec_picturebook.textures import training_picture
from loraspec_picturebook.training import Trainer, learning_rate, share
from loraspec_picturebook.world import draw, generator, sample_scene

if TYPE_CHECKING:
    from diffusers import AutoencoderKL
    from torch import Tensor

PURPOSE = 101
"""Names the random stream of the autoencoder's pictures."""


CROPPED = 0.7
"""The first share of all steps sees windows of a quarter of a picture's area: several times as many steps a minute."""


def batch(seed: int, step: int, size: int, *, crop: int = models.SIDE) -> Tensor:
    """This process's share of the pictures of one step, float32 in -1..1, n x 3 x crop x crop; alone, n is size.

    With a crop smaller than a picture, two windows at random places are cut from each of size / 2 pictures.
    """
    import numpy as np
    import torch

    windows = 1 if crop == models.SIDE else 2
    cut = []
    for index in range(size // windows)[share(size // windows)]:
        rng = generator(seed, PURPOSE, step, index)
        picture = training_picture(rng)
        for _ in range(windows):
            top, left = (int(value) for value in rng.integers(0, models.SIDE - crop + 1, 2))
            cut.append(picture[top : top + crop, left : left + crop])
    return torch.from_numpy(np.stack(cut)).permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1


def loss_of(vae: AutoencoderKL, pictures: Tensor, noise: Tensor) -> tuple[Tensor, dict[str, float]]:
    """L1 + squared error + differences between neighbours + a little KL; also the numbers for the log.

    noise is standard normal, in the shape of the latents.
    """
    import torch

    with torch.autocast("cpu", torch.bfloat16):
        posterior = vae.encode(pictures).latent_dist
        mean, spread, log_variance = posterior.mean.float(), posterior.std.float(), posterior.logvar.float()
        drawn = vae.decode(mean + spread * noise).sample.float()
    error = drawn - pictures
    square = error.square().mean()
    slopes = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
    loss = error.abs().mean() + 3 * square + 0.25 * slopes + 4e-4 * divergence
    return loss, {"mse": float(square.detach()) / 4, "kl": float(divergence.detach())}


def train(folder: Path, *, steps: int, seed: int = 1, size: int = 16, peak: float = 1.6e-3) -> None:
    """Trains for steps updates in all, continuing from the folder's checkpoint."""
    import torch

    vae = models.fresh(seed, models.autoencoder)
    trainer = Trainer({"vae": vae}, folder, name="vae", average=0.998)
    trainer.restore()
    while trainer.step < steps:
        crop = 32 if trainer.step < steps * CROPPED else models.SIDE
        cells = crop // models.DOWNSAMPLING
        noise = torch.randn(
            (size, models.LATENT_CHANNELS, cells, cells), generator=torch.Generator().manual_seed(seed * 1_000_003 + trainer.step)
        )
        loss, numbers = loss_of(vae, batch(seed, trainer.step, size, crop=crop), noise[share(size)])
        lr = learning_rate(trainer.step, steps, peak=peak)
        norm = trainer.update(loss, lr=lr)
        if trainer.step % 50 == 0 or trainer.step == steps:
            trainer.log(loss=float(loss.detach()), lr=lr, grad_norm=norm, **numbers)
        if trainer.step % 250 == 0 or trainer.step == steps:
            trainer.save()


def averaged(folder: Path) -> AutoencoderKL:
    """The autoencoder with the averaged weights of the folder's checkpoint, in eval mode."""
    vae = models.fresh(1, models.autoencoder)
    trainer = Trainer({"vae": vae}, folder, name="vae")
    if not trainer.restore():
        raise FileNotFoundError(f"{folder}: no vae.safetensors; run the training step 'vae' first")
    trainer.use_averaged()
    return vae.eval().requires_grad_(False)


def measure_scaling(vae: AutoencoderKL, *, count: int = 512, seed: int = 7) -> float:
    """1 / standard deviation of the latents of count drawn scenes: the VAE's scaling_factor."""
    import numpy as np
    import torch

    rng = generator(seed, PURPOSE)
    pictures = np.stack([draw(sample_scene(rng)) for _ in range(count)])
    pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        latents = torch.cat([vae.encode(part).latent_dist.mean for part in torch.split(pixels, 64)])
    return float(1 / latents.std())
