"""Images as the VAE sees them, and the digests that show when a decoder or a resizer gives other pixels. Needs Pillow, no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from loraspec.images import decode

if TYPE_CHECKING:
    from PIL.Image import Image

    from loraspec.dataplan import PlacedSample
    from loraspec.plan import Plan


def pixels_sha256(image: Image) -> str:
    """Return the sha256 (hex) of an image's mode, size and raw pixels, row by row."""
    return hashlib.sha256(f"{image.mode} {image.width} x {image.height}\n".encode() + image.tobytes()).hexdigest()


def prepared_pixels(placed: PlacedSample, image: Image, transforms: Sequence[Any]) -> Image:
    """Return a decoded image as the VAE sees it: transformed, resized to cover, cropped to its bucket."""
    from PIL.Image import Resampling

    for transform in transforms:
        image = transform(image, sample=placed.sample)
    place = placed.placement
    if image.size != place.resize:
        image = image.resize(place.resize, Resampling.LANCZOS, reducing_gap=None)
    left, top = place.crop
    return image.crop((left, top, left + place.width, top + place.height))


def pixel_digests(plan: Plan) -> dict[str, dict[str, str]]:
    """Return, for every image by key, digests of its decoded pixels (``pixel_sha256``) and of the prepared ones (``prepared_sha256``).

    These are what a run writes into its manifest.
    """
    transforms = [choice.entry.component.build(choice.options) for choice in plan.many("image_transform")]
    found = {}
    for placed in (*plan.data.images, *plan.data.heldout):
        image = decode(placed.sample.read())
        prepared = prepared_pixels(placed, image, transforms)
        found[placed.key] = {"pixel_sha256": pixels_sha256(image), "prepared_sha256": pixels_sha256(prepared)}
    return found
