"""The forecast of memory: parameters counted exactly, activations as autograd keeps them, and all of it against resident memory."""

import json
import subprocess
import sys

import diffusers
import pytest
import torch
import transformers
from benchmarks.floor import published_targets
from loraspec_guide.adapters.fused import fuse
from loraspec_guide.models.architecture import unet_targets
from loraspec_guide.models.eightbit import narrow
from loraspec_guide.models.footprint import activations, clip_numbers, memory_of, narrowed_bytes, numbers, unet_shapes, vae_numbers
from loraspec_guide.models.standard import SD15, SDXL, STANDARD
from peft import LoraConfig, inject_adapter_in_model

from loraspec.memory import MemoryAsked
from loraspec.testing.pipelines import UNET, VAE

SMALL = {name: {"sample_size": 8, "norm_num_groups": 2, "in_channels": 4, "out_channels": 4, **config} for name, config in UNET.items()}


def unet_of(config):
    """A U-Net on the meta device: shapes without memory."""
    with torch.device("meta"):
        return diffusers.UNet2DConditionModel(**config)


@pytest.mark.parametrize("name", [*STANDARD, *SMALL])
def test_parameters_of_the_u_net_are_exact(name):
    """Against the module itself, the published architectures and every tiny one."""
    config = STANDARD[name].unet if name in STANDARD and name not in SMALL else SMALL[name]
    for one in (config, STANDARD[name].unet if name in STANDARD else config):
        module = unet_of(one)
        assert numbers(unet_shapes(one)) == sum(weight.numel() for weight in module.parameters())
        assert sorted(unet_shapes(one)) == sorted(tuple(weight.shape) for weight in module.parameters())


def test_parameters_of_vae_and_text_encoders_are_exact():
    """Against the modules; a VAE of another shape too."""
    for config in (SD15.vae, SDXL.vae, VAE | {"in_channels": 3, "out_channels": 3}):
        with torch.device("meta"):
            vae = diffusers.AutoencoderKL(**config)
        assert vae_numbers(config) == sum(weight.numel() for weight in vae.parameters())
    for name, config in SDXL.text.items():
        kind = transformers.CLIPTextModelWithProjection if name == "text_encoder_2" else transformers.CLIPTextModel
        with torch.device("meta"):
            encoder = kind(transformers.CLIPTextConfig(**config))
        assert clip_numbers(config, projection=name == "text_encoder_2") == sum(weight.numel() for weight in encoder.parameters())


def test_bytes_in_eight_bits_are_those_of_the_module():
    """Weights, scales, and what is not narrowed."""
    config = SMALL["sd15"] | {"block_out_channels": (32, 64, 64, 64)}
    module = diffusers.UNet2DConditionModel(**config)
    narrow(module, "float8")
    tensors = [*module.parameters(), *(buffer for name, buffer in module.named_buffers() if name.endswith("scale"))]
    assert narrowed_bytes(unet_shapes(config), 4) == sum(one.numel() * one.element_size() for one in tensors)


@pytest.mark.parametrize(("name", "high", "wide", "batch", "rank"), [
    ("sd15", 16, 16, 1, 2), ("sd15", 32, 16, 2, 4), ("sdxl", 16, 16, 1, 2), ("sdxl-deep", 16, 32, 2, 8), ("sd15-small", 8, 24, 3, 1),
])  # fmt: skip
def test_activations_are_what_autograd_keeps(name, high, wide, batch, rank):
    """Every storage that is saved for the backward pass and is no weight, once: within one part in a hundred."""
    config = SMALL[name] | {"block_out_channels": tuple(8 * width for width in SMALL[name]["block_out_channels"])}
    module = diffusers.UNet2DConditionModel(**config).requires_grad_(False)
    inject_adapter_in_model(LoraConfig(r=rank, target_modules=published_targets(module)), module)
    for layer in list(module.modules()):
        fuse(layer)
    weights, kept = {one.untyped_storage().data_ptr() for one in module.parameters()}, {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    added = {}
    if "addition_embed_type" in config:
        pooled = config["projection_class_embeddings_input_dim"] - 6 * config["addition_time_embed_dim"]
        added = {"added_cond_kwargs": {"text_embeds": torch.zeros(batch, pooled), "time_ids": torch.zeros(batch, 6)}}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        module(torch.zeros(batch, 4, high, wide), torch.zeros(batch).long(), torch.zeros(batch, 77, config["cross_attention_dim"]), **added)

    asked = MemoryAsked(8 * wide, 8 * high, batch, rank, half=False, half_weights=False)
    told, _ = activations(config, asked, height=high, width=wide, tokens=77)
    assert told == pytest.approx(sum(size for size, _ in kept.values()), rel=0.01)


def test_checkpointing_and_half_precision_take_less():
    """Of the published bases, by as much as they are known to."""
    for base, side in ((SD15, 512), (SDXL, 1024)):
        whole, half, eight = (
            memory_of(base, MemoryAsked(side, side, 1, 16, half=less, half_weights=less), scale=8, tokens=77, vae_bytes=4, narrow=narrow)
            for less, narrow in ((False, "auto"), (True, "auto"), (True, "int8"))
        )
        assert half.weights * 2 == whole.weights
        assert eight.weights < 0.51 * half.weights
        assert 0.5 < half.activations / whole.activations < 0.85
        assert half.checkpointed < 0.3 * half.activations


PROBE = """
import json, sys
import diffusers, torch
from benchmarks.floor import Floor, most_resident as peak
from loraspec_guide.adapters.fused import fuse
from loraspec_guide.models.standard import SD15
side, checkpointing = int(sys.argv[1]), sys.argv[2] == "True"
conditioning = {"embeds": torch.zeros(4, 77, 768)}
torch.nn.functional.conv2d(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 3, 3))  # libraries are in memory now
before = peak()
with torch.device("meta"):
    unet = diffusers.UNet2DConditionModel(**SD15.unet)
unet = unet.to_empty(device="cpu")
with torch.no_grad():
    for weight in unet.parameters():
        weight.fill_(0.001)
latents = torch.zeros(4, 4, side // 8, side // 8)
floor = Floor(unet, latents=latents, conditioning=conditioning, batch=1, rank=16, checkpointing=checkpointing)
for layer in list(unet.modules()):
    fuse(layer)
loaded = peak()
for _ in range(2):
    floor.step()
trained = 12 * sum(weight.numel() for weight in floor.parameters)
print(json.dumps({"whole": peak() - before, "step": peak() - loaded - trained, "trained": trained}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("side", [128, 256, 384])
def test_resident_memory_of_sd15_is_forecast(side, checkpointing):
    """A step of the full-size U-Net in float32 on the CPU, in a process of its own: within 15 % of all that it takes.

    AdamW, which keeps two values for each trained number: 8 bytes, with 4 for the gradient.
    """
    done = subprocess.run([sys.executable, "-c", PROBE, str(side), str(checkpointing)], capture_output=True, text=True, check=True,
                          env={"OMP_NUM_THREADS": "1", "PYTHONPATH": ":".join(sys.path)})  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    asked = MemoryAsked(side, side, 1, 16, half=False, half_weights=False)
    told = memory_of(SD15, asked, scale=8, tokens=77, vae_bytes=4, narrow="auto")
    kept = told.checkpointed if checkpointing else told.activations
    adapter = 4 * sum(16 * (one.in_features + one.out_features) for one in unet_targets(SD15.unet))
    sys.stdout.write(f"{side} px, checkpointing {checkpointing}: step {found['step'] / 1e6:.0f} MB, forecast {kept / 1e6:.0f} MB\n")
    assert told.weights + adapter + found["trained"] + kept == pytest.approx(found["whole"], rel=0.15)
