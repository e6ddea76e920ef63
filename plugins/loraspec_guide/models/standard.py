"""The published architectures as data: what a hub id or a single file of the family is assumed to be.

Facts of stabilityai/stable-diffusion-xl-base-1.0 and stable-diffusion-v1-5/stable-diffusion-v1-5, in diffusers' and
transformers' keys; only what decides shapes and values is kept. Loading checks every tensor against them.
"""

from __future__ import annotations

from typing import Any, Final

from attrs import field, frozen


@frozen(eq=False)
class Architecture:
    """Configs of one base model.

    Attributes:
        family: ``sdxl`` or ``sd15``.
        unet, vae, scheduler: Configs in diffusers' keys.
        text: Configs of the text encoders in transformers' keys, by component name.
        max_length: Tokens of a prompt, start and end included.
    """

    family: str
    unet: dict[str, Any]
    vae: dict[str, Any]
    text: dict[str, dict[str, Any]]
    scheduler: dict[str, Any]
    max_length: int = 77
    pipeline: dict[str, Any] = field(factory=dict)


_CLIP_L: Final = {
    "vocab_size": 49408, "hidden_size": 768, "intermediate_size": 3072, "projection_dim": 768, "num_hidden_layers": 12,
    "num_attention_heads": 12, "max_position_embeddings": 77, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5,
    "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1,
}
_CLIP_BIG_G: Final = {
    "vocab_size": 49408, "hidden_size": 1280, "intermediate_size": 5120, "projection_dim": 1280, "num_hidden_layers": 32,
    "num_attention_heads": 20, "max_position_embeddings": 77, "hidden_act": "gelu", "layer_norm_eps": 1e-5,
    "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1,
}
_VAE: Final = {
    "in_channels": 3, "out_channels": 3, "latent_channels": 4, "layers_per_block": 2, "norm_num_groups": 32, "act_fn": "silu",
    "block_out_channels": [128, 256, 512, 512], "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}
_BETAS: Final = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
                 "prediction_type": "epsilon", "clip_sample": False, "set_alpha_to_one": False, "skip_prk_steps": True,
                 "steps_offset": 1}

SDXL: Final = Architecture(
    family="sdxl",
    unet={
        "sample_size": 128, "in_channels": 4, "out_channels": 4, "layers_per_block": 2, "norm_num_groups": 32, "act_fn": "silu",
        "block_out_channels": [320, 640, 1280],
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        "attention_head_dim": [5, 10, 20], "transformer_layers_per_block": [1, 2, 10], "cross_attention_dim": 2048,
        "use_linear_projection": True, "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
    vae=_VAE | {"sample_size": 1024, "scaling_factor": 0.13025, "force_upcast": True},
    text={"text_encoder": dict(_CLIP_L), "text_encoder_2": dict(_CLIP_BIG_G)},
    scheduler=_BETAS | {"_class_name": "EulerDiscreteScheduler", "interpolation_type": "linear", "sample_max_value": 1.0,
                        "timestep_spacing": "leading", "trained_betas": None, "use_karras_sigmas": False},
    pipeline={"force_zeros_for_empty_prompt": True},
)

SD15: Final = Architecture(
    family="sd15",
    unet={
        "sample_size": 64, "in_channels": 4, "out_channels": 4, "layers_per_block": 2, "norm_num_groups": 32, "act_fn": "silu",
        "block_out_channels": [320, 640, 1280, 1280],
        "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
        "attention_head_dim": 8, "cross_attention_dim": 768,
    },
    vae=_VAE | {"sample_size": 512, "scaling_factor": 0.18215},
    text={"text_encoder": dict(_CLIP_L)},
    scheduler=_BETAS | {"_class_name": "PNDMScheduler", "trained_betas": None},
)

STANDARD: Final = {"sdxl": SDXL, "sd15": SD15}
