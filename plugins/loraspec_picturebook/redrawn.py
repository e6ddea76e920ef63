"""Pictures gone over by the base: noised and denoised, so that they have the softness and the mistakes of what a model draws.

After SDEdit (Meng et al. 2022): a picture that is noised to an intermediate time and denoised from there keeps what it shows and takes the
model's hand. The reader learns from such pictures, because it will have to read such pictures.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    from diffusers import StableDiffusionXLPipeline
    from numpy.random import Generator
    from numpy.typing import NDArray
    from torch import Tensor

    Floats = NDArray[np.floating[Any]]

EARLIEST: Final = 100
TOLD, UNTOLD = 750, 450
"""Latest times of 0..999 with and without the caption: without it a picture noised further no longer shows what it did."""
HOPS: Final = 3
BATCH: Final = 48


def gone_over(parts: Iterable[tuple[Sequence[Floats], Sequence[str], Generator]]) -> list[Floats]:
    """All pictures gone over by the shipped base, part by part: see ``redrawn``."""
    from loraspec_picturebook.export import load_pipeline

    pipeline = load_pipeline()
    return [picture for pictures, texts, rng in parts for picture in redrawn(pipeline, pictures, texts, rng)]


def redrawn(pipeline: StableDiffusionXLPipeline, pictures: Sequence[Floats], texts: Sequence[str], rng: Generator) -> list[Floats]:
    """The pictures, each height x width x 3 in 0..1, gone over by the pipeline's base, in one batch: float16, the same shape and range.

    Args:
        pipeline: The base; its v-prediction and noise schedule are used, its scheduler's steps are not.
        pictures: What is gone over.
        texts: The caption of each. Half of the pictures are denoised without it.
        rng: Draws times, noise, and how many hops of DDIM (Song et al. 2021) the batch takes, 1 to 3.
    """
    import numpy as np
    import torch

    count = len(pictures)
    told = rng.random(count) < 0.5
    latest = np.where(told, TOLD, UNTOLD)
    times = EARLIEST + rng.random(count) * (latest - EARLIEST)
    hops = int(rng.integers(1, HOPS + 1))
    with torch.inference_mode():
        pixels = torch.from_numpy(np.stack(pictures).astype(np.float32)).permute(0, 3, 1, 2) * 2 - 1
        latents = pipeline.vae.encode(pixels).latent_dist.mean * pipeline.vae.config.scaling_factor
        noise = torch.from_numpy(rng.standard_normal(latents.shape, dtype=np.float32))
        words = [text if said else "" for text, said in zip(texts, told, strict=True)]
        for hop in range(hops):
            at = torch.from_numpy(times * (1 - hop / hops)).long()
            latents, noise = _denoised(pipeline, latents, noise, at, words)
        shown = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample
    return list(((shown.clamp(-1, 1) + 1) / 2).permute(0, 2, 3, 1).half().numpy())


def _denoised(pipeline: StableDiffusionXLPipeline, clean: Tensor, noise: Tensor, times: Tensor, texts: list[str]) -> tuple[Tensor, Tensor]:
    """What the base takes for the clean latents, and for the noise, of latents that are noised to these times."""
    from loraspec_picturebook.train_unet import time_ids

    product = pipeline.scheduler.alphas_cumprod[times].view(-1, 1, 1, 1)
    signal, spread = product.sqrt(), (1 - product).sqrt()
    noisy = signal * clean + spread * noise
    text, _, pooled, _ = pipeline.encode_prompt(texts, device="cpu", do_classifier_free_guidance=False)
    added = {"text_embeds": pooled, "time_ids": time_ids(len(clean))}
    velocity = pipeline.unet(noisy, times, text, added_cond_kwargs=added, return_dict=False)[0]
    return signal * noisy - spread * velocity, spread * noisy + signal * velocity
