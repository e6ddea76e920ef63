"""The settings (backgrounds) and the secondary elements that stand in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from loraspec_picturebook.pen import Pen
from loraspec_picturebook.vocabulary import RGB

if TYPE_CHECKING:
    from numpy.random import Generator
    from PIL.ImageDraw import ImageDraw


class Backdrop:
    """A canvas with fractions as coordinates: x and y from 0 (left, top) to 1 (right, bottom)."""

    def __init__(self, draw: ImageDraw, side: int, horizon: float, rng: Generator) -> None:
        """draw paints on a square canvas of side pixels; horizon is the ground's y as a fraction."""
        self.draw, self.side, self.horizon, self.rng = draw, side, horizon, rng

    def band(self, top: float, bottom: float, fill: RGB, left: float = 0.0, right: float = 1.0) -> None:
        """A filled rectangle."""
        box = (left * self.side, top * self.side, right * self.side, bottom * self.side)
        self.draw.rectangle(box, fill=fill)

    def disc(self, x: float, y: float, radius: float, fill: RGB, high: float | None = None) -> None:
        """A filled disc, or an ellipse when high (the vertical radius) is given."""
        up = radius if high is None else high
        box = ((x - radius) * self.side, (y - up) * self.side, (x + radius) * self.side, (y + up) * self.side)
        self.draw.ellipse(box, fill=fill)

    def poly(self, points: list[tuple[float, float]], fill: RGB) -> None:
        """A filled polygon."""
        self.draw.polygon([(x * self.side, y * self.side) for x, y in points], fill=fill)

    def some(self, low: float, high: float) -> float:
        """A uniform number of this picture's own random source."""
        return float(self.rng.uniform(low, high))


def _beach(back: Backdrop) -> None:
    back.band(0, back.horizon, (150, 212, 246))
    back.disc(back.some(0.12, 0.2), 0.14, 0.09, (255, 226, 80))
    back.band(back.horizon - 0.2, back.horizon, (46, 150, 200))
    back.band(back.horizon - 0.13, back.horizon - 0.11, (200, 236, 246))
    back.band(back.horizon, 1, (244, 216, 150))


def _street(back: Backdrop) -> None:
    back.band(0, back.horizon, (206, 214, 222))
    x = -back.some(0.0, 0.15)
    for wall in ((150, 112, 96), (176, 160, 140), (124, 124, 140), (168, 128, 104), (140, 140, 132)):
        wide, top = back.some(0.2, 0.26), back.some(0.08, 0.3)
        back.band(top, back.horizon, wall, x, x + wide - 0.012)
        for row in range(4):
            for column in range(2):
                left = x + 0.035 + column * wide * 0.45
                level = top + 0.06 + row * 0.13
                if level + 0.07 < back.horizon:
                    back.band(level, level + 0.065, (250, 236, 170), left, left + 0.055)
        x += wide
    back.band(back.horizon, 1, (112, 112, 118))
    back.band(back.horizon, back.horizon + 0.03, (200, 196, 190))
    for step in range(4):
        back.band(0.94, 0.965, (236, 232, 220), step * 0.27, step * 0.27 + 0.15)


def _snow(back: Backdrop) -> None:
    back.band(0, 1, (186, 204, 226))
    back.poly([(0, 0.62), (0.25, 0.2), (0.55, 0.66), (0.8, 0.28), (1, 0.55), (1, 1), (0, 1)], (146, 166, 196))
    back.poly([(0.25, 0.2), (0.34, 0.34), (0.16, 0.36)], (250, 252, 255))
    back.poly([(0.8, 0.28), (0.88, 0.4), (0.71, 0.4)], (250, 252, 255))
    back.disc(back.some(0.3, 0.7), back.horizon + 0.4, 0.95, (240, 246, 254), 0.44)
    for x, y in back.rng.uniform(0, 1, (16, 2)):
        back.disc(float(x), float(y) * back.horizon, 0.014, (255, 255, 255))


def _night(back: Backdrop) -> None:
    back.band(0, 1, (24, 28, 74))
    for x, y in back.rng.uniform(0, 1, (18, 2)):
        back.disc(float(x), float(y) * back.horizon * 0.95, 0.012, (255, 250, 200))
    x = back.some(0.78, 0.88)
    back.disc(x, 0.15, 0.09, (252, 244, 190))
    back.disc(x - 0.045, 0.13, 0.075, (24, 28, 74))
    back.band(back.horizon, 1, (40, 48, 66))


def _meadow(back: Backdrop) -> None:
    back.band(0, back.horizon, (166, 220, 250))
    back.disc(back.some(0.15, 0.3), back.horizon + 0.08, 0.42, (140, 200, 110), 0.24)
    back.disc(back.some(0.75, 0.9), back.horizon + 0.1, 0.4, (120, 186, 96), 0.3)
    back.band(back.horizon, 1, (118, 196, 84))
    for x, y in back.rng.uniform(0, 1, (9, 2)):
        level = back.horizon + 0.04 + float(y) * (0.93 - back.horizon)
        back.disc(float(x), level, 0.016, (255, 250, 220))


def _desert(back: Backdrop) -> None:
    back.band(0, back.horizon, (252, 196, 130))
    back.disc(0.5 + back.some(-0.35, 0.35), 0.2, 0.1, (255, 240, 190))
    left = back.some(0.1, 0.4)
    back.poly([(left - 0.4, back.horizon), (left, back.horizon - 0.3), (left + 0.5, back.horizon)], (222, 150, 84))
    back.band(back.horizon, 1, (230, 170, 96))
    x = 0.9 if left < 0.25 else 0.1
    back.band(back.horizon - 0.24, back.horizon + 0.04, (60, 116, 74), x - 0.025, x + 0.025)
    back.band(back.horizon - 0.14, back.horizon - 0.1, (60, 116, 74), x - 0.08, x)
    back.band(back.horizon - 0.2, back.horizon - 0.1, (60, 116, 74), x - 0.08, x - 0.045)


def _forest(back: Backdrop) -> None:
    back.band(0, 1, (52, 84, 66))
    for step in range(7):
        x = step / 6.5 + back.some(-0.03, 0.03)
        trunk = (64, 46, 40) if step % 2 else (86, 62, 50)
        back.band(0, back.horizon + 0.03, trunk, x - 0.035, x + 0.035)
    for step in range(6):
        back.disc(step / 5 + back.some(-0.05, 0.05), 0.02, 0.15, (30, 60, 44), 0.12)
    back.band(back.horizon, 1, (74, 70, 44))


def _room(back: Backdrop) -> None:
    back.band(0, back.horizon, (236, 206, 190))
    for step in range(8):
        x = step / 8 + 0.03
        back.band(0, back.horizon, (224, 186, 170), x, x + 0.05)
    x = back.some(0.06, 0.12) if back.rng.random() < 0.5 else back.some(0.66, 0.72)
    back.band(0.1, 0.42, (122, 80, 50), x, x + 0.24)
    back.band(0.13, 0.39, (190, 226, 244), x + 0.025, x + 0.215)
    back.band(0.13, 0.39, (122, 80, 50), x + 0.11, x + 0.13)
    back.band(back.horizon, 1, (158, 104, 66))
    back.band(back.horizon, back.horizon + 0.025, (250, 240, 226))
    back.disc(0.5, 0.95, 0.42, (184, 70, 70), 0.08)


def _small_tree(pen: Pen) -> None:
    pen.poly([(-0.08, 0), (0.08, 0), (0.08, 0.3), (-0.08, 0.3)], (110, 70, 44))
    pen.poly([(-0.36, 0.24), (0.36, 0.24), (0, 1.0)], (40, 112, 66))


def _bush(pen: Pen) -> None:
    pen.slice(0, 0.0, 0.5, 0.55, 180, 360, (72, 140, 60))


def _rock(pen: Pen) -> None:
    pen.poly([(-0.45, 0), (0.45, 0), (0.32, 0.36), (0.02, 0.52), (-0.34, 0.34)], (140, 138, 140))


def _cloud(pen: Pen) -> None:
    for x, size in ((-0.3, 0.2), (0.3, 0.2), (0.0, 0.3)):
        pen.dot(x, 0.4, size, (252, 252, 255))


def _gull(pen: Pen) -> None:
    pen.stroke([(-0.46, 0.5), (-0.2, 0.68), (0, 0.46), (0.2, 0.68), (0.46, 0.5)], 0.12, (60, 60, 70))


def _lantern(pen: Pen) -> None:
    pen.stroke([(0, 0), (0, 0.7)], 0.1, (50, 50, 60))
    pen.oval(0, 0.82, 0.2, 0.2, (255, 236, 150))


def _barrel(pen: Pen) -> None:
    pen.poly([(-0.22, 0), (0.22, 0), (0.3, 0.3), (0.22, 0.62), (-0.22, 0.62), (-0.3, 0.3)], (164, 104, 56))
    pen.stroke([(-0.28, 0.3), (0.28, 0.3)], 0.08, (80, 60, 50))


def _fence(pen: Pen) -> None:
    for x in (-0.36, 0.0, 0.36):
        pen.rect(x - 0.09, 0, x + 0.09, 0.62, (244, 236, 220))
    pen.stroke([(-0.5, 0.32), (0.5, 0.32)], 0.1, (244, 236, 220))


SETTINGS: Final[dict[str, Callable[[Backdrop], None]]] = {
    "sunny beach": _beach,
    "city street": _street,
    "snowy hill": _snow,
    "starry night": _night,
    "green meadow": _meadow,
    "dry desert": _desert,
    "dark forest": _forest,
    "cosy room": _room,
}
ELEMENTS: Final[dict[str, Callable[[Pen], None]]] = {
    "tree": _small_tree,
    "bush": _bush,
    "rock": _rock,
    "cloud": _cloud,
    "gull": _gull,
    "lantern": _lantern,
    "barrel": _barrel,
    "fence": _fence,
}
FLYING: Final[frozenset[str]] = frozenset({"cloud", "gull"})
"""Elements that hang in the sky; all others stand on the ground."""
