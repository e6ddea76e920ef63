"""Aspect buckets: which size an image is trained at, and how it gets there. Integers only, the same on every machine.

The table of buckets follows kohya's ``make_bucket_resolutions`` (sd-scripts ``library/model_util.py``): the area stays within
``resolution`` squared, sides are multiples of ``step`` between ``min`` and ``max``. What differs, on purpose: the nearest
shape is found by the ratio of aspect ratios, so that portrait and landscape are treated alike, and images are resized to
cover their bucket instead of losing up to one step at the edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from math import isqrt

from attrs import frozen

from loraspec.values import Placement


@frozen
class BucketRule:
    """How buckets are made; all in px.

    Attributes:
        resolution: Side of the square whose area no bucket exceeds.
        step: Sides are multiples of this.
        min, max: Least and largest side; rounded to multiples of ``step`` inwards.
        upscale: True enlarges images that are smaller than their bucket; False gives them the bucket of their own size,
            rounded down to ``step``, which may be smaller than ``min``.
    """

    resolution: int
    step: int
    min: int
    max: int
    upscale: bool = False

    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Return every (width, height) of the table, sorted; empty when the four numbers contradict each other."""
        return _sizes(self.resolution, self.step, self.min, self.max)


@lru_cache(maxsize=64)
def _sizes(resolution: int, step: int, least: int, largest: int) -> tuple[tuple[int, int], ...]:
    least = -(-least // step) * step
    largest = largest // step * step
    area = resolution * resolution
    found = set()
    for width in range(least, largest + 1, step):
        height = min(largest, area // width // step * step)
        if height >= least:
            found |= {(width, height), (height, width)}
    square = resolution // step * step
    if least <= square <= largest:
        found.add((square, square))
    return tuple(sorted(found))


class TooSmallError(ValueError):
    """An image does not reach one step on one side."""


def nearest(width: int, height: int, sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return the bucket whose aspect ratio is nearest by factor; of equals the larger."""

    def distance(size: tuple[int, int]) -> tuple[Fraction, int, int]:
        one, other = width * size[1], height * size[0]
        return Fraction(max(one, other), min(one, other)), -size[0] * size[1], size[0]

    return min(sizes, key=distance)


def cover(width: int, height: int, bucket: tuple[int, int]) -> tuple[int, int]:
    """Return the least (width, height) of this aspect ratio that covers the bucket, rounded half up."""
    across, down = bucket
    if across * height >= down * width:
        return across, max(down, (2 * height * across + width) // (2 * width))
    return max(across, (2 * width * down + height) // (2 * height)), down


def place(width: int, height: int, rule: BucketRule, *, original: tuple[int, int] | None = None) -> Placement:
    """Return how an image of this size becomes a training image: resize to cover, crop the centre, pad nothing.

    Args:
        width, height: px, after EXIF orientation and image transforms, from 1.
        rule: How buckets are made; ``rule.sizes()`` must not be empty.
        original: Size of the image as found, when image transforms changed it.

    Raises:
        TooSmallError: ``upscale`` is off and a side is shorter than ``step``.
    """
    bucket = nearest(width, height, rule.sizes())
    if not rule.upscale and (width < bucket[0] or height < bucket[1]):
        bucket = _own(width, height, rule)
    resize = cover(width, height, bucket)
    crop = ((resize[0] - bucket[0]) // 2, (resize[1] - bucket[1]) // 2)
    return Placement(bucket[0], bucket[1], resize, crop, original or (width, height))


def _own(width: int, height: int, rule: BucketRule) -> tuple[int, int]:
    """Return the bucket of the image's own size: never larger than the image, its area never above the rule's."""
    area = rule.resolution * rule.resolution
    across, down = width, height
    if width * height > area:  # long and thin: shrink to the area first
        across, down = isqrt(area * width // height), isqrt(area * height // width)
    across, down = (min(side, rule.max) // rule.step * rule.step for side in (across, down))
    if not across or not down:
        raise TooSmallError(f"{width} x {height} px does not reach one step of {rule.step} px on each side")
    return across, down
