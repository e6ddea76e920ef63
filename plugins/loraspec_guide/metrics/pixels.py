"""Metrics that look at pixels alone: ``texture-progress``, ``copy-rate``, ``seed-variety``, ``artefacts``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from loraspec.metrics import Gallery, Metric, Shown
from loraspec_guide.metrics.features import arrays, layout, opponent, texture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loraspec.sweetspot.measured import Axis

    Floats = NDArray[np.float64]


class TextureProgress(Metric):
    """Style progress on textures, colours and spectrum."""

    axis: ClassVar[Axis] = "style"
    cost = "5 ms a picture of 64 px, 200 ms of 512 px, on one core"
    validity = "16 pictures a cell; the weaker of the two embedded style voices"

    def values(self, pictures: Sequence[Shown]) -> Floats:
        """Features ``[n, D]``."""
        return np.stack([texture(picture) for picture in arrays([shown.image for shown in pictures])])


class CopyRate(Metric):
    """Distance to the nearest training picture in layout."""

    axis: ClassVar[Axis] = "originality"
    cost = "1 ms a picture"
    validity = "16 pictures a cell, 4 training pictures; the threshold is the user's own pictures', so it needs no constant"

    def values(self, pictures: Sequence[Shown]) -> Floats:
        """Features ``[n, 384]``."""
        return np.stack([layout(picture) for picture in arrays([shown.image for shown in pictures])])


class SeedVariety(Metric):
    """How much pictures of one prompt differ between seeds, in layout and colour."""

    axis: ClassVar[Axis] = "variety"
    cost = "1 ms a picture"
    validity = "2 seeds a prompt; 4 are better"

    def values(self, pictures: Sequence[Shown]) -> Floats:
        """Features ``[n, D]``: layout, and the colours of an 8 x 8 reduction."""
        found = []
        for picture in arrays([shown.image for shown in pictures]):
            found.append(np.concatenate([layout(picture), 0.25 * _coarse(picture)]))
        return np.stack(found)


class Artefacts(Metric):
    """Whether a picture is sound: no broken numbers, not flat, not clipped, not over-saturated, no spike of fine noise."""

    axis: ClassVar[Axis] = "health"
    cost = "1 ms a picture"
    validity = "any number; limits are those of the user's own pictures and the base's, so that ink on paper is no artefact"

    def __init__(self) -> None:
        self._limits = np.full(3, np.inf)
        self._flat = 0.0

    def prepare(self, gallery: Gallery) -> None:
        """Take the limits: half as much again as the most extreme of the known pictures."""
        known = [*gallery.training, *gallery.heldout, *(shown for shown in gallery.pictures(0, 0.0) if shown is not None)]
        rows = np.stack([_signs(picture) for picture in arrays([shown.image for shown in known])])
        self._limits = rows[:, :3].max(0) * 1.5 + np.array([0.1, 0.1, 0.01])
        self._flat = float(rows[:, 3].min()) / 4

    def values(self, pictures: Sequence[Shown]) -> Floats:
        """``[n]``: 1 sound, 0 not."""
        rows = np.stack([_signs(picture) for picture in arrays([shown.image for shown in pictures])])
        return ((rows[:, :3] <= self._limits).all(1) & (rows[:, 3] > self._flat)).astype(np.float64)


def _signs(picture: NDArray[np.uint8]) -> Floats:
    """Share of clipped values, mean saturation, energy between neighbouring pixels, deviation of the luminance."""
    grey = opponent(picture)[0]
    clipped = float(((picture == 0) | (picture == 255)).mean())
    saturation = float((picture.max(-1).astype(np.float64) - picture.min(-1)).mean() / 255)
    fine = float(np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean())
    return np.array([clipped, saturation, fine, float(grey.std())])


def _coarse(picture: NDArray[np.uint8]) -> Floats:
    from PIL import Image

    return np.asarray(Image.fromarray(picture).resize((8, 8), Image.Resampling.BOX), np.float64).ravel() / 255
