"""``clip-margin``: whether a picture fits its prompt better than the others, by a model that knows pictures and words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from loraspec.hub import folder_of
from loraspec.metrics import Gallery, Metric, Shown
from loraspec_vision_metrics.pixels import described, unit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from loraspec.sweetspot.measured import Axis
    from loraspec_vision_metrics.hooks import ClipOptions


class ClipMargin(Metric):
    """Cosines of a picture's embedding with those of prompts: CLIP (Radford et al. 2021), SigLIP (Zhai et al. 2023)."""

    axis: ClassVar[Axis] = "prompt"
    cost = "one forward of the vision tower a picture"
    validity = "16 pictures a cell; knows what photos show: a strong style may be hard to read, which the gates tell"

    def __init__(self, options: ClipOptions) -> None:
        self.options = options
        self._known: dict[str, torch.Tensor] = {}

    def prepare(self, gallery: Gallery) -> None:
        """Load the model and embed the prompts.

        Raises:
            EnvironmentMissing: The weights are not here.
        """
        from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

        run = gallery.run
        folder = folder_of(self.options.weights, revision=self.options.revision, context=run.plan.context)
        self._device = run.precision.device
        self._model: Any = AutoModel.from_pretrained(folder, use_safetensors=True).to(self._device).eval()
        self._pictures = AutoImageProcessor.from_pretrained(folder)
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._length = int(self._model.config.text_config.max_position_embeddings)
        self._prompts = list(gallery.prompts)
        self._words(self._prompts)

    def values(self, pictures: Sequence[Shown]) -> NDArray[np.float64]:
        """Cosines ``[n, P + 1]`` in -1..1; the own prompt comes last."""
        return described(pictures, self.options.batch_size, self._see)

    def _see(self, pictures: Sequence[Shown]) -> torch.Tensor:
        prepared = self._pictures(images=[shown.image.convert("RGB") for shown in pictures], return_tensors="pt")
        seen = unit(_tensor(self._model.get_image_features(pixel_values=prepared["pixel_values"].to(self._device))))
        own = (seen * self._words([shown.prompt for shown in pictures])).sum(1, keepdim=True)
        return torch.cat([seen @ self._words(self._prompts).T, own], 1)

    def _words(self, texts: Sequence[str]) -> torch.Tensor:
        """Embeddings of texts, ``[n, D]``, each computed once and by itself, so that no neighbour changes it."""
        for text in texts:
            if text not in self._known:
                tokens = self._tokenizer([text], padding="max_length", truncation=True, max_length=self._length, return_tensors="pt")
                with torch.inference_mode():
                    found = self._model.get_text_features(**{name: value.to(self._device) for name, value in tokens.items()})
                self._known[text] = unit(_tensor(found))[0]
        return torch.stack([self._known[text] for text in texts])


def _tensor(found: Any) -> torch.Tensor:
    """Features as older and newer versions of transformers return them."""
    rows: torch.Tensor = found if isinstance(found, torch.Tensor) else found.pooler_output
    return rows
