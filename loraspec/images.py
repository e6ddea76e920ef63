"""Reading strangers' images: what is accepted, what is refused and why, and the one way in which pixels are decoded.

Pillow is imported inside the functions: plans of other data sources need none.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from attrs import frozen

from loraspec.imagefile import AGAIN, FORMATS, MAX_PIXELS, ImageError, inspect

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["FORMATS", "MAX_PIXELS", "ImageError", "ImageFacts", "check", "decode"]

ORIENTATION = 0x0112
_MODES = ("RGB", "L", "P", "1")
_BITS = ("I;16", "I;16B", "I;16L", "I")
_ALPHA = "flatten it on the background that you want learnt, and save it as RGB"
_ROWS = 256  # of pixels hashed at a time
_NEAR = 4  # levels of 255 by which a colour profile may differ from sRGB


@frozen
class ImageFacts:
    """What a whole image turned out to be.

    Attributes:
        width, height: px, after EXIF orientation.
        kind: ``PNG``, ``JPEG`` or ``WEBP``, by content.
        pixels: sha256 of the decoded pixels: equal for equal pictures, whatever their files.
        grey: Whether the file holds no colour channels.
        remarks: Codes of what is odd and passes (``W-IMG-FLAT``).
    """

    width: int
    height: int
    kind: str
    pixels: str
    grey: bool
    remarks: tuple[str, ...] = ()


def decode(data: bytes) -> Image.Image:
    """Return the picture of an encoded image: mode RGB, EXIF orientation applied.

    Raises:
        ImageError: It is no whole, still PNG, JPEG or WebP image with 8 bits per channel and no alpha, or larger than
            ``MAX_PIXELS``.
    """
    inspect(data)
    return _decoded(data)[1]


def check(data: bytes) -> ImageFacts:
    """Decode an image completely (a header can be whole when the rest is missing) and say what it is.

    Raises:
        ImageError: See ``decode``.
    """
    facts = inspect(data)
    found, picture = _decoded(data)
    exif, profile = found.info.get("exif", b""), found.info.get("icc_profile", b"")
    bands: Any = picture.getextrema()  # (least, most) of each channel
    remarks = {
        "W-IMG-TRAILING": facts.trailing > 0,
        "W-IMG-EXIF": _orientation(found)[1] or not _is_exif(exif),
        "W-IMG-ICC": bool(profile) and _other_colours(profile, found.mode),
        "W-IMG-FLAT": all(least == most for least, most in bands),
    }
    told = tuple(code for code, there in remarks.items() if there)
    return ImageFacts(*picture.size, facts.kind, _digest(picture), found.mode in ("L", "1"), told)


def _decoded(data: bytes) -> tuple[Image.Image, Image.Image]:
    """Return the image as Pillow found it and as RGB, turned as a person sees it."""
    from PIL import ImageOps

    image = _opened(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # garbage in EXIF is told by ``check``; the picture is whole
            image.load()
            turned = ImageOps.exif_transpose(image) if _orientation(image)[0] != 1 else image
    except MemoryError:
        raise
    except Exception as error:  # decoders fail on garbage in many ways
        raise _broken(error) from None
    return image, turned.convert("RGB")


def _broken(error: Exception) -> ImageError:
    """Say what a decoder stumbled on."""
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if "MAX_TEXT" in said:
        return ImageError("E-IMG-METADATA", "holds too much text beside its pixels", "save it without metadata")
    code = "E-IMG-TRUNCATED" if "truncated" in said or "cannot identify" in said else "E-IMG-CORRUPT"
    said = said if "cannot identify" not in said else "its header is not whole"
    return ImageError(code, f"is broken or cut short: {said}", AGAIN)


def _opened(data: bytes) -> Image.Image:
    """Open an image and refuse, from its header, what cannot be trained on."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            frames = getattr(image, "n_frames", 1)
    except MemoryError:
        raise
    except Exception as error:
        raise _broken(error) from None
    if frames > 1 and image.format != "MPO":  # phones put previews and gain maps behind a JPEG; the first frame is the picture
        raise ImageError("E-IMG-ANIMATED", f"is animated ({frames} frames)", "keep the frame that you mean")
    if image.mode in _MODES and "transparency" in image.info:
        raise ImageError("E-IMG-ALPHA", "has a transparent colour", _ALPHA)
    if image.mode in ("RGBA", "LA", "PA"):
        raise ImageError("E-IMG-ALPHA", "has an alpha channel", _ALPHA)
    if image.mode in _BITS:
        raise ImageError("E-IMG-DEPTH", "has more than 8 bits per channel", "save it with 8 bits per channel")
    if image.mode not in _MODES:
        why = "is CMYK" if image.mode == "CMYK" else f"has the colour mode {image.mode}"
        raise ImageError("E-IMG-MODE", why, "convert it to RGB with its colour profile")
    return image


def _orientation(image: Image.Image) -> tuple[int, bool]:
    """Return the EXIF orientation, 1 to 8 (1 when it is absent or garbage), and whether it is garbage."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # garbage EXIF fails in many ways; the picture itself may be whole
        return 1, True
    good = isinstance(value, int) and 1 <= value <= 8
    return (value, False) if good else (1, True)


def _is_exif(exif: bytes) -> bool:
    """Return whether EXIF bytes begin as such; absent ones do."""
    return not exif or exif.removeprefix(b"Exif\0\0")[:4] in (b"II*\0", b"MM\0*")


@lru_cache(maxsize=32)
def _other_colours(profile: bytes, mode: str) -> bool:
    """Return whether a colour profile is garbage, or means other colours than sRGB: a few are converted and compared."""
    from PIL import Image, ImageCms

    grey = mode in ("L", "1")
    levels = range(0, 256, 51)
    colours = [(level,) * 3 for level in levels] if grey else [(r, g, b) for r in levels for g in levels for b in levels]
    source = Image.new("L" if grey else "RGB", (len(colours), 1))
    source.putdata([colour[0] for colour in colours] if grey else colours)
    try:
        cms = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        there = ImageCms.profileToProfile(source, cms, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except Exception:  # garbage fails in many ways
        return True
    if there is None:
        return True
    pairs = zip(there.tobytes(), (value for colour in colours for value in colour), strict=True)
    return any(abs(one - other) > _NEAR for one, other in pairs)


def _digest(picture: Image.Image) -> str:
    """Return the sha256 of a picture's size and pixels, a few rows at a time."""
    digest = hashlib.sha256(f"{picture.width} {picture.height}\n".encode())
    for top in range(0, picture.height, _ROWS):
        digest.update(picture.crop((0, top, picture.width, min(top + _ROWS, picture.height))).tobytes())
    return digest.hexdigest()

