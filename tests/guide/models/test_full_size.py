"""A full-size SD 1.5 U-Net with random weights takes one real LoRA training step on the CPU."""

from __future__ import annotations

import resource
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from loraspec_guide.adapters.registry import ADAPTERS, LoraOptions
from loraspec_guide.models.standard import SD15
from loraspec_guide.models.weights import empty

from loraspec.randomness import generator, rng_of


@pytest.mark.slow
def test_full_size_unet_takes_a_training_step(record_property: Any) -> None:
    """Rank 64 on 192 modules: loss, gradients and an AdamW step on 512 px latents; the peak memory is recorded."""
    unet: Any = empty("unet", SD15.unet).to_empty(device="cpu")
    with torch.no_grad():
        for name, weight in unet.named_parameters():
            if weight.ndim < 2:
                weight.fill_(1.0 if name.endswith("weight") else 0.0)
            else:
                drawn = generator(0, "full", name).standard_normal(weight.numel(), dtype="float32")
                weight.copy_(torch.from_numpy(drawn).view_as(weight) / weight[0].numel() ** 0.5)
    unet.enable_gradient_checkpointing()
    unet.train()
    adapter = ADAPTERS[0].build(LoraOptions(rank=64))
    [group] = adapter.inject(SimpleNamespace(denoiser=unet, text_encoders={}), rng=rng_of(0))
    assert len(group["params"]) == 2 * 192
    optimizer = torch.optim.AdamW([group], lr=1e-5)  # small enough for the first order to decide the sign

    def drawn_like(name: str, *shape: int) -> torch.Tensor:
        return torch.from_numpy(generator(0, name).standard_normal(shape, dtype="float32"))

    noise, text = drawn_like("noise", 1, 4, 64, 64), drawn_like("text", 1, 77, 768)
    losses = []
    for _ in range(2):
        predicted = unet(drawn_like("noisy", 1, 4, 64, 64), torch.tensor([500]), text).sample
        loss = (predicted - noise).square().mean()
        losses.append(loss.item())
        if len(losses) == 1:
            loss.backward()
            before = adapter.state()
            optimizer.step()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    record_property("peak_memory_gib", round(peak, 2))
    record_property("losses", losses)
    after = adapter.state()
    moved = [name for name in after.tensors if not after.tensors[name].equal(before.tensors[name])]
    assert {name for name in after.tensors if ".lora_up." in name} <= set(moved)
    assert losses[1] < losses[0]
    assert peak < 12
