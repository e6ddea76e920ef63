"""The words of the picture-book: what can be drawn, and the RGB colours (0 to 255) it is drawn with."""

from __future__ import annotations

from typing import Final

RGB = tuple[int, int, int]

PEOPLE: Final[tuple[str, ...]] = ("man", "woman", "child")
SUBJECTS: Final[tuple[str, ...]] = (
    *PEOPLE,
    "house",
    "castle",
    "boat",
    "car",
    "tree",
    "flower",
    "mushroom",
    "cat",
    "bird",
    "fish",
    "balloon",
    "umbrella",
    "teapot",
)
COLOURS: Final[dict[str, RGB]] = {
    "red": (214, 40, 40),
    "orange": (246, 140, 30),
    "yellow": (250, 216, 50),
    "green": (44, 160, 70),
    "blue": (40, 96, 216),
    "purple": (132, 60, 176),
    "pink": (250, 130, 190),
    "white": (248, 248, 248),
}
SIZES: Final[dict[str, float]] = {"small": 0.52, "medium": 0.68, "large": 0.86}
"""Height of the subject as a fraction of the picture's side."""

SETTINGS: Final[tuple[str, ...]] = (
    "sunny beach",
    "city street",
    "snowy hill",
    "starry night",
    "green meadow",
    "dry desert",
    "dark forest",
    "cosy room",
)
ELEMENTS: Final[dict[str, str]] = {
    "tree": "trees",
    "bush": "bushes",
    "rock": "rocks",
    "cloud": "clouds",
    "gull": "gulls",
    "lantern": "lanterns",
    "barrel": "barrels",
    "fence": "fences",
}
"""Secondary elements: the singular and the plural."""

COUNTS: Final[dict[int, str]] = {1: "one", 2: "two", 3: "three"}
MANNERS: Final[tuple[str, ...]] = (
    "flat illustration",
    "watercolour wash",
    "pencil outline",
    "crayon drawing",
    "pixel art",
    "soft pastel",
)
"""Rendering manners of the base's own world. None of them is a style set."""

INK: Final[RGB] = (38, 30, 40)
SKIN: Final[RGB] = (240, 196, 160)
