"""Reading strangers' images: what is accepted, what is refused and why, and the one way in which pixels are decoded.

Pillow is imported inside the functions: plans of other data sources need none.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

from attrs import frozen

from loraspec.errors import LoraspecError

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 64_000_000
ORIENTATION = 0x0112
_MODES = ("RGB", "L", "P", "1")
_WHY = {
    "RGBA": "has an alpha channel",
    "LA": "has an alpha channel",
    "PA": "has an alpha channel",
    "CMYK": "is CMYK",
    "I;16": "has 16 bits per channel",
    "I;16B": "has 16 bits per channel",
    "I;16L": "has 16 bits per channel",
    "I": "has more than 8 bits per channel",
    "F": "holds floating-point numbers",
}
_MEND = {
    "alpha": "flatten it on the background that you want learnt, and save it as RGB",
    "bits": "save it with 8 bits per channel",
    "CMYK": "convert it to RGB with its colour profile",
}


class ImageError(LoraspecError, ValueError):
    """An image that is not trained on; ``hint`` says how to mend it."""

    def __init__(self, message: str, hint: str = "") -> None:
        self.message, self.hint = message, hint
        super().__init__(message)


@frozen
class ImageSize:
    """Width and height in px, after EXIF orientation."""

    width: int
    height: int


def decode(data: bytes) -> Image.Image:
    """Return the picture of an encoded image: mode RGB, EXIF orientation applied.

    Raises:
        ImageError: It is no whole, still PNG, JPEG or WebP image with 8 bits per channel and no alpha, or larger than
            ``MAX_PIXELS``.
    """
    from PIL import Image, ImageOps

    image = _opened(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # garbage in EXIF is not worth a line; the picture is whole
            image.load()
            turned = ImageOps.exif_transpose(image) if _orientation(image) != 1 else image
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise ImageError(f"is broken or cut short: {_one_line(error)}", "get it again from where it came") from None
    return turned.convert("RGB")


def check(data: bytes) -> ImageSize:
    """Decode an image completely (a header can be whole when the rest is missing) and return its size.

    Raises:
        ImageError: See ``decode``.
    """
    return ImageSize(*decode(data).size)


def _opened(data: bytes) -> Image.Image:
    """Open an image and refuse, from its header, what cannot be trained on."""
    from PIL import Image

    if not data:
        raise ImageError("is empty (0 bytes)", "get it again from where it came")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise ImageError(f"has more than {MAX_PIXELS // 10**6} million pixels", "make it smaller") from None
    except (OSError, SyntaxError, ValueError) as error:
        start = data[:64].lstrip().lower()
        if start.startswith((b"<!doctype", b"<html")):
            raise ImageError("is a web page, probably a failed download", "get it again from where it came") from None
        known = " nor ".join(FORMATS).replace(" nor ", ", ", len(FORMATS) - 2)
        reason = f": {_one_line(error)}" if "cannot identify" not in str(error) else ""
        raise ImageError(f"is neither {known}{reason}") from None
    if image.width * image.height > MAX_PIXELS:
        raise ImageError(f"has {image.width} x {image.height} px, more than {MAX_PIXELS // 10**6} million", "make it smaller")
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise ImageError(f"is animated ({frames} frames)", "keep the frame that you mean")
    if image.mode in _MODES and "transparency" in image.info:
        raise ImageError("has a transparent colour", _MEND["alpha"])
    if image.format == "PNG":
        _check_png(data)
    if image.mode not in _MODES:
        why = _WHY.get(image.mode, f"has the colour mode {image.mode}")
        raise ImageError(why, next((mend for word, mend in _MEND.items() if word in why), "save it as RGB with 8 bits per channel"))
    return image


def _check_png(data: bytes) -> None:
    """Refuse what Pillow lets pass: 16 bits per channel (it drops half of them) and a file without its last chunk."""
    if len(data) > 24 and data[24] == 16:
        raise ImageError("has 16 bits per channel", _MEND["bits"])
    at = 8
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        at += 12 + length
        if kind == b"IEND" and at <= len(data):
            return
    raise ImageError("is cut short: its last part is missing", "get it again from where it came")


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 when it is absent or garbage."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # garbage EXIF fails in many ways; the picture itself may be whole
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _one_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
