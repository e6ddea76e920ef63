"""Two styles for the sweet-spot experiment, added the way anybody adds one: a plugin file that a spec names.

Nobody tuned a metric, a base or a rule on them, but for the reader of prompts: that it learns from negatives, too, came of a look at
blackboards.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from loraspec_picturebook.styles import Style

from loraspec import hookimpl


def blackboard(drawn: Any, rng: np.random.Generator) -> Any:
    """Chalk on a dark green board: light outlines, falling strokes where the drawing is light, a little dust."""
    picture = drawn.astype(np.float32) / 255
    light = picture @ np.array([0.3, 0.59, 0.11], np.float32)
    rows, columns = np.mgrid[0 : light.shape[0], 0 : light.shape[1]].astype(np.float32)
    stroke = 0.5 + 0.5 * np.cos((2 * columns - rows) * (2 * np.pi / 12))
    steps = np.hypot(*np.gradient(light))
    chalk = np.maximum(((light - 0.35) * 1.3 - stroke * 0.8 + 0.25).clip(0, 1) * 0.75, (steps * 5).clip(0, 1) * 0.9)
    board = np.array([0.13, 0.23, 0.19], np.float32) + 0.01 * float(rng.random())
    dusty = board * (1 - chalk[..., None]) + np.array([0.93, 0.94, 0.86], np.float32) * chalk[..., None]
    return (dusty.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def riso(drawn: Any, rng: np.random.Generator) -> Any:
    """Two inks of a stencil printer, pink in the middle tones as dots, blue in the shadows flat, the plates a pixel apart."""
    picture = drawn.astype(np.float32) / 255
    dark = 1 - picture @ np.array([0.3, 0.59, 0.11], np.float32)
    rows, columns = np.mgrid[0 : dark.shape[0], 0 : dark.shape[1]].astype(np.float32)
    dots = 0.25 * (2 + np.cos(rows * (2 * np.pi / 8)) + np.cos(columns * (2 * np.pi / 8)))
    pink = ((dark * 1.2 - dots + 0.35) * 1.3).clip(0, 1)[..., None] * 0.85
    blue = np.roll(((dark - 0.55) * 4).clip(0, 1), 1, 1)[..., None] * 0.85
    paper = np.array([0.97, 0.96, 0.9], np.float32) - 0.01 * float(rng.random())
    inked = paper * (1 - pink) + np.array([0.98, 0.42, 0.55], np.float32) * pink
    inked = inked * (1 - blue) + np.array([0.12, 0.22, 0.62], np.float32) * blue
    return (inked.clip(0, 1) * 255 + 0.5).astype(np.uint8)


@hookimpl
def loraspec_picturebook_register_style() -> list[Style]:
    """Offer ``blackboard`` and ``riso``."""
    return [
        Style("blackboard", blackboard, ("chalk drawing", "on a blackboard"), "chalk drawing of"),
        Style("riso", riso, ("risograph print", "two inks"), "print of"),
    ]
