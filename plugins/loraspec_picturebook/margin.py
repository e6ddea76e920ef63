"""``picturebook-margin``: whether a picture fits its prompt better than others, by the picture-book's own reader."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from loraspec.digests import file_sha256
from loraspec.metrics import Gallery, Metric, Shown
from loraspec_picturebook.reader import SIDE, WEIGHTS, Reader

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loraspec.sweetspot.measured import Axis


class PicturebookMargin(Metric):
    """Cosines of a picture's embedding with those of prompts, as ``clip-margin`` takes them with CLIP (Radford et al. 2021)."""

    axis: ClassVar[Axis] = "prompt"
    cost = "a millisecond a picture, on the CPU"
    validity = "16 pictures a cell; knows the words of the picture-book and no others"

    def content(self) -> str:
        """The reader's weights: a new one reads otherwise."""
        return file_sha256(WEIGHTS)

    def prepare(self, gallery: Gallery) -> None:
        """Load the reader and embed the prompts, each by itself, so that none depends on its neighbours."""
        self._reader = Reader.load()
        self._prompts = list(gallery.prompts)
        self._known: dict[str, torch.Tensor] = {}

    def values(self, pictures: Sequence[Shown]) -> NDArray[np.float64]:
        """Cosines ``[n, P + 1]`` in -1..1; the own prompt comes last."""
        rows = []
        with torch.inference_mode():
            prompts = self._words(self._prompts)
            for shown in pictures:  # one by one: the same numbers whatever stands beside a picture
                small = np.asarray(shown.image.convert("RGB").resize((SIDE, SIDE)), np.float32) / 255
                seen = self._reader.pictures(torch.from_numpy(small).permute(2, 0, 1)[None])
                rows.append(torch.cat([seen @ prompts.T, seen @ self._words([shown.prompt]).T], 1)[0])
        return torch.stack(rows).double().numpy()

    def _words(self, texts: Sequence[str]) -> torch.Tensor:
        for text in texts:
            if text not in self._known:
                self._known[text] = self._reader.texts([text])[0]
        return torch.stack([self._known[text] for text in texts])
