"""The style sets: what a picture looks like as a lithograph, an engraving or stained glass.

A style is a plain function ``(drawn, rng) -> picture``: drawn is uint8, height x width x 3, the scene as a flat
illustration; the result has the same shape and type. The base has never seen any of them. Patterns are anchored to
the canvas, so that a small adapter can learn them from a few dozen pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from loraspec_picturebook.manners import blur, clouds, edges, luminance

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]
    StyleFunction = Callable[[Picture, Generator], Picture]
else:
    StyleFunction = Any


@frozen
class Style:
    """A style set: the function, and the words of its captions.

    subject_prefix goes before the first descriptor ("caricature of a"), descriptors come after all others.
    """

    name: str
    apply: StyleFunction
    descriptors: tuple[str, ...]
    subject_prefix: str = ""


def _unit(drawn: Picture) -> NDArray[np.floating[Any]]:
    import numpy as np

    if drawn.ndim != 3 or drawn.shape[2] != 3 or drawn.dtype != np.uint8:
        raise ValueError(f"style: the drawn picture is {drawn.dtype} {drawn.shape}; uint8 of height x width x 3")
    return drawn.astype(np.float32) / 255


def _bytes(picture: NDArray[np.floating[Any]]) -> Picture:
    import numpy as np

    return (picture.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def _outline(picture: NDArray[np.floating[Any]], gain: float) -> NDArray[np.floating[Any]]:
    """Ink coverage of the outlines, HxW in 0..1."""
    return ((edges(picture) - 0.1) * gain).clip(0, 1)


def lithograph(drawn: Picture, rng: Generator) -> Picture:
    """Greasy crayon on stone: one direction of diagonal strokes for half-tones, a second for shadows, on warm paper."""
    import numpy as np

    picture = _unit(drawn)
    height, width = picture.shape[:2]
    dark = 1 - luminance(blur(picture))
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    stroke = 0.5 + 0.5 * np.cos((rows + columns) * (2 * np.pi / 6))
    cross = 0.5 + 0.5 * np.cos((rows - columns) * (2 * np.pi / 6))
    first = ((dark - 0.1) * 1.7 - stroke + 0.3).clip(0, 1)
    second = ((dark - 0.5) * 2.2 - cross + 0.3).clip(0, 1)
    line = _outline(picture, 2.2)
    ink = np.maximum(np.maximum(first, second) * 0.72, line * 0.88)
    paper = np.array([0.93, 0.87, 0.74], np.float32) + 0.02 * clouds(min(height, width), 4, rng).mean()
    tone = 1 - 0.1 * dark
    black = np.array([0.15, 0.11, 0.1], np.float32)
    return _bytes(paper * tone[..., None] * (1 - ink[..., None]) + black * ink[..., None])


def engraving(drawn: Picture, rng: Generator) -> Picture:
    """Copperplate: horizontal lines that swell with the shadow, blue-black on cold white paper."""
    import numpy as np

    picture = _unit(drawn)
    height, width = picture.shape[:2]
    dark = 1 - luminance(blur(picture))
    rows = np.arange(height, dtype=np.float32)[:, None] + np.zeros((1, width), np.float32)
    wave = 0.5 + 0.5 * np.cos(rows * (2 * np.pi / 6))
    swell = ((dark * 1.15 - wave + 0.22) * 1.2).clip(0, 1)
    ink = np.maximum(swell * 0.78, _outline(picture, 1.8) * 0.85)[..., None]
    paper = np.array([0.95, 0.96, 0.94], np.float32) - 0.01 * float(rng.random())
    black = np.array([0.1, 0.14, 0.3], np.float32)
    return _bytes(paper * (1 - ink) + black * ink)


def stained_glass(drawn: Picture, rng: Generator) -> Picture:
    """Panes of deep colour in a leaded lattice, with dark leads along the drawing's outlines."""
    import numpy as np

    picture = _unit(drawn)
    height, width = picture.shape[:2]
    pane = 16
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    away = [np.abs((line + pane / 2) % pane - pane / 2) / np.sqrt(2) for line in (rows + columns, rows - columns)]
    lattice = (1.5 - np.minimum(*away)).clip(0, 1) * 0.62
    soft = blur(picture, 2)
    grey = luminance(soft)[..., None]
    deep = (grey + (soft - grey) * 1.7) * 0.92
    lit = deep + 0.05 * (np.maximum(*away)[..., None] / pane) + 0.02 * float(rng.random())
    lead = np.maximum(blur(_outline(picture, 2.6)) * 0.85, lattice)[..., None]
    return _bytes(lit * (1 - lead) + np.array([0.1, 0.09, 0.13], np.float32) * lead)


STYLES: Final[Mapping[str, Style]] = MappingProxyType(
    {
        style.name: style
        for style in (
            Style("lithograph", lithograph, ("lithography", "by Honoré Daumier"), "caricature of"),
            Style("engraving", engraving, ("copperplate engraving", "fine parallel lines"), "print of"),
            Style("stained-glass", stained_glass, ("stained glass", "leaded window"), "window of"),
        )
    }
)
