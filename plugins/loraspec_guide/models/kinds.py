"""What a .safetensors file holds, told from the names and shapes in its header. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

Names = Mapping[str, tuple[int, ...]]

WORDS: Final = {
    "sdxl": "a Stable Diffusion XL checkpoint",
    "sd15": "a Stable Diffusion 1.x checkpoint",
    "sd2": "a Stable Diffusion 2 checkpoint",
    "refiner": "an SDXL refiner",
    "inpaint": "an inpainting model (9 input channels)",
    "pix2pix": "an image editing model (8 input channels)",
    "lora": "a LoRA file",
    "controlnet": "a ControlNet",
    "embedding": "a textual inversion",
    "vae": "a VAE",
    "unet": "a U-Net alone",
    "text": "a text encoder alone",
    "transformer": "a diffusion transformer (SD 3, Flux or newer)",
    "": "no kind of model that is known here",
}
ADAPTERS: Final = (".lora_down.", ".lora_up.", ".lora_A.", ".lora_B.", ".lora.down.", ".hada_w", ".lokr_w", ".oft_")
CONV_IN: Final = ("model.diffusion_model.input_blocks.0.0.weight", "input_blocks.0.0.weight", "conv_in.weight")


def kind_of(names: Names) -> str:
    """Return a key of ``WORDS`` for the names and shapes in a file's header; "" for what is not known."""
    def has(*starts: str) -> bool:
        return any(name.startswith(starts) for name in names)

    channels = next((names[name][1] for name in CONV_IN if len(names.get(name, ())) == 4), 0)
    whole = has("model.diffusion_model.input_blocks.")
    rules: tuple[tuple[str, Callable[[], bool]], ...] = (  # the first that holds
        ("lora", lambda: any(part in f".{name}" for name in names for part in ADAPTERS)),
        ("controlnet", lambda: has("control_model.", "controlnet_", "zero_convs.")),
        ("embedding", lambda: bool({"emb_params", "clip_l", "clip_g"} & {*names})),
        ("transformer", lambda: has("model.diffusion_model.joint_blocks.", "model.diffusion_model.double_blocks.", "double_blocks.",
                                    "joint_blocks.", "transformer_blocks.")),
        ("inpaint", lambda: channels == 9),
        ("pix2pix", lambda: channels == 8),
        ("refiner", lambda: whole and has("conditioner.embedders.0.model.")),
        ("sdxl", lambda: whole and has("conditioner.embedders.1.")),
        ("sd2", lambda: whole and has("cond_stage_model.model.")),
        ("sd15", lambda: whole and has("cond_stage_model.transformer.")),
        ("unet", lambda: whole or has("input_blocks.", "down_blocks.", "time_embedding.")),
        ("vae", lambda: has("encoder.down", "decoder.up", "decoder.mid", "first_stage_model.", "quant_conv.")),
        ("text", lambda: has("text_model.", "embeddings.token_embedding", "encoder.layers.", "transformer.resblocks.")),
    )
    return next((kind for kind, holds in rules if holds()), "")
