"""Stable Diffusion 1.x (Rombach et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from loraspec.values import Picture, Placement
from loraspec_guide.models.family import Family
from loraspec_guide.models.samplers import pipeline_class


class Sd15(Family):
    """One CLIP text encoder, its last layer."""

    family: ClassVar[str] = "sd15"

    def _encode(self, tokens: Tensor) -> Mapping[str, Tensor]:
        """int64 ``[B, 1, T]`` -> ``embeds`` [B, T, D], in the encoder's dtype; differentiable."""
        encoder: Any = self.text_encoders["text_encoder"]
        device = next(encoder.parameters()).device
        with torch.autocast(device.type, enabled=False):
            told = encoder(tokens[:, 0].to(device), output_hidden_states=True)
            if not self.options.clip_skip:
                return {"embeds": told.last_hidden_state}
            norm = getattr(encoder, "text_model", encoder).final_layer_norm
            return {"embeds": norm(told.hidden_states[-(self.options.clip_skip + 1)])}

    def condition(self, encoded: Mapping[str, Tensor], *, placements: Sequence[Placement]) -> Mapping[str, Tensor]:
        """Return the prompts unchanged: this family knows nothing of geometry."""
        return encoded

    def denoise(self, noisy: Tensor, *, timesteps: Tensor, conditioning: Mapping[str, Tensor]) -> Tensor:
        """``[B, C, h, w]``, int64 ``[B]`` -> the prediction ``[B, C, h, w]``."""
        text = self._for_denoiser(conditioning["embeds"])
        return self._unet(self._for_denoiser(noisy), timesteps, text)

    def _pipeline(self, *, encoders: bool) -> Any:
        texts = [*self.text_encoders.values(), *self.tokenizers] if encoders else [None] * 2
        return pipeline_class("StableDiffusionPipeline")(
            vae=self.vae, text_encoder=texts[0], tokenizer=texts[1], unet=self.denoiser, scheduler=self._scheduler,
            safety_checker=None, feature_extractor=None, requires_safety_checker=False,
        )

    def _prompt(self, pipeline: Any, picture: Picture, *, guided: bool) -> dict[str, Tensor | None]:
        if self.options.chunks > 1:  # the pipeline cuts after 77 tokens
            tokens = torch.from_numpy(self.tokenize([picture.prompt, picture.negative])).to(self.precision.device)
            embeds = self.encode_tokens(tokens)["embeds"]
            return {"prompt_embeds": embeds[:1], "negative_prompt_embeds": embeds[1:] if guided else None}
        made = pipeline.encode_prompt(prompt=picture.prompt, device=self.precision.device, num_images_per_prompt=1,
                                      do_classifier_free_guidance=guided, negative_prompt=picture.negative or None)
        embeds = made[0]
        if self.options.clip_skip:  # the pipeline's own way breaks with transformers 5.6; as there, negative prompts keep every layer
            tokens = torch.from_numpy(self.tokenize([picture.prompt])).to(self.precision.device)
            embeds = self.encode_tokens(tokens)["embeds"]
        return {"prompt_embeds": embeds, "negative_prompt_embeds": made[1]}
