"""The rendering manners of the base's own world, as functions on a drawn picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]


def blur(picture: Floats, passes: int = 1) -> Floats:
    """Binomial 1-2-1 blur along the first two axes, edges repeated; any number of channels."""
    for _ in range(passes):
        for axis in (0, 1):
            ahead = _shift(picture, 1, axis)
            back = _shift(picture, -1, axis)
            picture = 0.25 * ahead + 0.5 * picture + 0.25 * back
    return picture


def _shift(picture: Floats, step: int, axis: int) -> Floats:
    import numpy as np

    moved = np.roll(picture, step, axis)
    edge = [slice(None)] * picture.ndim
    edge[axis] = slice(0, 1) if step > 0 else slice(-1, None)
    moved[tuple(edge)] = picture[tuple(edge)]
    return moved


def luminance(picture: Floats) -> Floats:
    """Rec. 601 luminance, HxW, of an HxWx3 picture in the same range."""
    lum: Floats = picture[..., 0] * 0.299 + picture[..., 1] * 0.587 + picture[..., 2] * 0.114
    return lum


def edges(picture: Floats) -> Floats:
    """Colour-edge strength, HxW, 0 (flat) to about 1 (black against white), of a picture in 0..1."""
    import numpy as np

    down = np.abs(picture - _shift(picture, 1, 0)).max(-1)
    across = np.abs(picture - _shift(picture, 1, 1)).max(-1)
    strength: Floats = np.maximum(down, across)
    return strength


def clouds(side: int, cells: int, rng: Generator) -> Floats:
    """Smooth noise, side x side, about -1..1, with features about side / cells pixels wide."""
    import numpy as np

    grid = rng.uniform(-1, 1, (cells + 1, cells + 1)).astype(np.float32)
    at = np.linspace(0, cells - 1e-3, side, dtype=np.float32)
    low = at.astype(np.int64)
    share = at - low
    rows = grid[low] * (1 - share[:, None]) + grid[low + 1] * share[:, None]
    smooth: Floats = rows[:, low] * (1 - share) + rows[:, low + 1] * share
    return smooth


def _flat(picture: Floats, rng: Generator) -> Floats:
    return picture


def _watercolour(picture: Floats, rng: Generator) -> Floats:
    side = picture.shape[0]
    soft = blur(picture, 2)
    wash = 1 - (1 - soft) * (0.82 + 0.24 * clouds(side, 5, rng)[..., None])
    rim = edges(soft)[..., None]
    washed: Floats = wash * (1 - 0.25 * rim) + 0.06
    return washed


def _pencil(picture: Floats, rng: Generator) -> Floats:
    tint = 0.97 - (0.97 - blur(picture)) * 0.55
    line = (edges(picture) * 1.5).clip(0, 1)[..., None] * 0.8
    return tint * (1 - line) + 0.22 * line


def _crayon(picture: Floats, rng: Generator) -> Floats:
    import numpy as np

    side = picture.shape[0]
    fine = rng.uniform(0, 1, (side, side)).astype(np.float32)
    grain = (fine + np.roll(fine, 1, 0) + np.roll(fine, 1, 1)) / 3
    wax = ((grain - 0.2) * 4).clip(0.72, 1)[..., None]
    waxed: Floats = 0.98 - (0.98 - picture) * wax
    return waxed


def _pixels(picture: Floats, rng: Generator) -> Floats:
    import numpy as np

    block = max(1, picture.shape[0] // 32)
    side = picture.shape[0] // block
    small = picture[: side * block, : side * block].reshape(side, block, side, block, 3).mean((1, 3))
    small = np.round(small * 6) / 6
    large = small.repeat(block, 0).repeat(block, 1)
    rest = picture.shape[0] - large.shape[0]
    return np.pad(large, ((0, rest), (0, rest), (0, 0)), mode="edge") if rest else large


def _pastel(picture: Floats, rng: Generator) -> Floats:
    import numpy as np

    side = picture.shape[0]
    tooth = rng.normal(0, 0.022, (side, side, 1)).astype(np.float32)
    return 0.24 + 0.74 * blur(picture) + tooth


MANNERS: Final[dict[str, Callable[[Floats, Generator], Floats]]] = {
    "flat illustration": _flat,
    "watercolour wash": _watercolour,
    "pencil outline": _pencil,
    "crayon drawing": _crayon,
    "pixel art": _pixels,
    "soft pastel": _pastel,
}
"""Each takes a picture HxWx3 float32 in 0..1 and a random source, and returns one that is clipped later."""
