"""Which images are accepted, and how their pixels are read."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from loraspec.images import MAX_PIXELS, ImageError, check, decode
from loraspec.randomness import generator


def pixels(width: int = 40, height: int = 24, channels: int = 3) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Noise: nothing compresses it away."""
    shape = (height, width, channels) if channels > 1 else (height, width)
    return generator(1, "pixels", width, height).integers(0, 256, shape, dtype=np.uint8)


def encoded(image: Image.Image | None = None, kind: str = "PNG", **options: Any) -> bytes:
    """An image as a file's bytes."""
    buffer = io.BytesIO()
    (image or Image.fromarray(pixels())).save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width: int, height: int, depth: int = 8, colour: int = 2) -> bytes:
    """A PNG that says to be of some size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")


def frames(kind: str) -> bytes:
    """Three frames."""
    images = [Image.fromarray(pixels(20, 20)) for _ in range(3)]
    images[1].putpixel((0, 0), (1, 2, 3))
    images[2].putpixel((0, 0), (3, 2, 1))
    return encoded(images[0], kind, save_all=True, append_images=images[1:])


def flip(data: bytes) -> bytes:
    """One byte of compressed pixels changed."""
    at = data.index(b"IDAT") + 40
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


RGBA = Image.fromarray(pixels(channels=4))
PALETTE = Image.fromarray(pixels()).quantize(8)
TALL = Image.fromarray(pixels(200, 200))

BAD = {
    "empty": (b"", "is empty"),
    "web page": (b"<!DOCTYPE html><html>404</html>", "web page"),
    "text": (b"not an image at all", "neither PNG, JPEG nor WEBP"),
    "gif": (encoded(kind="GIF"), "neither PNG"),
    "bmp": (encoded(kind="BMP"), "neither PNG"),
    "tiff": (encoded(kind="TIFF"), "neither PNG"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "neither PNG"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "neither PNG"),
    "jpeg cut in half": (encoded(TALL, "JPEG")[: len(encoded(TALL, "JPEG")) // 2], "cut short"),
    "jpeg less its end": (encoded(TALL, "JPEG")[:-2], "cut short"),
    "png cut in half": (encoded(TALL)[: len(encoded(TALL)) // 2], "cut short"),
    "png without end": (encoded()[:-12], "cut short"),
    "png with a bad byte": (flip(encoded(TALL)), "broken"),
    "webp cut in half": (encoded(TALL, "WEBP")[: len(encoded(TALL, "WEBP")) // 2], "cut short|neither"),
    "alpha": (encoded(RGBA), "alpha"),
    "alpha webp": (encoded(RGBA, "WEBP"), "alpha"),
    "grey with alpha": (encoded(Image.fromarray(pixels(channels=4)).convert("LA")), "alpha"),
    "palette with transparency": (encoded(PALETTE, transparency=0), "transparent"),
    "rgb with a transparent colour": (encoded(transparency=(1, 2, 3)), "transparent"),
    "16-bit grey": (encoded(Image.fromarray(pixels(channels=1).astype(np.uint16) * 200)), "16 bits"),
    "16-bit rgb": (png_header(4, 4, depth=16), "16 bits"),
    "cmyk": (encoded(Image.fromarray(pixels()).convert("CMYK"), "JPEG"), "CMYK"),
    "animated png": (frames("PNG"), "animated .3 frames"),
    "animated webp": (frames("WEBP"), "animated .[23] frames"),
    "too many pixels": (png_header(13_000, 7_000), "13000 x 7000 px"),
    "bomb": (png_header(60_000, 60_000), "million pixels"),
    "header that lies": (png_header(2**31 - 1, 2**31 - 1), "million pixels|neither"),
    "no width": (png_header(0, 10), "says to be 0 x 10"),
    "pixels missing": (png_header(500, 500), "cut short|broken"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_image_is_refused_with_its_reason(name: str) -> None:
    """Each is refused, for the right reason, without a warning of the library reaching the user."""
    data, said = BAD[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError, match=said):
            check(data)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_still_opaque_8_bit_images_become_rgb(mode: str, kind: str) -> None:
    """Photographs, grey, palette and line art are read as RGB of their own size."""
    image = Image.fromarray(pixels()).convert(mode)
    if kind == "JPEG" and mode in ("P", "1"):
        image = image.convert("L")
    found = decode(encoded(image, kind))

    assert (found.mode, found.size) == ("RGB", (40, 24))


def test_pixels_of_a_png_are_untouched() -> None:
    """What was drawn is what is trained on."""
    assert np.array_equal(np.asarray(decode(encoded())), pixels())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    """Sizes and pixels are those that a person sees."""
    turned = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
    }  # fmt: skip
    image = Image.fromarray(pixels())
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(image, exif=exif)
    seen = image.transpose(turned[orientation]) if orientation in turned else image

    assert np.array_equal(np.asarray(decode(data)), np.asarray(seen))
    size = check(data)
    assert (size.width, size.height) == seen.size


ORIENTATION_99 = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0\0\0\0\0"


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", ORIENTATION_99])
def test_garbage_in_exif_harms_nothing(exif: bytes) -> None:
    """A broken or absurd orientation counts as none."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(encoded(kind="JPEG", exif=exif)).size == (40, 24)


def test_size_is_refused_before_pixels_are_made() -> None:
    """Too large an image is known from its header: nothing of its size is allocated."""
    import tracemalloc

    tracemalloc.start()
    with pytest.raises(ImageError):
        check(png_header(9000, 9000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert MAX_PIXELS < 9000 * 9000
    assert peak < 5_000_000


def test_a_phone_s_jpeg_is_its_first_picture() -> None:
    """Phones put a preview or a gain map behind the picture (MPO): the picture is what counts, to the pixel that the JPEG alone has."""
    large, preview = Image.fromarray(pixels()), Image.fromarray(pixels(16, 16))
    phone = encoded(large, "MPO", save_all=True, append_images=[preview], quality=95)
    with Image.open(io.BytesIO(phone)) as opened:
        assert (opened.format, opened.n_frames) == ("MPO", 2)
    check(phone)
    assert decode(phone).size == large.size
    assert np.array_equal(np.asarray(decode(phone)), np.asarray(decode(encoded(large, "JPEG", quality=95))))
