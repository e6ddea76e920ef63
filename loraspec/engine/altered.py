"""Pictures altered on purpose: what a metric must not mind, what it must see, and what no picture should be."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np
from attrs import evolve
from PIL import Image

from loraspec.images import decode
from loraspec.metrics import Shown

TONE = 10  # steps of 255
SHIFT = 0.03  # of the sides, cut from the left and the top
BLUR = 3  # times smaller, before a picture is enlarged again

Shownish = Sequence[Shown | None]


def jpeg(image: Image.Image) -> Image.Image:
    """Save as JPEG at quality 95, full chroma, and read again."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95, subsampling=0)
    return decode(buffer.getvalue())


def brighter(image: Image.Image, steps: int = TONE) -> Image.Image:
    """Add to every channel; negative ``steps`` darken."""
    return Image.fromarray((np.asarray(image).astype(np.int16) + steps).clip(0, 255).astype(np.uint8))


def darker(image: Image.Image) -> Image.Image:
    """Take from every channel what ``brighter`` adds."""
    return brighter(image, -TONE)


def restyled(image: Image.Image) -> Image.Image:
    """Take the technique away and keep the content: fine structure is blurred, light becomes dark, colours move on by a channel."""
    small = image.resize((max(1, image.width // BLUR), max(1, image.height // BLUR)), Image.Resampling.BOX)
    pixels = 255 - np.asarray(small.resize(image.size, Image.Resampling.BICUBIC))
    return Image.fromarray(np.ascontiguousarray(np.roll(pixels, 1, axis=2)))


def shifted(image: Image.Image) -> Image.Image:
    """Cut a narrow strip away and enlarge the rest to the old size: still a copy."""
    left, top = max(1, round(image.width * SHIFT)), max(1, round(image.height * SHIFT))
    return image.crop((left, top, image.width, image.height)).resize(image.size, Image.Resampling.BICUBIC)


def black(image: Image.Image) -> Image.Image:
    """Nothing at all."""
    return Image.new("RGB", image.size)


def flat(image: Image.Image) -> Image.Image:
    """The mean colour everywhere."""
    colour = np.asarray(image).reshape(-1, 3).mean(0).round().astype(np.uint8)
    return Image.new("RGB", image.size, tuple(int(value) for value in colour))


def burnt(image: Image.Image) -> Image.Image:
    """Contrast so high that every channel is 0 or 255, as with far too much guidance."""
    pixels = np.asarray(image)
    return Image.fromarray(np.where(pixels >= np.median(pixels), 255, 0).astype(np.uint8))


def noisy(image: Image.Image) -> Image.Image:
    """A checkerboard of strong fine structure over the picture: what is left of an image that never came out of its noise."""
    rows, columns = np.indices((image.height, image.width))
    board = np.where((rows * 7 + columns * 13 + (rows * columns) % 5) % 2, 96, -96)[..., None]
    return Image.fromarray((np.asarray(image).astype(np.int16) + board).clip(0, 255).astype(np.uint8))


def each(change: Callable[[Image.Image], Image.Image], pictures: Shownish) -> list[Shown | None]:
    """Alter pictures; those that are not there stay away."""
    return [None if shown is None else evolve(shown, image=change(shown.image)) for shown in pictures]


def other_prompts(pictures: Shownish) -> list[Shown | None]:
    """Give every picture the prompt of the next one that has another; a picture stays away when all have the same."""
    found: list[Shown | None] = []
    for number, shown in enumerate(pictures):
        following = [other for other in [*pictures[number + 1 :], *pictures[:number]] if other is not None]
        other = next((other.prompt for other in following if shown is not None and other.prompt != shown.prompt), None)
        found.append(None if shown is None or other is None else evolve(shown, prompt=other))
    return found
