"""A model family small enough for tests: real contract, real gradients, a few hundred weights."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from loraspec.randomness import generator
from loraspec.testing.tiny import CHANNELS, SCALE, TEXT_WIDTH, TOKENS, WIDTH, TinyOptions
from loraspec.values import Context, NoiseSchedule, Picture, Placement, Precision, Sampling

VOCABULARY = 64
STEPS = 1000


class _Attention(nn.Module):
    def __init__(self, context: int) -> None:
        super().__init__()
        self.to_q = nn.Linear(WIDTH, WIDTH, bias=False)
        self.to_k = nn.Linear(context, WIDTH, bias=False)
        self.to_v = nn.Linear(context, WIDTH, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(WIDTH, WIDTH)])

    def forward(self, hidden: Tensor, context: Tensor) -> Tensor:
        mixed: Tensor = self.to_out[0](F.scaled_dot_product_attention(self.to_q(hidden), self.to_k(context), self.to_v(context)))
        return mixed


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attn1, self.attn2 = _Attention(WIDTH), _Attention(TEXT_WIDTH)

    def forward(self, hidden: Tensor, text: Tensor) -> Tensor:
        hidden = hidden + self.attn1(hidden, hidden)
        out: Tensor = hidden + self.attn2(hidden, text)
        return out


class _Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.proj_in = nn.Conv2d(WIDTH, WIDTH, 1)
        self.transformer_blocks = nn.ModuleList([_Block()])
        self.proj_out = nn.Conv2d(WIDTH, WIDTH, 1)

    def forward(self, hidden: Tensor, text: Tensor) -> Tensor:
        batch, channels, height, width = hidden.shape
        tokens = self.proj_in(hidden).flatten(2).transpose(1, 2)  # [B, h*w, WIDTH]
        tokens = self.transformer_blocks[0](tokens, text)
        out: Tensor = hidden + self.proj_out(tokens.transpose(1, 2).reshape(batch, channels, height, width))
        return out


class _Down(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attentions = nn.ModuleList([_Transformer()])


class TinyDenoiser(nn.Module):
    """``[B, 4, h, w]``, timesteps ``[B]``, text ``[B, T, 6]`` -> ``[B, 4, h, w]``; block names as in SD 1.5."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(CHANNELS, WIDTH, 3, padding=1)
        self.time_embedding = nn.Linear(2, WIDTH)
        self.down_blocks = nn.ModuleList([_Down()])
        self.conv_out = nn.Conv2d(WIDTH, CHANNELS, 3, padding=1)

    def forward(self, noisy: Tensor, timesteps: Tensor, text: Tensor) -> Tensor:
        """Predict."""
        angle = timesteps.to(noisy.dtype)[:, None] * (np.pi / STEPS)
        hidden = self.conv_in(noisy) + self.time_embedding(torch.cat([angle.sin(), angle.cos()], 1))[:, :, None, None]
        hidden = self.down_blocks.get_submodule("0.attentions.0")(hidden, text)
        out: Tensor = self.conv_out(F.silu(hidden))
        return out


class TinyFamily:
    """The ``ModelFamily`` contract at its smallest; everything is drawn from ``options.seed``."""

    def __init__(self, options: TinyOptions) -> None:
        self.options = options
        with torch.device("meta"):  # modules draw their first weights from torch's global generator, except here
            denoiser, encoder = TinyDenoiser(), nn.Embedding(VOCABULARY, TEXT_WIDTH)
        self.denoiser: nn.Module = denoiser.to_empty(device="cpu")
        self.text_encoders: Mapping[str, nn.Module] = {"text_encoder": encoder.to_empty(device="cpu")}
        self.schedule = NoiseSchedule(torch.cumprod(1 - torch.linspace(1e-4, 2e-2, STEPS), 0), options.prediction)
        self.device = torch.device("cpu")

    def load(self, context: Context, *, precision: Precision) -> None:
        """Fill the weights and freeze them."""
        for part, module in (("denoiser", self.denoiser), *self.text_encoders.items()):
            for name, weight in module.named_parameters():
                rng = generator(self.options.seed, "tiny", part, name)
                fan_in = max(1, weight[0].numel())
                weight.data = torch.from_numpy(rng.standard_normal(tuple(weight.shape), dtype=np.float32)) / fan_in**0.5
            module.requires_grad_(False)
            module.to(dtype=precision.weights)

    def content(self) -> Mapping[str, str]:
        """The weights follow from the seed, so its hash serves for all parts."""
        return {part: hashlib.sha256(f"tiny {part} {self.options}".encode()).hexdigest() for part in ("vae", "text_encoders", "denoiser")}

    def encode_images(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean colour and brightness of 8 x 8 patches; a constant std."""
        colour = F.avg_pool2d(pixels.float(), SCALE)
        mean = torch.cat([colour, colour.mean(1, keepdim=True)], 1)
        return mean, torch.full_like(mean, 0.05)

    def tokenize(self, prompts: Sequence[str]) -> np.ndarray[Any, Any]:
        """One token a word: a checksum of it."""
        tokens = np.zeros((len(prompts), 1, TOKENS), dtype=np.int64)
        for row, prompt in enumerate(prompts):
            words = prompt.replace(",", " ").split()[:TOKENS]
            tokens[row, 0, : len(words)] = [1 + zlib.crc32(word.encode()) % (VOCABULARY - 1) for word in words]
        return tokens

    def count_tokens(self, prompt: str) -> int:
        """Words."""
        return len(prompt.replace(",", " ").split())

    def encode_tokens(self, tokens: Tensor) -> Mapping[str, Tensor]:
        """Look tokens up."""
        return {"embeds": self.text_encoders["text_encoder"](tokens[:, 0])}

    def condition(self, encoded: Mapping[str, Tensor], *, placements: Sequence[Placement]) -> Mapping[str, Tensor]:
        """Nothing depends on geometry."""
        return encoded

    def denoise(self, noisy: Tensor, *, timesteps: Tensor, conditioning: Mapping[str, Tensor]) -> Tensor:
        """Predict."""
        weight = next(self.denoiser.parameters())
        out: Tensor = self.denoiser(noisy.to(weight.dtype), timesteps, conditioning["embeds"].to(weight.dtype))
        return out

    def place(self, part: str, *, device: torch.device) -> None:
        """Move a part."""
        if part == "denoiser":
            self.denoiser.to(device)
            self.device = device
        elif part == "text_encoders":
            for encoder in self.text_encoders.values():
                encoder.to(device)

    def gradient_checkpointing(self, on: bool) -> None:
        """Too small to matter."""

    @torch.no_grad()
    def generate(self, pictures: Sequence[Picture], *, sampling: Sampling) -> list[Image.Image]:
        """DDIM without noise (Song et al. 2021), one picture at a time."""
        alphas = self.schedule.alphas_cumprod.to(self.device)
        times = torch.linspace(STEPS - 1, 0, sampling.steps).long().tolist()
        images = []
        for picture in pictures:
            shape = (1, CHANNELS, sampling.height // SCALE, sampling.width // SCALE)
            noise = generator(picture.seed, "tiny picture").standard_normal(shape, dtype=np.float32)
            latents = torch.from_numpy(noise).to(self.device)
            tokens = torch.from_numpy(self.tokenize([picture.prompt, picture.negative])).to(self.device)
            text = self.encode_tokens(tokens)["embeds"]
            for index, time in enumerate(times):
                alpha = alphas[time]
                after = alphas[times[index + 1]] if index + 1 < len(times) else torch.ones_like(alpha)
                stamp = torch.tensor([time, time], device=self.device)
                wanted, unwanted = self.denoise(latents.repeat(2, 1, 1, 1), timesteps=stamp, conditioning={"embeds": text}).float().chunk(2)
                guided = unwanted + sampling.guidance * (wanted - unwanted)
                if self.schedule.prediction == "v_prediction":
                    guided = alpha.sqrt() * guided + (1 - alpha).sqrt() * latents
                clean = ((latents - (1 - alpha).sqrt() * guided) / alpha.sqrt()).clamp(-1, 1)
                latents = after.sqrt() * clean + (1 - after).sqrt() * guided
            pixels = F.interpolate(latents[:, :3].clamp(-1, 1), scale_factor=SCALE)[0].permute(1, 2, 0)
            images.append(Image.fromarray(((pixels.cpu().numpy() + 1) * 127.5).round().astype("uint8")))
        return images
