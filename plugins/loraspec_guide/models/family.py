"""What both families share: loading, encoding, moving, generating."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from loraspec.values import Context, NoiseSchedule, Picture, Placement, Precision, Sampling
from loraspec_guide.models.eightbit import narrow
from loraspec_guide.models.loading import Loaded, load
from loraspec_guide.models.samplers import base_scheduler, sampler

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    from loraspec_guide.models.registry import ModelOptions

Part = Literal["vae", "text_encoders", "denoiser"]
PIXELS_AT_ONCE = 4 * 1024 * 1024
PICTURES_AT_ONCE = 16


class Family:
    """A base model of the Stable Diffusion kind; see ``loraspec.contracts.ModelFamily`` for what each method promises."""

    family: ClassVar[str]
    denoiser: nn.Module
    vae: nn.Module
    text_encoders: Mapping[str, nn.Module]
    schedule: NoiseSchedule

    def __init__(self, options: ModelOptions) -> None:
        self.options = options

    # -- loading -------------------------------------------------------------------------------------------------------

    def load(self, context: Context, *, precision: Precision) -> None:
        """Load every part to the CPU, frozen: U-Net and text encoders in ``precision.weights``, the VAE in ``vae_dtype``.

        VAE and text encoders of files that are known get their values when they are first placed or used.

        Raises:
            SpecError: The checkpoint is no whole model of this family, or not what the plan assumed.
            EnvironmentMissing: A hub id that is not cached while the hub cannot be reached; no vocabulary for a single file.
        """
        made: Loaded = load(self.options, context, family=self.family, weights=precision.weights)
        self.precision, self.base, self.tokenizers = precision, made.architecture, made.tokenizers
        self.denoiser, self.vae = made.modules["unet"], made.modules["vae"]
        if self.options.unet_dtype != "auto":
            narrow(self.denoiser, self.options.unet_dtype)
        self._trained: Any = torch.compile(self.denoiser) if self.options.compile else self.denoiser
        self.text_encoders = {part: made.modules[part] for part in made.architecture.text}
        self._scheduler = base_scheduler(made.architecture.scheduler)
        alphas = self._scheduler.alphas_cumprod.to(torch.float32)
        self.schedule = NoiseSchedule(alphas, str(made.architecture.scheduler.get("prediction_type", "epsilon")))
        self._digests, self._later = made.digests, dict(made.later)

    def content(self) -> Mapping[str, str]:
        """sha256 by part over configs, stored tensors, dtype in use and, for the text encoders, ``clip_skip``."""
        def digest(*parts: object) -> str:
            return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()

        texts = [self._digests[part] for part in self.text_encoders]
        narrowed = [] if self.options.unet_dtype == "auto" else [self.options.unet_dtype]
        return {"vae": digest(self._digests["vae"], self.options.vae_dtype),
                "text_encoders": digest(*texts, self.precision.weights, self.options.clip_skip),
                "denoiser": digest(self._digests["unet"], self.precision.weights, *narrowed)}

    # -- training ------------------------------------------------------------------------------------------------------

    def encode_images(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, 3, H, W]`` in [-1, 1] -> posterior mean and std, float32 ``[B, C, h, w]``, scaled for the denoiser."""
        self._fill("vae")
        vae: Any = self.vae
        with torch.no_grad(), torch.autocast(pixels.device.type, enabled=False):
            posterior = vae.encode(pixels.to(vae.dtype)).latent_dist
        mean, std = posterior.mean.float(), posterior.std.float()
        shift, scale = _normalisation(vae.config, mean)
        return (mean - shift) * scale, (std * scale).expand_as(mean)

    def tokenize(self, prompts: Sequence[str]) -> np.ndarray[Any, Any]:
        """Prompts -> int64 ``[B, encoders, T]``, padded; longer prompts are cut. With ``chunks`` T is 77 for each of them."""
        import numpy as np

        length, chunks = self.base.max_length, self.options.chunks
        per_encoder = []
        for one in self.tokenizers:
            if chunks == 1:
                rows = one(list(prompts), padding="max_length", max_length=length, truncation=True).input_ids
            else:
                rows = [_chunked(ids[1:-1], one, length, chunks) for ids in one(list(prompts), truncation=False, verbose=False).input_ids]
            per_encoder.append(np.asarray(rows))
        return np.stack(per_encoder, axis=1).astype(np.int64)

    def count_tokens(self, prompt: str) -> int:
        """Tokens of a prompt for the first encoder, start and end not counted, uncut."""
        return len(self.tokenizers[0](prompt, truncation=False, verbose=False).input_ids) - 2

    def encode_tokens(self, tokens: Tensor) -> Mapping[str, Tensor]:
        """int64 ``[B, encoders, T]`` -> what the denoiser is conditioned on, in the encoders' dtype; differentiable.

        Chunks are encoded one by one and joined along T; what is pooled is the first one's.
        """
        self._fill("text_encoders")
        batch, chunks = len(tokens), self.options.chunks
        if chunks == 1:
            return self._encode(tokens)
        pieces = tokens.unflatten(2, (chunks, -1)).transpose(1, 2).flatten(0, 1)
        told = {name: value.unflatten(0, (batch, chunks)) for name, value in self._encode(pieces).items()}
        return {name: value.flatten(1, 2) if name == "embeds" else value[:, 0] for name, value in told.items()}

    @abstractmethod
    def _encode(self, tokens: Tensor) -> Mapping[str, Tensor]:
        """The same for prompts of one chunk; ``embeds`` is ``[B, T, D]``."""

    @abstractmethod
    def condition(self, encoded: Mapping[str, Tensor], *, placements: Sequence[Placement]) -> Mapping[str, Tensor]:
        """Add what depends on geometry."""

    @abstractmethod
    def denoise(self, noisy: Tensor, *, timesteps: Tensor, conditioning: Mapping[str, Tensor]) -> Tensor:
        """``[B, C, h, w]``, int64 ``[B]`` -> the denoiser's prediction ``[B, C, h, w]``."""

    def _for_denoiser(self, value: Tensor) -> Tensor:
        """Return ``value`` in the dtype that the denoiser takes; autocast does that by itself."""
        return value if torch.is_autocast_enabled(value.device.type) else value.to(self.precision.weights)

    def _unet(self, *given: Any, **named: Any) -> Tensor:
        """The denoiser's prediction; where gradients are wanted, as ``compile`` says."""
        called = self._trained if torch.is_grad_enabled() else self.denoiser
        predicted: Tensor = called(*given, **named, return_dict=False)[0]
        return predicted

    def place(self, part: Part, *, device: torch.device) -> None:
        """Move a part to a device."""
        self._fill(part)
        for module in self._modules(part):
            module.to(device)

    def _fill(self, part: Part) -> None:
        """Give a part its values, if it has none yet."""
        for name in {"vae": ["vae"], "text_encoders": list(self.text_encoders), "denoiser": []}[part]:
            later = self._later.pop(name, None)
            if later is not None:
                later()

    def _modules(self, part: Part) -> list[nn.Module]:
        return {"vae": [self.vae], "text_encoders": list(self.text_encoders.values()), "denoiser": [self.denoiser]}[part]

    def gradient_checkpointing(self, on: bool) -> None:
        """Recompute the denoiser's activations in the backward pass, or keep them."""
        denoiser: Any = self.denoiser
        if on:
            denoiser.enable_gradient_checkpointing()
        else:
            denoiser.disable_gradient_checkpointing()

    # -- generating ----------------------------------------------------------------------------------------------------

    @abstractmethod
    def _pipeline(self, *, encoders: bool) -> Any:
        """Make diffusers' own pipeline around the loaded modules; without ``encoders`` it takes embeddings only."""

    @abstractmethod
    def _prompt(self, pipeline: Any, picture: Picture, *, guided: bool) -> dict[str, Tensor | None]:
        """Encode one prompt as the pipeline does; keys are the pipeline's arguments, values ``[1, ...]``."""

    def generate(self, pictures: Sequence[Picture], *, sampling: Sampling) -> list[Image]:
        """The images that diffusers' own pipeline gives for these seeds, one CPU generator for each picture.

        An empty ``negative`` is no negative prompt, as in ``pipeline(prompt)``. Dropout is off, and autocast, but for the
        denoiser on a CPU in bf16: there its weights are float32, and it samples in the dtype that it trained in. Parts are
        moved to the run's device while they are needed and moved back.
        """
        self._fill("vae")
        self._fill("text_encoders")
        found: list[Image] = []
        guided = sampling.guidance > 1
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            stack.enter_context(torch.autocast(self.precision.device.type, enabled=False))
            for module in (self.denoiser, self.vae, *self.text_encoders.values()):
                stack.enter_context(_evaluating(module))
            with self._visiting("text_encoders"):
                encoder = self._pipeline(encoders=True)
                wanted = dict.fromkeys((one.prompt, one.negative) for one in pictures)
                prompts = {key: self._prompt(encoder, Picture(key[0], 0, key[1]), guided=guided) for key in wanted}
            stack.enter_context(self._visiting("denoiser"))
            stack.enter_context(self._visiting("vae"))
            pipeline = self._pipeline(encoders=False)
            pipeline.set_progress_bar_config(disable=True)
            pipeline.scheduler = sampler(sampling.sampler, pipeline.scheduler)
            at_once = max(1, min(PICTURES_AT_ONCE, PIXELS_AT_ONCE // (sampling.width * sampling.height)))
            for first in range(0, len(pictures), at_once):
                found += self._batch(pipeline, pictures[first : first + at_once], prompts, sampling)
        return found

    def _batch(self, pipeline: Any, pictures: Sequence[Picture], prompts: Mapping[tuple[str, str], dict[str, Tensor | None]],
               sampling: Sampling) -> list[Image]:
        chosen = [prompts[one.prompt, one.negative] for one in pictures]
        joined: dict[str, Tensor] = {}
        for key in chosen[0]:
            rows = [one[key] for one in chosen]
            if all(row is not None for row in rows):
                joined[key] = torch.cat([row for row in rows if row is not None])
        seeded = [torch.Generator("cpu").manual_seed(one.seed) for one in pictures]  # what a person writes for this image
        wider = self.precision.weights is not self.precision.compute is not None
        with torch.autocast(self.precision.device.type, dtype=self.precision.compute, enabled=wider):
            latents = pipeline(**joined, generator=seeded, num_inference_steps=sampling.steps, guidance_scale=sampling.guidance,
                               width=sampling.width, height=sampling.height, output_type="latent").images
        vae: Any = self.vae
        shift, scale = _normalisation(vae.config, latents)
        decoded = vae.decode((latents / scale + shift).to(vae.dtype), return_dict=False)[0]
        images: list[Image] = pipeline.image_processor.postprocess(decoded.float(), output_type="pil")
        return images

    @contextmanager
    def _visiting(self, part: Part) -> Iterator[None]:
        before = [next(module.parameters()).device for module in self._modules(part)]
        self.place(part, device=self.precision.device)
        try:
            yield
        finally:
            for module, device in zip(self._modules(part), before, strict=True):
                module.to(device)


def _normalisation(config: Any, latents: Tensor) -> tuple[Tensor | float, Tensor | float]:
    """Return shift and scale between the VAE's latents and the denoiser's: ``(z - shift) * scale``, as diffusers reads the config."""
    mean, std = getattr(config, "latents_mean", None), getattr(config, "latents_std", None)
    if mean is not None and std is not None:
        shape = (1, -1, 1, 1)
        shift = torch.tensor(mean, dtype=latents.dtype, device=latents.device).view(shape)
        return shift, config.scaling_factor / torch.tensor(std, dtype=latents.dtype, device=latents.device).view(shape)
    return float(getattr(config, "shift_factor", None) or 0.0), float(config.scaling_factor)


def _chunked(ids: Sequence[int], tokenizer: Any, length: int, chunks: int) -> list[int]:
    """Return a prompt's tokens as so many pieces, each with start, end and padding of its own."""
    found: list[int] = []
    for number in range(chunks):
        piece = [tokenizer.bos_token_id, *ids[number * (length - 2) : (number + 1) * (length - 2)], tokenizer.eos_token_id]
        found += [*piece, *[tokenizer.pad_token_id] * (length - len(piece))]
    return found


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module and everything in it in evaluation mode for a while, with weights flagged as diffusers would have them.

    PyTorch takes another path through linear layers when a weight wants gradients, under no_grad too, and the last bit differs.
    A pipeline that was just loaded wants them everywhere; one with LoRA files loaded wants them in the adapter only.
    """
    training = [one for one in module.modules() if one.training]
    flagged = [weight for weight in module.parameters() if weight.is_floating_point()]
    flagged = [] if any(weight.requires_grad for weight in flagged) else flagged
    module.eval()
    for weight in flagged:
        weight.requires_grad_(True)
    try:
        yield
    finally:
        for weight in flagged:
            weight.requires_grad_(False)
        for one in training:
            one.training = True
