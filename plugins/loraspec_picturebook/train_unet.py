"""Trains the U-Net and both text encoders on encoded scenes and their captions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from loraspec_picturebook import models, words
from loraspec_picturebook.captions import training_caption
from loraspec_picturebook.train_vae import averaged as averaged_vae
from loraspec_picturebook.train_vae import measure_scaling
from loraspec_picturebook.training import Trainer, learning_rate, share
from loraspec_picturebook.world import Scene, draw, generator, sample_scene

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

SCENES, CAPTIONS = 201, 202
"""Name the random streams of the training scenes and of their captions."""
POOL = 16_384
"""Scenes that are drawn and encoded once, before training."""


def training_scene(seed: int, index: int) -> Scene:
    """Scene number index of the training pool."""
    return sample_scene(generator(seed, SCENES, index))


def encode_pool(folder: Path, *, seed: int, count: int = POOL) -> tuple[Tensor, float]:
    """Latents of the pool, count x 16 x 16 x 16, scaled to a standard deviation near 1, and the scaling factor.

    They are kept in the folder as pool.safetensors (float16) and read from there the next time.
    """
    import numpy as np
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    path = folder / "pool.safetensors"
    if path.exists():
        with safe_open(path, framework="pt") as file:
            latents: Tensor = file.get_tensor("latents")
            return latents, float(file.metadata()["scaling"])
    vae = averaged_vae(folder)
    scaling = measure_scaling(vae)
    parts = []
    for start in range(0, count, 64):
        pictures = np.stack([draw(training_scene(seed, index)) for index in range(start, min(count, start + 64))])
        pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            parts.append((vae.encode(pixels).latent_dist.mean.float() * scaling).half())
    latents = torch.cat(parts).contiguous()
    save_file({"latents": latents}, path, metadata={"scaling": repr(scaling), "seed": str(seed)})
    return latents, scaling


def encode_text(first: CLIPTextModel, second: CLIPTextModelWithProjection, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Prompt embeddings (n x 48 x 192) and pooled embeddings (n x 96) in exactly SDXL's form."""
    import torch

    one = first(tokens, output_hidden_states=True)
    two = second(tokens, output_hidden_states=True)
    return torch.cat([one.hidden_states[-2], two.hidden_states[-2]], -1), two.text_embeds


def time_ids(count: int) -> Tensor:
    """SDXL's time ids of an uncropped 64 x 64 picture, count x 6."""
    import torch

    return torch.tensor([[models.SIDE, models.SIDE, 0.0, 0.0, models.SIDE, models.SIDE]]).repeat(count, 1)


class Denoising:
    """The loss of one step: velocity prediction with the base's noise schedule."""

    def __init__(self, unet: nn.Module, first: CLIPTextModel, second: CLIPTextModelWithProjection) -> None:
        """Keeps the three modules and the schedule's cumulative products."""
        import torch

        self.unet, self.first, self.second = unet, first, second
        self.products = models.scheduler().alphas_cumprod
        self.torch = torch

    def __call__(self, latents: Tensor, tokens: Tensor, keep: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """Mean squared error of the velocity.

        latents and noise are n x 16 x 16 x 16, tokens n x 48, times n integers in 0..999; keep (n) is 0 where the text's
        embeddings are replaced by zeros, and 1 elsewhere.
        """
        product = self.products[times].view(-1, 1, 1, 1)
        signal, spread = product.sqrt(), (1 - product).sqrt()
        noisy = signal * latents + spread * noise
        with self.torch.autocast("cpu", self.torch.bfloat16):
            text, pooled = encode_text(self.first, self.second, tokens)
            text, pooled = text * keep.view(-1, 1, 1), pooled * keep.view(-1, 1)
            added = {"text_embeds": pooled, "time_ids": time_ids(len(latents))}
            predicted = self.unet(noisy, times, text, added_cond_kwargs=added, return_dict=False)[0]
        target = signal * noise - spread * latents
        error: Tensor = (predicted.float() - target).square().mean()
        return error


def fresh_modules(seed: int, folder: Path) -> dict[str, nn.Module]:
    """The untrained U-Net and text encoders; the tokenizer is kept in the folder."""
    if not (folder / "tokenizer" / "tokenizer_config.json").exists():
        words.write_tokenizer(folder / "tokenizer")
    tokenizer = words.load_tokenizer(folder / "tokenizer")
    start, end = int(tokenizer.bos_token_id), int(tokenizer.eos_token_id)
    first, second = models.fresh(seed + 1, lambda: models.text_encoders(len(tokenizer), start, end))
    return {
        "unet": models.fresh(seed, models.unet),
        "text_encoder": first,
        "text_encoder_2": second,
    }


def train(folder: Path, *, steps: int, seed: int = 1, size: int = 32, peak: float = 1e-3) -> None:
    """Trains for steps updates of size pictures in all, continuing from the folder's checkpoint."""
    import numpy as np
    import torch

    latents, _ = encode_pool(folder, seed=seed)
    modules: dict[str, Any] = fresh_modules(seed, folder)
    tokenizer = words.load_tokenizer(folder / "tokenizer")
    trainer = Trainer(modules, folder, name="unet")
    trainer.restore()
    loss_of = Denoising(modules["unet"], modules["text_encoder"], modules["text_encoder_2"])
    losses: list[float] = []
    per_round = len(latents) // size
    mine = share(size)
    while trainer.step < steps:
        turn, turned = divmod(trainer.step, per_round)
        order = generator(seed, SCENES, 1_000_000_007, turn).permutation(len(latents))
        chosen = order[turned * size : (turned + 1) * size]
        rng = generator(seed, CAPTIONS, trainer.step)
        captions = [training_caption(training_scene(seed, int(index)), rng) for index in chosen]
        tokens = words.token_ids(tokenizer, captions[mine])
        zeros = [not text and rng.random() < 0.5 for text in captions]
        noise = torch.from_numpy(rng.standard_normal((size, *latents.shape[1:]), dtype=np.float32))
        strata = (rng.permutation(size) + rng.random(size)) / size
        times = torch.from_numpy((strata * 1000).astype(np.int64))
        keep = 1 - torch.tensor(zeros).float()
        loss = loss_of(latents[torch.from_numpy(chosen[mine])].float(), tokens, keep[mine], noise[mine], times[mine])
        lr = learning_rate(trainer.step, steps, peak=peak, warmup=300)
        norm = trainer.update(loss, lr=lr)
        losses.append(float(loss.detach()))
        if trainer.step % 50 == 0 or trainer.step == steps:
            trainer.log(loss=sum(losses) / len(losses), lr=lr, grad_norm=norm)
            losses.clear()
        if trainer.step % 250 == 0 or trainer.step == steps:
            trainer.save()
