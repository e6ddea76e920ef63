"""Three more styles for the sweet-spot experiment, written when metrics, readers and rule had been set.

Run these, or a file of your own: ``python -m loraspec_picturebook.experiment --styles docs/experiments/new-styles.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from loraspec_picturebook.manners import blur, edges, luminance
from loraspec_picturebook.styles import Style

from loraspec import hookimpl


def mosaic(drawn: Any, rng: np.random.Generator) -> Any:
    """Square tiles of glazed clay in pale grout: one colour a tile, every other row of them lighter."""
    picture = drawn.astype(np.float32) / 255
    height, width = picture.shape[:2]
    tile = 4
    rows, columns = np.mgrid[0:height, 0:width]
    laid = picture[: height // tile * tile, : width // tile * tile].reshape(height // tile, tile, width // tile, tile, 3).mean((1, 3))
    glazed = (laid.mean(-1, keepdims=True) + (laid - laid.mean(-1, keepdims=True)) * 1.4) * 0.9
    glazed = (glazed + np.where(np.arange(len(glazed)) % 2, 0.06, -0.04)[:, None, None]).clip(0, 1)
    whole = glazed[(rows // tile).clip(max=len(glazed) - 1), (columns // tile).clip(max=glazed.shape[1] - 1)]
    grout = ((rows % tile == 0) | (columns % tile == 0))[..., None] * 0.55
    pale = np.array([0.86, 0.84, 0.78], np.float32) - 0.01 * float(rng.random())
    return ((whole * (1 - grout) + pale * grout).clip(0, 1) * 255 + 0.5).astype(np.uint8)


def woodcut(drawn: Any, rng: np.random.Generator) -> Any:
    """Black blocks cut with upright grooves that widen towards the light, a red tone plate under the middle, on ochre paper."""
    picture = drawn.astype(np.float32) / 255
    light = luminance(blur(picture))
    columns = np.mgrid[0 : light.shape[0], 0 : light.shape[1]][1].astype(np.float32)
    groove = 0.5 + 0.5 * np.cos(columns * (2 * np.pi / 5))
    black = ((0.78 - light * 1.25 - groove * 0.45) * 4).clip(0, 1)
    black = np.maximum(black, ((edges(picture) - 0.12) * 3).clip(0, 1))[..., None] * 0.92
    red = (((light > 0.35) & (light < 0.75)) * 0.5)[..., None]
    paper = np.array([0.9, 0.8, 0.58], np.float32) + 0.01 * float(rng.random())
    inked = paper * (1 - red) + np.array([0.78, 0.25, 0.18], np.float32) * red
    inked = inked * (1 - black) + np.array([0.09, 0.07, 0.07], np.float32) * black
    return (inked.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def neon(drawn: Any, rng: np.random.Generator) -> Any:
    """Glowing tubes along the outlines, in the drawing's hues, on a night-blue wall of bricks."""
    picture = drawn.astype(np.float32) / 255
    rows, columns = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]]
    hue = picture / np.maximum(picture.max(-1, keepdims=True), 0.05)
    tube = ((edges(blur(picture)) - 0.05) * 6).clip(0, 1)[..., None]
    glow = blur(tube * hue, 3) * 0.8
    joint = (rows % 8 == 0) | ((columns + 8 * (rows // 8 % 2)) % 16 == 0)
    wall = np.array([0.07, 0.08, 0.2], np.float32) + 0.07 * joint[..., None] + 0.01 * float(rng.random())
    lit = wall + 0.1 * picture + glow
    return ((lit * (1 - tube) + (0.35 + 0.65 * hue) * tube).clip(0, 1) * 255 + 0.5).astype(np.uint8)


@hookimpl
def loraspec_picturebook_register_style() -> list[Style]:
    """Offer ``mosaic``, ``woodcut`` and ``neon``."""
    return [
        Style("mosaic", mosaic, ("clay mosaic", "pale grout"), "mosaic of"),
        Style("woodcut", woodcut, ("woodcut", "upright grooves"), "woodcut of"),
        Style("neon", neon, ("neon sign", "on a night wall"), "sign of"),
    ]
