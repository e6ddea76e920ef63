"""The smallest honest training loop: what a step costs when there is nothing but the step.

Latents and prompt embeddings in memory, PEFT's LoRA on the modules that loraspec adapts, forward, backward, torch's fused AdamW. Alone,
``python -m benchmarks.floor FOLDER`` loads the U-Net of a diffusers folder, takes steps and prints JSON: when each was done, seconds
after the start of the process, and the most memory that was resident.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn


def published_targets(unet: nn.Module) -> list[str]:
    """Every Linear layer and 1x1 convolution of the transformer blocks."""
    return [
        name
        for name, layer in unet.named_modules()
        if "attentions" in name.split(".") and isinstance(layer, nn.Linear | nn.Conv2d) and getattr(layer, "kernel_size", (1, 1)) == (1, 1)
    ]


class Floor:
    """A loop, step by step.

    Attributes:
        unet: With LoRA; the base is frozen.
        latents: ``[n, C, h, w]``.
        conditioning: What the U-Net is given beside, a row for each latent: ``embeds``, and for SDXL ``pooled`` and ``time_ids``.
    """

    def __init__(self, unet: Any, *, latents: Tensor, conditioning: Mapping[str, Tensor], batch: int, rank: int = 16,
                 targets: Sequence[str] = (), compute: torch.dtype | None = None, checkpointing: bool = False) -> None:  # fmt: skip
        self.unet, self.latents, self.conditioning, self.batch, self.compute = unet, latents, conditioning, batch, compute
        unet.requires_grad_(False)
        chosen = list(targets) or published_targets(unet)
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=chosen), unet)
        unet.train()
        if checkpointing:
            unet.enable_gradient_checkpointing()
        self.parameters = [weight for weight in unet.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=1e-4, fused=True)
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
        self.alphas = torch.cumprod(1 - betas, 0).to(latents.device)
        self.chance = torch.Generator().manual_seed(0)
        self.number = 0

    def step(self) -> None:
        """One step: rows in turn, noise of the right size, mean squared error."""
        device = self.latents.device
        rows = (torch.arange(self.batch) + self.number) % len(self.latents)
        self.number += self.batch
        clean, known = self.latents[rows], {name: value[rows] for name, value in self.conditioning.items()}
        noise = torch.randn(clean.shape, generator=self.chance).to(device)
        steps = torch.randint(len(self.alphas), (self.batch,), generator=self.chance).to(device)
        alpha = self.alphas[steps].view(-1, 1, 1, 1)
        noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
        added = {"added_cond_kwargs": {"text_embeds": known["pooled"], "time_ids": known["time_ids"]}} if "pooled" in known else {}
        with torch.autocast(device.type, dtype=self.compute, enabled=self.compute is not None):
            predicted = self.unet(noisy, steps, known["embeds"], return_dict=False, **added)[0]
            loss = torch.nn.functional.mse_loss(predicted.float(), noise)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def most_resident() -> int:
    """Return the most bytes that were resident; ``getrusage`` would count what the process that started this one had."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def main() -> None:
    """Load, take steps, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a diffusers folder")
    parser.add_argument("--began", type=float, default=time.time(), help="when this process was started, seconds since 1970")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--side", type=int, default=64, help="px")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--checkpointing", action="store_true")
    given = parser.parse_args()
    from diffusers import UNet2DConditionModel

    dtype = torch.bfloat16 if given.bf16 and given.device != "cpu" else torch.float32
    unet: Any = UNet2DConditionModel.from_pretrained(given.folder / "unet", torch_dtype=dtype).to(given.device)
    config, chance, count = unet.config, torch.Generator().manual_seed(1), 16
    scale = 2 ** (len(json.loads((given.folder / "vae" / "config.json").read_text())["block_out_channels"]) - 1)
    shape = (count, config.in_channels, given.side // scale, given.side // scale)
    conditioning = {"embeds": torch.randn(count, 77, config.cross_attention_dim, generator=chance)}
    if config.addition_embed_type == "text_time":
        width = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        ids = torch.tensor([[given.side, given.side, 0, 0, given.side, given.side]] * count, dtype=torch.float32)
        conditioning |= {"pooled": torch.randn(count, width, generator=chance), "time_ids": ids}
    floor = Floor(unet, latents=torch.randn(shape, generator=chance).to(given.device), batch=given.batch,
                  conditioning={name: value.to(given.device, dtype) for name, value in conditioning.items()},
                  compute=torch.bfloat16 if given.bf16 else None, checkpointing=given.checkpointing)  # fmt: skip
    ends, cpu = [], []
    for _ in range(given.steps):
        floor.step()
        ends.append(time.time() - given.began)
        cpu.append(time.process_time())
    peak = torch.cuda.max_memory_allocated() if given.device == "cuda" else most_resident()
    sys.stdout.write(json.dumps({"first_step": ends[0], "first_step_cpu": cpu[0], "ends": ends, "peak": peak}) + "\n")


if __name__ == "__main__":
    main()
