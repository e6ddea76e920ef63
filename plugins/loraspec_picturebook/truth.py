"""The ground truth: for any scene the true picture in a style, and how far a set of pictures is from the true ones.

The measure. A picture becomes one vector of texture and colour statistics (``features``): at 3 scales (full, half and
quarter size) the picture is filtered with 32 fixed random zero-mean 5 x 5 x 3 filters (seeded, unit norm); of every
rectified response the mean and the standard deviation over the picture are kept, together with the mean, the standard
deviation and the 10 % and 90 % quantiles of each colour channel and of the saturation. Each number is divided by a
fixed spread, its standard deviation over a reference set (128 drawings of the world, plain and in all built-in styles),
and the vector by the square root of its length. The distance of two sets X, Y is the energy distance

    D(X, Y) = 2 E|x - y| - E|x - x'| - E|y - y'|

with unbiased means (pairs of one picture with itself left out), so that two sets from the same source are at 0 on
average, and slightly below it by chance. Positions of things do not enter; texture, line and colour do.
Values: 0 the same style, about 1 and more another style.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from loraspec_picturebook.styles import STYLES, Style
from loraspec_picturebook.world import Scene, draw, generator, plain, sample_scene

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]
    Floats = NDArray[np.floating[Any]]

HELD_OUT, LAYOUT, TEXTURE, FILTERS, REFERENCE = 401, 402, 403, 404, 405
"""Name the random streams; none of them is used for any training set."""
SCALES: Final = 3
BANK: Final = 32


def held_out(count: int = 48, *, seed: int = 0) -> list[Scene]:
    """The fixed held-out scenes, always the same for a seed, in no training set of the base or of a style set."""
    return [sample_scene(generator(seed, HELD_OUT, index)) for index in range(count)]


def same_words(scene: Scene, layout: int) -> Scene:
    """A scene with the same words and another layout; layout 0 is the scene itself."""
    if layout == 0:
        return scene
    other = sample_scene(generator(scene.texture, LAYOUT, layout))
    return evolve(
        scene,
        x=scene.x if scene.size == "large" else 0.5 + (other.x - 0.5) * 0.5,
        ground=other.ground,
        horizon=other.horizon,
        mirrored=other.mirrored,
        texture=other.texture,
    )


def true_picture(scene: Scene, style: Style | str, *, size: int = 64) -> Picture:
    """The scene as the style draws it: uint8, size x size x 3. style is a Style or the name of a built-in one."""
    if isinstance(style, str):
        if style not in STYLES:
            raise ValueError(f"true_picture: {style!r} is not a built-in style; one of {', '.join(STYLES)}")
        style = STYLES[style]
    return style.apply(draw(plain(scene), size=size), generator(scene.texture, TEXTURE))


def true_set(scenes: Sequence[Scene], style: Style | str, *, layout: int = 0, size: int = 64) -> list[Picture]:
    """The true pictures of the scenes; another layout number gives a different true set of the same words."""
    return [true_picture(same_words(scene, layout), style, size=size) for scene in scenes]


@functools.cache
def _bank() -> Floats:
    import numpy as np

    filters = generator(0, FILTERS).standard_normal((75, BANK)).astype(np.float32)
    filters -= filters.mean(0)
    unit: Floats = filters / np.linalg.norm(filters, axis=0)
    return unit


def _statistics(picture: Picture) -> Floats:
    import numpy as np

    now = picture.astype(np.float32) / 255
    saturation = now.max(-1) - now.min(-1)
    channels = np.concatenate([now.reshape(-1, 3), saturation.reshape(-1, 1)], 1)
    rows = [channels.mean(0), channels.std(0), *np.quantile(channels, (0.1, 0.9), axis=0)]
    for scale in range(SCALES):
        if scale:
            high, wide = now.shape[0] // 2 * 2, now.shape[1] // 2 * 2
            now = now[:high, :wide].reshape(high // 2, 2, wide // 2, 2, 3).mean((1, 3))
        windows = np.lib.stride_tricks.sliding_window_view(now, (5, 5), (0, 1))
        answers = np.maximum(windows.reshape(-1, 75) @ _bank(), 0)
        rows += [answers.mean(0), answers.std(0)]
    return np.concatenate(rows).astype(np.float32)


@functools.cache
def _spread() -> Floats:
    import numpy as np

    rows = []
    for index in range(128):
        scene = sample_scene(generator(0, REFERENCE, index))
        names = (None, *sorted(STYLES))
        name = names[index % len(names)]
        rows.append(_statistics(draw(scene) if name is None else true_picture(scene, name)))
    spread: Floats = np.stack(rows).std(0) + 1e-4
    return spread


def features(pictures: Sequence[Picture]) -> Floats:
    """The vectors that pictures are compared by, n x 208; see the module's text."""
    import numpy as np

    rows = np.stack([_statistics(picture) for picture in pictures]) / _spread()
    vectors: Floats = (rows / np.sqrt(rows.shape[1])).astype(np.float32)
    return vectors


def distance(ours: Sequence[Picture], true: Sequence[Picture]) -> float:
    """The energy distance of two sets of at least two pictures each; 0 on average for two sets of one source."""
    import numpy as np

    if len(ours) < 2 or len(true) < 2:
        raise ValueError(f"distance: sets of {len(ours)} and {len(true)} pictures; at least 2 in each")
    one, two = features(ours), features(true)

    def between(left: Floats, right: Floats) -> NDArray[np.float64]:
        apart: NDArray[np.float64] = np.sqrt(((left[:, None].astype(np.float64) - right[None]) ** 2).sum(-1))
        return apart

    within = sum(between(rows, rows).sum() / (len(rows) * (len(rows) - 1)) for rows in (one, two))
    return float(2 * between(one, two).mean() - within)


def way(start: float, now: float, floor: float) -> float:
    """How much of the way from start to floor is done: 0 at the start, 1 at the floor."""
    if start <= floor:
        raise ValueError(f"way: the start {start:.3f} is not above the floor {floor:.3f}; there is nothing to measure")
    return (start - now) / (start - floor)
