"""BLIP and Florence-2 through transformers. Nothing of a model's own code is run, and nothing but safetensors is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from loraspec.drafts import CaptionDraft, CaptionRequest, seen_in_batches
from loraspec.errors import EnvironmentMissing
from loraspec.hub import folder_of
from loraspec_blip.words import descriptors

if TYPE_CHECKING:
    from PIL.Image import Image

    from loraspec.values import Context
    from loraspec_blip.hooks import BlipOptions, FlorenceOptions


class _Captioner(ABC):
    """Looks at images in batches with one model, which is loaded when the first is asked about."""

    kinds: ClassVar[tuple[str, ...]] = ()  # `model_type` of the models that this captioner knows how to ask

    def __init__(self, options: BlipOptions | FlorenceOptions) -> None:
        self.options = options
        self._context: Context | None = None
        self._model: Any = None

    def begin(self, context: Context) -> None:
        """Take note of where the spec lies."""
        self._context = context

    def caption(self, requests: Sequence[CaptionRequest]) -> Iterator[CaptionDraft]:
        """Yield a draft for each image, batch by batch; one that cannot be read does not keep the others of its batch back.

        Raises:
            EnvironmentMissing: The weights or the device are not here, or are of another kind of model.
        """
        return seen_in_batches(requests, self.options.batch_size, self._see, model=self.options.weights)

    def _see(self, shown: Sequence[tuple[CaptionRequest, Image]]) -> list[CaptionDraft]:
        self._load()
        given = self._inputs([image for _, image in shown])
        moved = {name: value.to(self._device, self._dtype if value.is_floating_point() else value.dtype) for name, value in given.items()}
        with torch.inference_mode():
            found = self._model.generate(**moved, do_sample=False, num_beams=self.options.num_beams, max_new_tokens=self.options.max_tokens)
        texts: list[str] = self._processor.batch_decode(found, skip_special_tokens=True)
        return [CaptionDraft(request.key, descriptors(self._text(text), request.style_tag))
                for (request, _), text in zip(shown, texts, strict=True)]  # fmt: skip

    def _load(self) -> None:
        if self._model is not None:
            return
        from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

        if self._context is None:
            raise ValueError("begin(context) comes before caption(requests)")
        folder = folder_of(self.options.weights, revision=self.options.revision, context=self._context)
        self._device = _device(self.options.device)
        self._dtype = torch.float32 if self._device.type == "cpu" else torch.float16
        try:
            kind = AutoConfig.from_pretrained(folder).model_type
            if kind not in self.kinds:
                hint = f"it is a {kind}; this captioner knows {', '.join(self.kinds)}"
                raise EnvironmentMissing(f"{self.options.weights} is no model of this kind", hint=hint).coded("E-PLUGIN-WEIGHTS")
            self._processor: Any = AutoProcessor.from_pretrained(folder)
            model = AutoModelForImageTextToText.from_pretrained(folder, use_safetensors=True, dtype=self._dtype)
        except (OSError, ValueError, KeyError) as error:
            said = str(error).strip().splitlines()[0][:200]
            hint = "name a folder that transformers' save_pretrained wrote, with safetensors and a processor"
            raise EnvironmentMissing(f"{self.options.weights} cannot be loaded: {said}", hint=hint).coded("E-PLUGIN-WEIGHTS") from None
        self._model = model.to(self._device).eval()

    @abstractmethod
    def _inputs(self, images: list[Image]) -> Mapping[str, torch.Tensor]:
        """Return what the model is given for images."""

    def _text(self, text: str) -> str:
        """Return an answer as words."""
        return text


class Blip(_Captioner):
    """Continues a text, which may be empty, by what it sees."""

    kinds = ("blip", "blip-2", "git")
    options: BlipOptions

    def _inputs(self, images: list[Image]) -> Mapping[str, torch.Tensor]:
        words = {"text": [self.options.prompt] * len(images)} if self.options.prompt else {}
        found: Mapping[str, torch.Tensor] = self._processor(images=images, **words, return_tensors="pt")
        return found

    def _text(self, text: str) -> str:
        prompt = self.options.prompt.strip()
        begins = text.strip().casefold().startswith(prompt.casefold())
        return text.strip()[len(prompt) :] if prompt and begins else text


class Florence(_Captioner):
    """Asks for a description of the chosen detail."""

    kinds = ("florence2",)
    options: FlorenceOptions
    tasks: ClassVar = {"short": "<CAPTION>", "detailed": "<DETAILED_CAPTION>", "more-detailed": "<MORE_DETAILED_CAPTION>"}

    def _inputs(self, images: list[Image]) -> Mapping[str, torch.Tensor]:
        task = self.tasks[self.options.detail]
        found: Mapping[str, torch.Tensor] = self._processor(images=images, text=[task] * len(images), return_tensors="pt")
        return found


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    there = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}.get(device.type, lambda: True)()
    if not there:
        raise EnvironmentMissing(f"there is no device {name}", hint='device = "cpu", or "auto"')
    return device
