"""Generic texture pictures for the autoencoder: fine line art of no particular style.

The autoencoder has to carry styles that nobody has drawn yet, so a share of its training pictures is scenes under
random hatches, palettes, mosaics and grain, and flat shapes with outlines on white. None of the style functions of
``styles`` is used here: angles, periods, colours and strengths are drawn at random for every picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loraspec_picturebook.manners import blur, clouds, edges, luminance
from loraspec_picturebook.world import draw, sample_scene

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator
    from numpy.typing import NDArray

    from loraspec_picturebook.manners import Floats


def training_picture(rng: Generator, *, size: int = 64) -> NDArray[np.uint8]:
    """One training picture of the autoencoder: uint8, size x size x 3.

    One half are plain scenes of the world; the other half goes through one of the generic textures.
    """
    import numpy as np

    choice = float(rng.random())
    if choice > 0.88:
        picture = _shapes(size, rng)
    else:
        picture = draw(sample_scene(rng), size=size).astype(np.float32) / 255
    if choice < 0.5 or choice > 0.94:
        finished = picture
    elif choice < 0.76:
        finished = _hatched(picture, rng)
    elif choice < 0.8:
        finished = _mosaic(picture, rng)
    elif choice < 0.84:
        finished = recoloured(picture, rng)
    else:
        finished = _stripes(picture, rng)
    if choice >= 0.5 and rng.random() < 0.15:
        finished = 1 - finished
    if choice >= 0.5 and rng.random() < 0.25:
        noise = rng.normal(0, float(rng.uniform(0.01, 0.06)), (size, size, 1)).astype(np.float32)
        finished = finished + noise
    return (finished.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def restyled(picture: Floats, rng: Generator) -> Floats:
    """A picture (height x width x 3, 0..1) under one of the generic textures, one in four as a negative."""
    import numpy as np

    choice = float(rng.random())
    for share, texture in ((0.45, _hatched), (0.6, _mosaic), (0.8, recoloured), (1.0, _stripes)):
        if choice < share:
            finished = texture(picture, rng)
            break
    if rng.random() < 0.25:
        finished = 1 - finished
    return np.clip(finished, 0, 1).astype(np.float32)


def _waves(side: int, rng: Generator, angle: float | None = None) -> Floats:
    """Parallel waves, 0..1, period 3 to 10 pixels, at any angle and phase; sometimes bent."""
    import numpy as np

    if angle is None:
        angle = float(rng.choice((0, 45, 90, 135))) if rng.random() < 0.5 else float(rng.uniform(0, 180))
    radians = np.deg2rad(angle)
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32)
    along = rows * np.cos(radians) + columns * np.sin(radians)
    if rng.random() < 0.2:
        along = along + 3 * clouds(side, 4, rng)
    period = float(rng.uniform(2.7, 9.0))
    waves: Floats = (0.5 + 0.5 * np.cos(along * (2 * np.pi / period) + rng.uniform(0, 6.3))).astype(np.float32)
    return waves


def _colour(rng: Generator, low: float, high: float) -> Floats:
    import numpy as np

    mean = float(rng.uniform(low, high))
    return np.clip(mean + rng.normal(0, 0.06, 3), 0, 1).astype(np.float32)


def _hatched(picture: Floats, rng: Generator) -> Floats:
    import numpy as np

    side = picture.shape[0]
    dark = 1 - luminance(blur(picture, int(rng.integers(0, 3))))
    gain = float(rng.uniform(1.0, 3.0))
    start = float(rng.uniform(0.0, 0.3))
    angle = float(rng.choice((0, 45, 90, 135))) if rng.random() < 0.6 else float(rng.uniform(0, 180))
    ink = ((dark - start) * gain - _waves(side, rng, angle) + float(rng.uniform(0, 0.4))).clip(0, 1)
    if rng.random() < 0.6:
        second = ((dark - start - float(rng.uniform(0.1, 0.45))) * gain - _waves(side, rng, angle + 90) + 0.2).clip(0, 1)
        ink = np.maximum(ink, second)
    ink = ink * float(rng.uniform(0.5, 1.0))
    if rng.random() < 0.7:
        ink = np.maximum(ink, (edges(picture) * float(rng.uniform(1, 3))).clip(0, 1))
    paper = picture if rng.random() < 0.25 else _colour(rng, 0.75, 1.0)
    return paper * (1 - ink[..., None]) + _colour(rng, 0.0, 0.35) * ink[..., None]


def _mosaic(picture: Floats, rng: Generator) -> Floats:
    import numpy as np

    side = picture.shape[0]
    points = rng.uniform(0, side, (int(rng.integers(12, 60)), 2)).astype(np.float32)
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32)
    away = (rows[..., None] - points[:, 0]) ** 2 + (columns[..., None] - points[:, 1]) ** 2
    cells = away.argmin(-1)
    where = points.astype(np.int64).clip(0, side - 1)
    panes = picture[where[:, 0], where[:, 1]][cells]
    share = float(rng.uniform(0.0, 0.8))
    lead = ((cells != np.roll(cells, 1, 0)) | (cells != np.roll(cells, 1, 1))).astype(np.float32)
    lead = np.maximum(lead, (edges(picture) * 2).clip(0, 1)) * float(rng.uniform(0.5, 1.0))
    mixed = panes * share + picture * (1 - share)
    leaded: Floats = mixed * (1 - lead[..., None]) + _colour(rng, 0.0, 0.3) * lead[..., None]
    return leaded


def recoloured(picture: Floats, rng: Generator) -> Floats:
    """A picture (height x width x 3, 0..1) in two tones, or with its channels mixed: about 0..1."""
    import numpy as np

    if rng.random() < 0.4:
        tone = luminance(picture)[..., None]
        return _colour(rng, 0.0, 0.3) * (1 - tone) + _colour(rng, 0.7, 1.0) * tone
    mixing = np.eye(3, dtype=np.float32)[rng.permutation(3)] + rng.normal(0, 0.2, (3, 3)).astype(np.float32)
    grey = luminance(picture)[..., None]
    lively = grey + (picture - grey) * float(rng.uniform(0.5, 2.2))
    turned: Floats = lively @ mixing
    return turned


def _stripes(picture: Floats, rng: Generator) -> Floats:
    side = picture.shape[0]
    wave = _waves(side, rng)
    if rng.random() < 0.4:
        wave = wave * _waves(side, rng)
    wave = ((wave - 0.5) * float(rng.uniform(1, 4)) + 0.5).clip(0, 1) * float(rng.uniform(0.2, 1.0))
    return picture * (1 - wave[..., None]) + _colour(rng, 0.0, 1.0) * wave[..., None]


def _shapes(side: int, rng: Generator) -> Floats:
    """Flat shapes with outlines on a plain ground."""
    import numpy as np
    from PIL import Image, ImageDraw

    scale = 3
    ground = (255, 255, 255) if rng.random() < 0.7 else tuple(int(v) for v in rng.integers(0, 256, 3))
    canvas = Image.new("RGB", (side * scale, side * scale), ground)
    brush = ImageDraw.Draw(canvas)
    width = int(rng.integers(0, 9))
    for _ in range(int(rng.integers(1, 8))):
        x, y = rng.uniform(0.05, 0.95, 2) * side * scale
        wide, high = rng.uniform(0.03, 0.4, 2) * side * scale
        fill = tuple(int(v) for v in rng.integers(0, 256, 3))
        kind = int(rng.integers(4))
        if kind == 0:
            brush.ellipse((x - wide, y - high, x + wide, y + high), fill, (0, 0, 0), width)
        elif kind == 1:
            brush.rounded_rectangle((x - wide, y - high, x + wide, y + high), min(wide, high) / 2, fill, (0, 0, 0), width)
        else:
            turns = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 7))))
            points = [(x + wide * np.cos(t), y + high * np.sin(t)) for t in turns]
            if kind == 2:
                brush.polygon(points, fill, (0, 0, 0), width)
            else:
                brush.line(points, fill, max(2, width), joint="curve")
    return np.asarray(canvas.reduce(scale), np.float32) / 255
