"""Tiny diffusers pipelines with random weights, in the shape of SDXL and SD 1.5: seconds to build, nothing to download.

``sdxl`` has the blocks of SDXL base with at most two transformer layers each, ``sdxl-deep`` with all of them (722 modules in the
published target set), ``sd15`` those of SD 1.5 (192), all at a width of a few channels; ``sdxl-small`` and ``sd15-small`` are models
of these families with other and fewer blocks. Images are 64 px (latents 8 px).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from loraspec.randomness import generator

Shape = Literal["sdxl", "sdxl-deep", "sdxl-small", "sd15", "sd15-small"]
LENGTH = 77
TEXT = {"intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": LENGTH}
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
VAE = {"block_out_channels": (4, 8, 8, 8), "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4,
       "layers_per_block": 1, "norm_num_groups": 2, "latent_channels": 4, "sample_size": 64}
SDXL = {"addition_embed_type": "text_time", "addition_time_embed_dim": 8, "projection_class_embeddings_input_dim": 24 + 6 * 8,
        "use_linear_projection": True, "cross_attention_dim": 16 + 24}
UNET: dict[Shape, dict[str, Any]] = {
    "sdxl": SDXL | {
        "block_out_channels": (4, 8, 8), "layers_per_block": 2, "transformer_layers_per_block": [1, 1, 2], "attention_head_dim": [1, 2, 2],
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    },
    "sdxl-small": SDXL | {
        "block_out_channels": (4, 8, 8), "layers_per_block": 1, "transformer_layers_per_block": 1, "attention_head_dim": [1, 2, 2],
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    },
    "sd15": {
        "block_out_channels": (4, 8, 8, 8), "layers_per_block": 2, "attention_head_dim": 2, "cross_attention_dim": 16,
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    },
    "sd15-small": {
        "block_out_channels": (4, 8), "layers_per_block": 1, "attention_head_dim": 2, "cross_attention_dim": 16,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"), "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    },
}  # fmt: skip
UNET["sdxl-deep"] = UNET["sdxl"] | {"transformer_layers_per_block": [1, 2, 10]}


def build_tiny(folder: Path, family: Shape, *, seed: int = 0, prediction: str = "epsilon") -> Path:
    """Write a diffusers folder and return it.

    Args:
        folder: Where to; made if it is not there.
        family: Shape of the model.
        seed: Decides every weight.
        prediction: ``epsilon`` or ``v_prediction``, for its scheduler config.
    """
    import diffusers
    import torch
    import transformers

    two = family.startswith("sdxl")  # text encoders
    tokenizer = write_vocabulary(folder / "tokenizer")
    if two:
        write_vocabulary(folder / "tokenizer_2", pad="!")
    marks = {"vocab_size": 514, "bos_token_id": 512, "eos_token_id": 513, "pad_token_id": 513}
    vae = VAE | {"scaling_factor": 0.13025 if two else 0.18215}
    with torch.random.fork_rng(devices=[]):  # the libraries draw first weights, which are overwritten
        parts: dict[str, torch.nn.Module] = {
            "unet": diffusers.UNet2DConditionModel(sample_size=8, norm_num_groups=2, in_channels=4, out_channels=4, **UNET[family]),
            "vae": diffusers.AutoencoderKL(**vae),
            "text_encoder": transformers.CLIPTextModel(_text_config(16, marks)),
        }
        if two:
            parts["text_encoder_2"] = transformers.CLIPTextModelWithProjection(_text_config(24, marks))
    scheduler = diffusers.DDIMScheduler(**BETAS, prediction_type=prediction, clip_sample=False, set_alpha_to_one=False)
    for name, module in parts.items():
        _draw(module, seed, name)
        module.save_pretrained(folder / name)  # type: ignore[operator]
    scheduler.save_pretrained(folder / "scheduler")
    made = type(tokenizer).__name__
    index = {"_class_name": "StableDiffusionXLPipeline" if two else "StableDiffusionPipeline"}
    index |= {name: [type(module).__module__.split(".")[0], type(module).__name__] for name, module in parts.items()}  # type: ignore[misc]
    index |= {"tokenizer": ["transformers", made], "scheduler": ["diffusers", "DDIMScheduler"]}  # type: ignore[dict-item]
    if two:
        index |= {"tokenizer_2": ["transformers", made], "force_zeros_for_empty_prompt": True}  # type: ignore[dict-item]
    else:
        index |= {"safety_checker": [None, None], "feature_extractor": [None, None], "requires_safety_checker": False}  # type: ignore[dict-item]
    (folder / "model_index.json").write_text(json.dumps(index, indent=1))
    return folder


def write_vocabulary(folder: Path, *, pad: str = "<|endoftext|>") -> Any:
    """Write a ``CLIPTokenizer`` whose tokens are single letters (512 of them, start and end), and return it."""
    import transformers

    letters = _byte_letters()
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    marks = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>", "pad_token": pad}
    config = marks | {"model_max_length": LENGTH, "tokenizer_class": "CLIPTokenizer", "add_prefix_space": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return transformers.CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)


def _byte_letters() -> list[str]:
    """The printable letter of each byte (GPT-2's byte-level table): printable bytes stand for themselves, the rest come after 255."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + number) for number in range(len(rest))]


def _text_config(width: int, marks: dict[str, int]) -> Any:
    from transformers import CLIPTextConfig

    return CLIPTextConfig(hidden_size=width, projection_dim=width, **TEXT, **marks)


def _draw(module: Any, seed: int, part: str) -> None:
    """Fill a module: normal weights of variance 1 / fan-in, ones and zeros in norms and biases."""
    import torch

    with torch.no_grad():
        for name, weight in module.named_parameters():
            if weight.ndim < 2:
                weight.fill_(1.0 if name.endswith("weight") else 0.0)
                continue
            drawn = generator(seed, "tiny pipeline", part, name).standard_normal(tuple(weight.shape))
            weight.copy_(torch.as_tensor(drawn / weight[0].numel() ** 0.5, dtype=weight.dtype))
