"""What the bytes of an image say, whatever the bytes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from loraspec.imagefile import FileFacts, ImageError, inspect
from loraspec.images import check
from loraspec.randomness import generator


def encoded(kind: str, size: tuple[int, int] = (37, 21), **options: Any) -> bytes:
    """A picture of noise as a file's bytes."""
    buffer = io.BytesIO()
    pixels = generator(3, "imagefile", *size).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}), ("JPEG", {}), ("JPEG", {"progressive": True}), ("WEBP", {}), ("WEBP", {"lossless": True}),
        ("WEBP", {"exif": b"Exif\0\0II*\0"}),
    ],
)
def test_size_is_read_from_the_header(kind: str, options: dict[str, Any]) -> None:
    """Each way to write a size: PNG, JPEG, and WebP's three."""
    assert inspect(encoded(kind, **options)) == FileFacts(kind, 37, 21, 0)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_bytes_behind_the_end_are_counted(kind: str) -> None:
    """Something was put behind the picture."""
    assert inspect(encoded(kind) + b"x" * 41).trailing in (40, 41)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_spoilt_files_are_images_or_image_errors(kind: str) -> None:
    """Cut, changed and mixed bytes never give another exception, and every error has a code."""
    good, codes = encoded(kind), set()
    for number in range(150):
        rng = generator(number, "spoil", kind)
        data = bytearray(good)
        for _ in range(int(rng.integers(1, 8))):
            data[int(rng.integers(len(data) if number % 2 else 60))] = int(rng.integers(256))
        spoilt = bytes(data[: int(rng.integers(len(data) + 1))]) if number % 3 == 0 else bytes(data)
        try:
            check(spoilt)
        except ImageError as error:
            codes.add(error.code)
    assert len(codes) >= 2
    assert all(code.startswith("E-IMG-") for code in codes)
