"""Near-duplicates are found, and other pictures of one artist are none."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from loraspec.duplicates import NEAR, SURE, groups_of, looks_of, pairs_of
from loraspec.randomness import generator
from loraspec.values import Sample


def picture(number: int, side: int = 96) -> Image.Image:
    """Smooth shapes, another arrangement for every number."""
    coarse = generator(7, "picture", number).integers(0, 256, (7, 7, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, form: str = "PNG", **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def samples(images: dict[str, Callable[[], bytes]]) -> dict[str, Sample]:
    """Return samples that read so, of which nothing is known."""
    return {key: Sample(key, 96, 96, None, "own", "", read) for key, read in images.items()}


def groups(images: dict[str, Callable[[], bytes]], most: int = NEAR) -> list[frozenset[str]]:
    """Return groups of near-duplicates."""
    looks = looks_of(samples(images))
    return groups_of(looks, pairs_of(looks), most)


CHANGES = {
    "jpeg": lambda image: encoded(image, "JPEG", quality=60),
    "smaller": lambda image: encoded(image.resize((64, 64))),
    "brighter": lambda image: encoded(ImageEnhance.Brightness(image).enhance(1.1)),
    "mirrored": lambda image: encoded(ImageOps.mirror(image)),
    "cropped": lambda image: encoded(image.crop((2, 2, 95, 95))),
}


@pytest.mark.parametrize("most", [NEAR, SURE])
@pytest.mark.parametrize("change", sorted(CHANGES))
def test_the_same_picture_again_is_found(change: str, most: int) -> None:
    """Re-encoded, reduced, brightened, mirrored, cropped by two pixels: kept together, and told to a person."""
    images = {f"{number}.png": partial(encoded, picture(number)) for number in range(6)}
    images["again.png"] = partial(CHANGES[change], picture(3))
    found = groups(images, most)
    assert frozenset({"3.png", "again.png"}) in found
    assert len(found) == 6


def test_other_pictures_are_none() -> None:
    """Forty pictures, forty groups; flat ones of different colours too; what cannot be decoded is like nothing."""
    images = {f"{number}.png": partial(encoded, picture(number)) for number in range(40)}
    images |= {f"flat {value}.png": partial(encoded, Image.new("RGB", (9, 9), (value, value, value))) for value in (9, 10, 200)}
    images |= {f"broken {number}.png": lambda: b"no picture" for number in range(2)}
    assert all(len(group) == 1 for group in groups(images))


def test_one_shape_in_other_colours_is_another_picture() -> None:
    """A square and the same square in other inks: drawings of one set often share their outline."""
    inks = [(200, 30, 30), (30, 30, 200), (20, 160, 40)]
    images = {}
    for number, ink in enumerate(inks):
        square = Image.new("RGB", (64, 64), (250, 250, 240))
        square.paste(ink, (8, 8, 56, 56))
        images[f"{number}.png"] = partial(encoded, square)
    assert len(groups(images)) == 3


def test_duplicates_of_duplicates_are_one_group() -> None:
    """Chains are followed, and flat pictures of exactly one colour are one."""
    images = {f"flat {number}.png": partial(encoded, Image.new("RGB", (9, 9), (5, 6, 7))) for number in range(3)}
    images |= {
        "a.png": partial(encoded, picture(1)),
        "b.png": partial(CHANGES["mirrored"], picture(1)),
        "c.png": partial(CHANGES["jpeg"], picture(1)),
    }
    assert sorted(map(len, groups(images))) == [3, 3]


def test_pairs_are_those_of_comparing_each_with_each() -> None:
    """Products of blocks give what counting bits one by one gives, also across blocks."""
    images = {f"{number:04}.png": partial(encoded, picture(number % 40, 20)) for number in range(60)}
    looks = looks_of(samples(images))
    wanted = []
    for key, one in looks.items():
        for other, another in looks.items():
            if key < other and one is not None and another is not None:
                bits = min((one.plain ^ another.plain).bit_count(), (one.mirrored ^ another.plain).bit_count())
                wanted += [(key, other, bits)] if bits <= NEAR else []
    assert pairs_of(looks) == wanted
    assert len(wanted) >= 20
    many = {f"{number:05}": looks[f"{number % 60:04}.png"] for number in range(2100)}
    assert len(groups_of(many, pairs_of(many))) == 40
