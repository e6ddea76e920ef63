"""The architecture of the embedded base: fresh modules with the right configuration.

Everything is in the form of SDXL (two text encoders, pooled embedding, time ids), only small: a picture of 64 x 64 px
is a latent of 16 x 16 x 16. Initial weights come from torch's global generator, which ``fresh`` seeds and restores.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from torch import nn
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

Module = TypeVar("Module")

SIDE: Final = 64
"""Side of a picture in pixels."""
LATENT_CHANNELS: Final = 16
DOWNSAMPLING: Final = 4
"""Pixels per latent cell along each side."""
MAX_TOKENS: Final = 48
"""Length every prompt is padded to, start and end marks included."""
TEXT_WIDTH: Final = 96
"""Width of each text encoder; the U-Net sees both side by side."""


def fresh(seed: int, make: Callable[[], Module]) -> Module:
    """What make() builds, with weights that depend on the seed alone; torch's generator is left as it was."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # noqa: TID251  (module constructors take no generator)
        return make()


def ease(model: nn.Module, silent: tuple[str, ...] = ("conv2",)) -> None:
    """Makes a fresh convolutional network easy to train, in place.

    Layers whose names end in one of silent (the ends of residual branches) start at nothing, and the convolutions
    between them keep the variance of what they carry; with torch's own start the autoencoder took twice as many
    steps to the same error.
    """
    from torch import nn

    for name, module in model.named_modules():
        if not isinstance(module, nn.Conv2d | nn.Linear):
            continue
        if name.endswith(silent):
            nn.init.zeros_(module.weight)
        elif isinstance(module, nn.Conv2d) and not name.endswith("conv1"):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def autoencoder() -> AutoencoderKL:
    """The VAE: 3 x 64 x 64 in -1..1 to a posterior over 16 x 16 x 16 and back; 0.8 million parameters."""
    from diffusers import AutoencoderKL

    vae: AutoencoderKL = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(24, 48, 64),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=2,
        sample_size=SIDE,
        mid_block_add_attention=False,
        force_upcast=False,
    )
    ease(vae)
    return vae


def unet() -> UNet2DConditionModel:
    """The denoiser: transformer blocks at 16 x 16, 8 x 8 and in the middle, in SDXL's form."""
    from diffusers import UNet2DConditionModel

    model: UNet2DConditionModel = UNet2DConditionModel(
        sample_size=SIDE // DOWNSAMPLING,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(48, 96, 160),
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        transformer_layers_per_block=1,
        attention_head_dim=(1, 2, 4),
        cross_attention_dim=2 * TEXT_WIDTH,
        use_linear_projection=True,
        norm_num_groups=8,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=TEXT_WIDTH + 6 * 8,
    )
    ease(model, silent=("conv2", "conv_out", "proj_out"))
    return model


def _text_config(vocabulary: int, **marks: int) -> Any:
    from transformers import CLIPTextConfig

    return CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=TEXT_WIDTH,
        intermediate_size=4 * TEXT_WIDTH,
        projection_dim=TEXT_WIDTH,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=MAX_TOKENS,
        hidden_act="gelu",
        **marks,
    )


def text_encoders(vocabulary: int, start: int, end: int) -> tuple[CLIPTextModel, CLIPTextModelWithProjection]:
    """Both text encoders; vocabulary is the number of tokens, start and end the ids of the marks."""
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    config = _text_config(vocabulary, bos_token_id=start, eos_token_id=end, pad_token_id=end)
    first: CLIPTextModel = CLIPTextModel(config)
    second: CLIPTextModelWithProjection = CLIPTextModelWithProjection(config)
    return first, second


def scheduler() -> DDIMScheduler:
    """The noise schedule that the base is trained with and sampled with."""
    from diffusers import DDIMScheduler

    schedule: DDIMScheduler = DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing="trailing",
    )
    return schedule
