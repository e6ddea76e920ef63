"""Stable Diffusion XL (Podell et al. 2023)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from loraspec.values import Picture, Placement
from loraspec_guide.models.family import Family
from loraspec_guide.models.samplers import pipeline_class


class Sdxl(Family):
    """Two text encoders side by side (penultimate layers), pooled embedding of the second, sizes and crop as conditioning."""

    family: ClassVar[str] = "sdxl"

    def _encode(self, tokens: Tensor) -> Mapping[str, Tensor]:
        """int64 ``[B, 2, T]`` -> ``embeds`` [B, T, D1 + D2] and ``pooled`` [B, P], in the encoders' dtype; differentiable."""
        layer = -(self.options.clip_skip + 2)
        embeds, pooled = [], None
        for number, encoder in enumerate(self.text_encoders.values()):
            device = next(encoder.parameters()).device
            with torch.autocast(device.type, enabled=False):
                told = encoder(tokens[:, number].to(device), output_hidden_states=True)
            embeds.append(told.hidden_states[layer])
            pooled = told[0]
        assert pooled is not None
        return {"embeds": torch.cat(embeds, dim=-1), "pooled": pooled}

    def condition(self, encoded: Mapping[str, Tensor], *, placements: Sequence[Placement]) -> Mapping[str, Tensor]:
        """Add ``time_ids`` [B, 6]: original size, crop corner, target size, each as (vertical, horizontal) in px.

        The original size is the image's before resizing; the crop corner is counted in the resized image (section 2.2 of the paper).
        """
        rows = [(one.original[1], one.original[0], one.crop[1], one.crop[0], one.height, one.width) for one in placements]
        device = encoded["embeds"].device
        return {**encoded, "time_ids": torch.tensor(rows, dtype=torch.float32, device=device)}

    def denoise(self, noisy: Tensor, *, timesteps: Tensor, conditioning: Mapping[str, Tensor]) -> Tensor:
        """``[B, C, h, w]``, int64 ``[B]`` -> the prediction ``[B, C, h, w]``."""
        added = {"text_embeds": self._for_denoiser(conditioning["pooled"]), "time_ids": self._for_denoiser(conditioning["time_ids"])}
        return self._unet(self._for_denoiser(noisy), timesteps, self._for_denoiser(conditioning["embeds"]), added_cond_kwargs=added)

    def _pipeline(self, *, encoders: bool) -> Any:
        texts = [*self.text_encoders.values(), *self.tokenizers] if encoders else [None] * 4
        return pipeline_class("StableDiffusionXLPipeline")(
            vae=self.vae, text_encoder=texts[0], text_encoder_2=texts[1], tokenizer=texts[2], tokenizer_2=texts[3], unet=self.denoiser,
            scheduler=self._scheduler, add_watermarker=False,
            force_zeros_for_empty_prompt=self.base.pipeline["force_zeros_for_empty_prompt"],
        )

    def _prompt(self, pipeline: Any, picture: Picture, *, guided: bool) -> dict[str, Tensor | None]:
        if self.options.chunks > 1:
            return self._long_prompt(picture, guided=guided)
        names = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
        made = pipeline.encode_prompt(prompt=picture.prompt, negative_prompt=picture.negative or None, do_classifier_free_guidance=guided,
                                      device=self.precision.device, clip_skip=self.options.clip_skip or None)
        return dict(zip(names, made, strict=True))

    def _long_prompt(self, picture: Picture, *, guided: bool) -> dict[str, Tensor | None]:
        """The same for prompts in chunks, which the pipeline cannot encode."""
        tokens = torch.from_numpy(self.tokenize([picture.prompt, picture.negative])).to(self.precision.device)
        told = self.encode_tokens(tokens)
        embeds, pooled = told["embeds"], told["pooled"]
        if not picture.negative and self.base.pipeline["force_zeros_for_empty_prompt"]:
            embeds, pooled = (torch.cat([value[:1], torch.zeros_like(value[1:])]) for value in (embeds, pooled))
        return {"prompt_embeds": embeds[:1], "negative_prompt_embeds": embeds[1:] if guided else None,
                "pooled_prompt_embeds": pooled[:1], "negative_pooled_prompt_embeds": pooled[1:] if guided else None}  # fmt: skip
