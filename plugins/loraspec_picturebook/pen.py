"""A pen on a Pillow canvas, in the subject's own coordinates.

The unit square: x from -0.5 (left) to 0.5 (right), y from 0 (ground) to 1 (top). The pen scales it to the
subject's height, mirrors it when asked, and puts its ground line at the given point of the canvas.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from loraspec_picturebook.vocabulary import INK, RGB

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

Point = tuple[float, float]


def shade(colour: RGB, amount: float) -> RGB:
    """The colour moved towards black (amount -1 to 0) or towards white (0 to 1)."""
    goal = 255 if amount > 0 else 0
    share = abs(amount)
    red, green, blue = (round(value + (goal - value) * share) for value in colour)
    return red, green, blue


@frozen
class Pen:
    """Draws shapes of one subject. x, y, side and line are canvas pixels; side is the length of one unit."""

    draw: ImageDraw
    x: float
    y: float
    side: float
    mirrored: bool = False
    line: int = 3
    ink: RGB = INK

    def place(self, point: Point) -> Point:
        """Canvas pixels of a point of the unit square."""
        sign = -1.0 if self.mirrored else 1.0
        return self.x + sign * point[0] * self.side, self.y - point[1] * self.side

    def poly(self, points: Sequence[Point], fill: RGB) -> None:
        """A filled polygon with an ink outline."""
        placed = [self.place(point) for point in points]
        self.draw.polygon(placed, fill=fill)
        self.draw.line([*placed, placed[0], placed[1]], fill=self.ink, width=self.line, joint="curve")

    def rect(self, left: float, bottom: float, right: float, top: float, fill: RGB) -> None:
        """A filled rectangle with an ink outline."""
        self.poly([(left, bottom), (right, bottom), (right, top), (left, top)], fill)

    def oval(self, x: float, y: float, wide: float, high: float, fill: RGB) -> None:
        """A filled ellipse with an ink outline around (x, y), with the given radii."""
        self.draw.ellipse(self._box(x, y, wide, high), fill=fill, outline=self.ink, width=self.line)

    def slice(self, x: float, y: float, wide: float, high: float, start: float, end: float, fill: RGB) -> None:
        """A filled chord of an ellipse; angles in degrees, clockwise from the right as Pillow counts them."""
        if self.mirrored:
            start, end = 180.0 - end, 180.0 - start
        self.draw.chord(self._box(x, y, wide, high), start, end, fill=fill, outline=self.ink, width=self.line)

    def stroke(self, points: Sequence[Point], wide: float = 0.0, fill: RGB | None = None) -> None:
        """An open line; wide is in units, 0 for the thinnest."""
        width = max(self.line, round(wide * self.side))
        self.draw.line([self.place(point) for point in points], fill=fill or self.ink, width=width, joint="curve")

    def dot(self, x: float, y: float, radius: float, fill: RGB | None = None) -> None:
        """A small disc without an outline."""
        self.draw.ellipse(self._box(x, y, radius, radius), fill=fill or self.ink)

    def _box(self, x: float, y: float, wide: float, high: float) -> tuple[float, float, float, float]:
        middle_x, middle_y = self.place((x, y))
        return (
            middle_x - wide * self.side,
            middle_y - high * self.side,
            middle_x + wide * self.side,
            middle_y + high * self.side,
        )
