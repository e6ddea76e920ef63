"""How each subject is drawn with a pen: one function a subject, in the unit square of ``pen``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from loraspec_picturebook.pen import Pen, shade
from loraspec_picturebook.vocabulary import INK, RGB, SKIN

DARK: Final[RGB] = (70, 62, 78)
WOOD: Final[RGB] = (134, 88, 54)
GLASS: Final[RGB] = (206, 232, 244)
LEAF: Final[RGB] = (86, 130, 60)
CREAM: Final[RGB] = (246, 234, 206)


def _man(pen: Pen, colour: RGB) -> None:
    pen.rect(-0.13, 0.0, -0.02, 0.3, DARK)
    pen.rect(0.02, 0.0, 0.13, 0.3, DARK)
    pen.poly([(-0.2, 0.18), (0.2, 0.18), (0.17, 0.62), (-0.17, 0.62)], colour)
    pen.poly([(-0.17, 0.6), (-0.3, 0.3), (-0.22, 0.26), (-0.12, 0.5)], shade(colour, -0.15))
    pen.poly([(0.17, 0.6), (0.3, 0.3), (0.22, 0.26), (0.12, 0.5)], shade(colour, -0.15))
    pen.stroke([(0.0, 0.2), (0.0, 0.6)])
    pen.oval(0.0, 0.72, 0.12, 0.12, SKIN)
    pen.rect(-0.18, 0.79, 0.18, 0.83, DARK)
    pen.rect(-0.12, 0.83, 0.12, 1.0, DARK)
    pen.dot(-0.045, 0.73, 0.018)
    pen.dot(0.045, 0.73, 0.018)
    pen.stroke([(-0.06, 0.66), (0.06, 0.66)], 0.03)


def _woman(pen: Pen, colour: RGB) -> None:
    pen.oval(0.0, 0.8, 0.17, 0.17, WOOD)
    pen.rect(-0.17, 0.58, 0.17, 0.8, WOOD)
    pen.poly([(-0.36, 0.02), (0.36, 0.02), (0.09, 0.46), (0.12, 0.64), (-0.12, 0.64), (-0.09, 0.46)], colour)
    pen.stroke([(-0.13, 0.06), (-0.05, 0.4)], 0.02, shade(colour, -0.35))
    pen.stroke([(0.13, 0.06), (0.05, 0.4)], 0.02, shade(colour, -0.35))
    pen.stroke([(-0.11, 0.61), (-0.27, 0.4)], 0.07, SKIN)
    pen.stroke([(0.11, 0.61), (0.27, 0.4)], 0.07, SKIN)
    pen.oval(0.0, 0.77, 0.11, 0.13, SKIN)
    pen.slice(0.0, 0.82, 0.14, 0.12, 180, 360, WOOD)
    pen.dot(-0.04, 0.77, 0.018)
    pen.dot(0.04, 0.77, 0.018)


def _child(pen: Pen, colour: RGB) -> None:
    pen.rect(-0.12, 0.0, -0.02, 0.2, DARK)
    pen.rect(0.02, 0.0, 0.12, 0.2, DARK)
    pen.stroke([(-0.14, 0.4), (-0.36, 0.6)], 0.1, shade(colour, -0.15))
    pen.stroke([(0.14, 0.4), (0.36, 0.6)], 0.1, shade(colour, -0.15))
    pen.dot(-0.37, 0.62, 0.055, SKIN)
    pen.dot(0.37, 0.62, 0.055, SKIN)
    pen.poly([(-0.2, 0.15), (0.2, 0.15), (0.15, 0.46), (-0.15, 0.46)], colour)
    pen.oval(0.0, 0.68, 0.24, 0.24, SKIN)
    pen.slice(0.0, 0.76, 0.24, 0.18, 180, 360, colour)
    pen.dot(0.0, 0.95, 0.05, colour)
    pen.dot(-0.09, 0.67, 0.03)
    pen.dot(0.09, 0.67, 0.03)
    pen.stroke([(-0.06, 0.56), (0.06, 0.56)], 0.02)


def _house(pen: Pen, colour: RGB) -> None:
    pen.rect(0.18, 0.6, 0.3, 0.95, WOOD)
    pen.rect(-0.4, 0.0, 0.4, 0.52, colour)
    pen.poly([(-0.5, 0.5), (0.5, 0.5), (0.0, 0.95)], DARK)
    pen.rect(-0.09, 0.0, 0.13, 0.32, WOOD)
    pen.rect(-0.33, 0.2, -0.16, 0.38, GLASS)
    pen.rect(0.2, 0.2, 0.34, 0.38, GLASS)


def _castle(pen: Pen, colour: RGB) -> None:
    pen.rect(-0.3, 0.0, 0.3, 0.45, colour)
    for side in (-1, 1):
        left, right = sorted((side * 0.22, side * 0.48))
        pen.rect(left, 0.0, right, 0.62, shade(colour, -0.12))
        pen.poly([(left - 0.03, 0.62), (right + 0.03, 0.62), (side * 0.35, 0.98)], DARK)
        pen.rect(side * 0.35 - 0.04, 0.38, side * 0.35 + 0.04, 0.52, INK)
    for step in (-0.16, 0.0, 0.16):
        pen.rect(step - 0.05, 0.45, step + 0.05, 0.56, colour)
    pen.slice(0.0, 0.13, 0.12, 0.15, 180, 360, INK)
    pen.rect(-0.12, 0.0, 0.12, 0.14, INK)


def _boat(pen: Pen, colour: RGB) -> None:
    pen.stroke([(0.0, 0.2), (0.0, 1.0)], 0.04, WOOD)
    pen.poly([(0.04, 0.34), (0.04, 0.98), (0.4, 0.34)], CREAM)
    pen.poly([(-0.04, 0.34), (-0.04, 0.86), (-0.3, 0.34)], CREAM)
    pen.poly([(-0.5, 0.28), (0.5, 0.28), (0.32, 0.0), (-0.34, 0.0)], colour)
    pen.stroke([(-0.44, 0.19), (0.44, 0.19)], 0.03, shade(colour, -0.4))


def _car(pen: Pen, colour: RGB) -> None:
    pen.poly([(-0.28, 0.38), (-0.18, 0.66), (0.14, 0.66), (0.28, 0.38)], colour)
    pen.poly([(-0.21, 0.4), (-0.14, 0.6), (-0.03, 0.6), (-0.03, 0.4)], GLASS)
    pen.poly([(0.21, 0.4), (0.11, 0.6), (0.02, 0.6), (0.02, 0.4)], GLASS)
    pen.poly([(-0.5, 0.12), (0.5, 0.12), (0.5, 0.3), (0.42, 0.4), (-0.46, 0.4), (-0.5, 0.34)], colour)
    for x in (-0.28, 0.28):
        pen.oval(x, 0.12, 0.13, 0.13, INK)
        pen.dot(x, 0.12, 0.06, (200, 200, 205))
    pen.dot(0.45, 0.3, 0.04, (255, 244, 170))


def _tree(pen: Pen, colour: RGB) -> None:
    pen.poly([(-0.1, 0.0), (0.1, 0.0), (0.06, 0.45), (-0.06, 0.45)], WOOD)
    pen.oval(-0.22, 0.52, 0.22, 0.19, colour)
    pen.oval(0.22, 0.52, 0.22, 0.19, colour)
    pen.oval(0.0, 0.74, 0.28, 0.26, colour)
    for x, y in ((-0.1, 0.78), (0.1, 0.66), (-0.2, 0.5), (0.22, 0.5)):
        pen.dot(x, y, 0.04, shade(colour, -0.35))


def _flower(pen: Pen, colour: RGB) -> None:
    pen.stroke([(0.0, 0.0), (0.0, 0.55)], 0.06, LEAF)
    pen.poly([(0.0, 0.1), (0.26, 0.34), (0.1, 0.1)], LEAF)
    pen.poly([(0.0, 0.1), (-0.26, 0.34), (-0.1, 0.1)], LEAF)
    for x, y in ((0.0, 0.87), (0.22, 0.71), (0.14, 0.49), (-0.14, 0.49), (-0.22, 0.71)):
        pen.oval(x, y, 0.15, 0.14, colour)
    pen.oval(0.0, 0.66, 0.12, 0.12, (120, 70, 30))


def _mushroom(pen: Pen, colour: RGB) -> None:
    pen.poly([(-0.16, 0.0), (0.16, 0.0), (0.11, 0.5), (-0.11, 0.5)], CREAM)
    pen.slice(0.0, 0.46, 0.48, 0.5, 180, 360, colour)
    light = CREAM if min(colour) < 200 else DARK
    for x, y, size in ((0.0, 0.78, 0.08), (-0.26, 0.62, 0.06), (0.26, 0.62, 0.06)):
        pen.dot(x, y, size, light)


def _cat(pen: Pen, colour: RGB) -> None:
    pen.stroke([(0.22, 0.1), (0.42, 0.16), (0.42, 0.44), (0.34, 0.52)], 0.09, shade(colour, -0.15))
    pen.oval(0.04, 0.25, 0.26, 0.27, colour)
    pen.poly([(-0.3, 0.74), (-0.27, 1.0), (-0.1, 0.86)], colour)
    pen.poly([(0.2, 0.74), (0.17, 1.0), (0.0, 0.86)], colour)
    pen.oval(-0.05, 0.66, 0.27, 0.22, colour)
    pen.dot(-0.15, 0.7, 0.04)
    pen.dot(0.05, 0.7, 0.04)
    pen.poly([(-0.09, 0.61), (-0.01, 0.61), (-0.05, 0.56)], (240, 120, 130))
    for y in (0.56, 0.62):
        pen.stroke([(-0.4, y - 0.02), (-0.18, y)])
        pen.stroke([(0.3, y - 0.02), (0.08, y)])
    pen.stroke([(-0.06, 0.0), (-0.06, 0.2)])
    pen.stroke([(0.1, 0.0), (0.1, 0.2)])


def _bird(pen: Pen, colour: RGB) -> None:
    pen.stroke([(-0.02, 0.0), (-0.02, 0.26)], 0.03, (210, 120, 30))
    pen.stroke([(0.1, 0.0), (0.1, 0.26)], 0.03, (210, 120, 30))
    pen.poly([(-0.2, 0.5), (-0.5, 0.72), (-0.48, 0.42)], shade(colour, -0.2))
    pen.oval(0.0, 0.44, 0.32, 0.22, colour)
    pen.poly([(0.34, 0.8), (0.52, 0.72), (0.34, 0.66)], (246, 170, 30))
    pen.oval(0.22, 0.74, 0.17, 0.17, colour)
    pen.poly([(0.08, 0.52), (-0.3, 0.6), (-0.12, 0.3)], shade(colour, -0.3))
    pen.dot(0.27, 0.78, 0.035)


def _fish(pen: Pen, colour: RGB) -> None:
    pen.poly([(-0.2, 0.42), (-0.5, 0.72), (-0.44, 0.42), (-0.5, 0.12)], shade(colour, -0.2))
    pen.poly([(-0.1, 0.6), (0.04, 0.84), (0.2, 0.6)], shade(colour, -0.2))
    pen.oval(0.1, 0.42, 0.38, 0.25, colour)
    pen.stroke([(0.16, 0.62), (0.1, 0.42), (0.16, 0.22)])
    for x in (-0.16, -0.03):
        pen.stroke([(x + 0.04, 0.52), (x, 0.42), (x + 0.04, 0.32)], 0.02, shade(colour, -0.4))
    pen.dot(0.3, 0.5, 0.065, (255, 255, 255))
    pen.dot(0.31, 0.5, 0.035)


def _balloon(pen: Pen, colour: RGB) -> None:
    pen.stroke([(-0.24, 0.5), (-0.09, 0.18)])
    pen.stroke([(0.24, 0.5), (0.09, 0.18)])
    pen.poly([(-0.3, 0.5), (0.3, 0.5), (0.1, 0.28), (-0.1, 0.28)], colour)
    pen.oval(0.0, 0.65, 0.36, 0.35, colour)
    pen.oval(0.0, 0.65, 0.14, 0.35, shade(colour, -0.22))
    pen.rect(-0.1, 0.02, 0.1, 0.18, WOOD)


def _umbrella(pen: Pen, colour: RGB) -> None:
    pen.stroke([(0.0, 0.96), (0.0, 0.08), (0.06, 0.02), (0.13, 0.04), (0.14, 0.12)], 0.05, WOOD)
    pen.slice(0.0, 0.5, 0.5, 0.44, 180, 360, colour)
    for x in (-0.34, 0.0, 0.34):
        pen.slice(x, 0.49, 0.165, 0.08, 180, 360, shade(colour, -0.45))
    pen.stroke([(0.0, 0.94), (-0.17, 0.5)])
    pen.stroke([(0.0, 0.94), (0.17, 0.5)])


def _teapot(pen: Pen, colour: RGB) -> None:
    pen.poly([(0.2, 0.26), (0.5, 0.62), (0.4, 0.66), (0.16, 0.46)], shade(colour, -0.15))
    pen.stroke([(-0.24, 0.56), (-0.46, 0.54), (-0.46, 0.26), (-0.24, 0.2)], 0.08, shade(colour, -0.25))
    pen.oval(0.0, 0.36, 0.33, 0.33, colour)
    pen.rect(-0.18, 0.0, 0.18, 0.07, shade(colour, -0.25))
    pen.slice(0.0, 0.66, 0.2, 0.12, 180, 360, shade(colour, -0.15))
    pen.dot(0.0, 0.81, 0.06, INK)


PAINTERS: Final[dict[str, Callable[[Pen, RGB], None]]] = {
    "man": _man,
    "woman": _woman,
    "child": _child,
    "house": _house,
    "castle": _castle,
    "boat": _boat,
    "car": _car,
    "tree": _tree,
    "flower": _flower,
    "mushroom": _mushroom,
    "cat": _cat,
    "bird": _bird,
    "fish": _fish,
    "balloon": _balloon,
    "umbrella": _umbrella,
    "teapot": _teapot,
}
