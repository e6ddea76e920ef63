"""``picturebook-margin``: whether a picture shows its prompt's subject and no other, by the picture-book's own reader."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
import torch

from loraspec.digests import file_sha256
from loraspec.metrics import Gallery, Metric, Shown
from loraspec_picturebook.reader import SIDE, WEIGHTS, Reader
from loraspec_picturebook.vocabulary import SUBJECTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loraspec.sweetspot.measured import Axis

SHARPNESS: Final = 25.0
"""Cosines times this are logits: what calibrates the reader best on held-out drawings, half of them gone over (cross-entropy 0.17)."""
WORDS: Final = re.compile(rf"\b({'|'.join(SUBJECTS)})\b")


class PicturebookMargin(Metric):
    """Probability of a prompt's subject among the subjects of the world, as CLIP classifies with prompts (Radford et al. 2021).

    A fit with the whole prompt would be lowered by everything that a style takes: colours, settings; and as a style is learned it falls in
    pictures whose subject anybody sees. Asked among prompts that differ by the subject alone, it says whether the subject is there.
    """

    axis: ClassVar[Axis] = "prompt"
    cost = "a millisecond a picture, on the CPU"
    validity = "16 pictures a cell; knows the subjects of the picture-book and no others"

    def content(self) -> str:
        """The reader's weights: a new one reads otherwise."""
        return file_sha256(WEIGHTS)

    def prepare(self, gallery: Gallery) -> None:
        """Load the reader and embed the subjects, each by itself, so that none depends on its neighbours."""
        self._reader = Reader.load()
        self._prompts = list(gallery.prompts)
        self._known: dict[str, torch.Tensor] = {}

    def values(self, pictures: Sequence[Shown]) -> NDArray[np.float64]:
        """Probabilities ``[n, P + 1]`` in 0..1 of the prompts' subjects; that of the own prompt comes last."""
        rows = []
        with torch.inference_mode():
            for shown in pictures:  # one by one: the same numbers whatever stands beside a picture
                small = np.asarray(shown.image.convert("RGB").resize((SIDE, SIDE)), np.float32) / 255
                seen = self._reader.pictures(torch.from_numpy(small).permute(2, 0, 1)[None])[0]
                rows.append([self._probability(seen, prompt) for prompt in [*self._prompts, shown.prompt]])
        return np.array(rows, np.float64).reshape(len(rows), len(self._prompts) + 1)

    def _probability(self, seen: torch.Tensor, prompt: str) -> float:
        """Of the prompt's subject among all; a subject of another world is one more."""
        subject = subject_of(prompt)
        others = [f"a {one}" for one in SUBJECTS if f"a {one}" != subject]
        logits = SHARPNESS * torch.stack([self._words(text) for text in (subject, *others)]) @ seen
        return float(logits.double().softmax(0)[0])

    def _words(self, text: str) -> torch.Tensor:
        if text not in self._known:
            self._known[text] = self._reader.texts([text])[0]
        return self._known[text]


def subject_of(prompt: str) -> str:
    """What a prompt's first descriptor names: "a boat"; the descriptor itself where it names none of the world's subjects, or several."""
    first = prompt.partition(",")[0].strip()
    found = set(WORDS.findall(first))
    return f"a {found.pop()}" if len(found) == 1 else first
