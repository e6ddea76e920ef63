"""Pictures as a vision model wants them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loraspec.metrics import Shown

CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))  # Radford et al. 2021: mean, deviation
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def batch(images: Sequence[Any], side: int, norm: tuple[Sequence[float], Sequence[float]] = IMAGENET) -> torch.Tensor:
    """Return RGB images (Pillow) as ``[n, 3, side, side]``: resized until they cover the square, cropped to the middle, normed.

    Args:
        images: Of any sizes.
        side: px.
        norm: Mean and deviation of each channel, for values in 0..1.
    """
    from PIL.Image import Resampling

    rows = []
    for image in images:
        scale = side / min(image.size)
        wide, high = (max(side, round(length * scale)) for length in image.size)
        left, top = (wide - side) // 2, (high - side) // 2
        cut = image.convert("RGB").resize((wide, high), Resampling.BICUBIC).crop((left, top, left + side, top + side))
        rows.append(np.asarray(cut, np.float32) / 255)
    mean, deviation = (np.asarray(numbers, np.float32) for numbers in norm)
    return torch.from_numpy(((np.stack(rows) - mean) / deviation).astype(np.float32)).permute(0, 3, 1, 2).contiguous()


def described(pictures: Sequence[Shown], size: int, see: Callable[[Sequence[Shown]], torch.Tensor]) -> NDArray[np.float64]:
    """Return what a model sees in pictures, ``[n, D]``, asked in parts of ``size``."""
    with torch.inference_mode():
        found = [see(pictures[start : start + size]) for start in range(0, len(pictures), size)]
        return torch.cat(found).double().cpu().numpy()


def unit(rows: torch.Tensor) -> torch.Tensor:
    """Return rows of length 1."""
    return torch.nn.functional.normalize(rows.float(), dim=-1)
