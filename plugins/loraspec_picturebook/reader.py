"""The reader: whether a picture shows what a text says, whatever style it is in. What CLIP is to SDXL, this is to the embedded base.

Two towers (after Radford et al. 2021) turn pictures and captions into unit vectors whose cosine says how well they fit. It learned from
drawings of the world in its own manners and under the generic textures of ``textures``; no style set was among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from loraspec_picturebook.vocabulary import SUBJECTS
from loraspec_picturebook.words import load_tokenizer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn
    from transformers import CLIPTokenizer

WEIGHTS: Final = Path(__file__).parent / "reader.safetensors"
"""The shipped weights, float16."""
TOKENIZER: Final = Path(__file__).parent / "base/tokenizer"
WIDTH: Final = 96
"""Length of the vectors."""
SIDE: Final = 64
"""Pictures are brought to this side, in pixels."""
CHANNELS: Final = (32, 64, 128, 192)


def towers(vocabulary: int) -> nn.ModuleDict:
    """Fresh towers for a vocabulary of so many tokens: ``picture``, ``first``, ``rest`` and ``text``; 1.4 million parameters."""
    from torch import nn

    layers: list[nn.Module] = []
    before = 3
    for depth, channels in enumerate(CHANNELS):
        layers += [nn.Conv2d(before, channels, 3, 2, 1), nn.BatchNorm2d(channels), nn.ReLU()]
        if depth > 1:
            layers += [nn.Conv2d(channels, channels, 3, 1, 1), nn.BatchNorm2d(channels), nn.ReLU()]
        before = channels
    layers += [nn.Flatten(), nn.Linear(before * (SIDE // 2 ** len(CHANNELS)) ** 2, WIDTH)]
    return nn.ModuleDict(
        {
            "picture": nn.Sequential(*layers),
            "first": nn.EmbeddingBag(vocabulary, WIDTH, mode="sum"),
            "rest": nn.EmbeddingBag(vocabulary, WIDTH, mode="sum"),
            "text": nn.Sequential(nn.Linear(2 * WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH)),
        }
    )


class Reader:
    """The two towers with the base's tokenizer."""

    def __init__(self, model: nn.ModuleDict, tokenizer: CLIPTokenizer) -> None:
        self.model, self.tokenizer = model, tokenizer

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> Reader:
        """The shipped reader, in float32 on the CPU, evaluating."""
        from safetensors.torch import load_file

        tokenizer = load_tokenizer(TOKENIZER)
        model = towers(len(tokenizer))
        model.load_state_dict({key: value.float() if value.is_floating_point() else value for key, value in load_file(path).items()})
        return cls(model.eval(), tokenizer)

    def pictures(self, pixels: Tensor) -> Tensor:
        """Unit vectors ``[n, 96]`` of pictures ``[n, 3, 64, 64]`` in 0..1."""
        return _unit(self.model["picture"](pixels * 2 - 1))

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors ``[n, 96]`` of captions: their first descriptor names the subject, the rest what is around it."""
        parts = [text.partition(",") for text in texts]
        first = self._bag("first", [part[0] for part in parts])
        rest = self._bag("rest", [part[2] for part in parts])
        return self.joined(first, rest)

    def joined(self, first: Tensor, rest: Tensor) -> Tensor:
        """Unit vectors of what the two bags hold."""
        import torch

        return _unit(self.model["text"](torch.cat([first, rest], 1)))

    def named(self, pictures: Sequence[NDArray[np.uint8]]) -> list[str]:
        """The subject that each picture, 64 x 64 x 3, fits best."""
        import numpy as np
        import torch

        with torch.inference_mode():
            pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
            fits = self.pictures(pixels) @ self.texts([f"a {subject}" for subject in SUBJECTS]).T
        return [SUBJECTS[place] for place in fits.argmax(1).tolist()]

    def ids(self, text: str) -> list[int]:
        """Tokens of a text without marks and commas."""
        found: list[int] = self.tokenizer(text.replace(",", " "), add_special_tokens=False).input_ids
        return found

    def _bag(self, name: str, texts: Sequence[str]) -> Tensor:
        return bag(self.model[name], [self.ids(text) for text in texts])


def bag(module: Any, rows: Sequence[Sequence[int]]) -> Tensor:
    """Sums of the embeddings of each row's tokens, ``[n, 96]``."""
    import torch

    flat = torch.tensor([token for row in rows for token in row], dtype=torch.int64)
    starts = torch.tensor([0, *[len(row) for row in rows[:-1]]]).cumsum(0)
    found: Tensor = module(flat, starts)
    return found


def _unit(rows: Tensor) -> Tensor:
    import torch

    return torch.nn.functional.normalize(rows, dim=1)
