"""Features of pictures, by plain numpy: textures and colours, and layout. Pictures are uint8 ``[H, W, 3]`` arrays."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Picture = NDArray[np.uint8]

LARGEST = 512  # px of the longer side: beyond it a picture is reduced, so that the cost is bounded
OCTAVES, TURNS = 4, 6
QUANTILES = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
SMALL = 32  # px: the side at which layout is compared


def arrays(images: Sequence[Any]) -> list[Picture]:
    """Return RGB images (Pillow) as arrays."""
    return [np.asarray(image.convert("RGB")) for image in images]


def opponent(picture: Picture) -> Floats:
    """Luminance, yellow-blue and red-green, ``[3, H, W]`` in about -1..1."""
    red, green, blue = np.moveaxis(picture.astype(np.float64) / 255, -1, 0)
    return np.stack([0.299 * red + 0.587 * green + 0.114 * blue, 0.5 * (red + green) - blue, red - green])


@functools.lru_cache(maxsize=8)
def _bank(height: int, width: int) -> Floats:
    """Log-Gabor filters in the frequency domain (Field 1987): octaves x turns, ``[F, H, W]``; none passes the mean."""
    down, across = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]
    radius, angle = np.hypot(down, across), np.arctan2(down, across)
    radius[0, 0] = 1.0
    found = []
    for octave in range(OCTAVES):
        centre = 0.36 / 2**octave
        ring = np.exp(-(np.log(radius / centre) ** 2) / (2 * np.log(0.6) ** 2))
        ring[0, 0] = 0.0
        for turn in range(TURNS):
            away = np.arctan2(np.sin(angle - np.pi * turn / TURNS), np.cos(angle - np.pi * turn / TURNS))
            found.append(ring * np.exp(-(away**2) / (2 * (np.pi / TURNS / 1.2) ** 2)))
    return np.stack(found)


def texture(picture: Picture) -> Floats:
    """What a surface looks like, wherever things stand: the Gram matrix of an oriented filter bank, colours, and the spectrum, ``[D]``.

    Of the local amplitudes of all pairs of filters: the root of their mean product (after Portilla and Simoncelli 2000, without
    normalising: how strong a texture is belongs to it); of luminance and two colour differences: quantiles; of the spectrum: the root of
    the power in rings. All in units of amplitude, none logarithmic: what hardly shows hardly counts.
    """
    picture = _bounded(picture)
    channels = opponent(picture)
    spectrum = np.fft.fft2(channels[0] - channels[0].mean())
    bank = _bank(*picture.shape[:2])
    amplitude = np.abs(np.fft.ifft2(spectrum[None] * bank)).reshape(len(bank), -1)
    gram = (amplitude @ amplitude.T / amplitude.shape[1])[np.triu_indices(len(bank))]
    colours = np.quantile(channels.reshape(3, -1), QUANTILES, axis=1).T.ravel()
    return np.concatenate([np.sqrt(gram), colours, _rings(spectrum)])


def _rings(spectrum: NDArray[np.complex128], count: int = 12) -> Floats:
    power = np.abs(spectrum) ** 2 / spectrum.size**2
    radius = np.hypot(np.fft.fftfreq(spectrum.shape[0])[:, None], np.fft.fftfreq(spectrum.shape[1])[None])
    edges = 0.5 * 2.0 ** -np.linspace(4, 0, count + 1)
    ring = np.digitize(radius, edges) - 1
    return np.sqrt([power[ring == i].mean() if (ring == i).any() else 0.0 for i in range(count)])


def layout(picture: Picture) -> Floats:
    """Where things stand, whatever the contrast: oriented gradients of a reduced picture, and its luminances, ``[384]``, length 1.

    Oriented gradients as Dalal and Triggs 2005: cells of 8 px, 8 directions, normed over the picture.
    """
    grey = _reduced(picture, SMALL)
    down, across = np.gradient(grey)
    strength, angle = np.hypot(down, across), np.mod(np.arctan2(down, across), np.pi)
    direction = np.minimum((angle / np.pi * 8).astype(int), 7)
    cell = np.add.outer(np.arange(SMALL) // 8 * (SMALL // 8), np.arange(SMALL) // 8)
    histogram = np.bincount((cell * 8 + direction).ravel(), strength.ravel(), minlength=(SMALL // 8) ** 2 * 8)
    histogram = np.sqrt(histogram / max(histogram.sum(), 1e-9))
    coarse = grey.reshape(16, 2, 16, 2).mean((1, 3)).ravel()
    coarse = coarse - coarse.mean()
    return np.concatenate([histogram, coarse / max(float(np.linalg.norm(coarse)), 1e-9)]) / np.sqrt(2)


def _reduced(picture: Picture, side: int) -> Floats:
    from PIL import Image

    small = Image.fromarray(picture).convert("L").resize((side, side), Image.Resampling.BOX)
    return np.asarray(small, np.float64) / 255


def _bounded(picture: Picture) -> Picture:
    if max(picture.shape[:2]) <= LARGEST:
        return picture
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    return np.asarray(image)
