"""The picture-book's world: scenes, their pictures and their captions.

A scene is a handful of words and layout numbers. ``draw`` turns it into pixels, always the same ones; nothing here
keeps state, and Pillow is imported when the first picture is drawn.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from loraspec_picturebook import vocabulary as words

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator
    from numpy.typing import NDArray

OVERSAMPLING = 3
"""Canvas pixels per picture pixel while drawing."""


@frozen
class Scene:
    """One picture in words and numbers.

    x is the subject's middle and ground its foot line, both as fractions of the side (0 left or top, 1 right or
    bottom); horizon is where the setting's ground begins; texture seeds what has no name (stars, grain).
    """

    subject: str
    colour: str
    size: str
    setting: str
    elements: tuple[tuple[str, int], ...]
    manner: str
    x: float = 0.5
    ground: float = 0.93
    horizon: float = 0.66
    mirrored: bool = False
    texture: int = 0

    def __attrs_post_init__(self) -> None:
        """Refuses words that the world does not know."""
        for value, known, what in (
            (self.subject, words.SUBJECTS, "subject"),
            (self.colour, words.COLOURS, "colour"),
            (self.size, words.SIZES, "size"),
            (self.setting, words.SETTINGS, "setting"),
            (self.manner, words.MANNERS, "manner"),
        ):
            if value not in known:
                raise ValueError(f"Scene.{what}: {value!r} is not one of {', '.join(known)}")
        for element, count in self.elements:
            if element not in words.ELEMENTS or count not in words.COUNTS:
                raise ValueError(f"Scene.elements: {count} x {element!r}; counts 1 to 3 of {', '.join(words.ELEMENTS)}")


def generator(*key: int) -> Generator:
    """A NumPy generator (Philox) that depends on the given integers and on nothing else."""
    import numpy as np

    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def sample_scene(rng: Generator) -> Scene:
    """A random scene: every word equally likely, none to two kinds of secondary elements."""

    def pick(options: tuple[str, ...]) -> str:
        return options[int(rng.integers(len(options)))]

    subject = pick(words.SUBJECTS)
    size = pick(tuple(words.SIZES))
    kinds = [name for name in words.ELEMENTS if name != subject]
    order = [kinds[i] for i in rng.permutation(len(kinds))[: int(rng.choice(3, p=(0.25, 0.5, 0.25)))]]
    free = 0.5 * (1.0 - words.SIZES[size]) * 0.45
    return Scene(
        subject=subject,
        colour=pick(tuple(words.COLOURS)),
        size=size,
        setting=pick(words.SETTINGS),
        elements=tuple((name, int(rng.integers(1, 4))) for name in order),
        manner=pick(words.MANNERS),
        x=0.5 + float(rng.uniform(-free, free)),
        ground=0.94 + float(rng.uniform(-0.02, 0.02)),
        horizon=0.66 + float(rng.uniform(-0.03, 0.03)),
        mirrored=bool(rng.random() < 0.5),
        texture=int(rng.integers(2**31)),
    )


def plain(scene: Scene) -> Scene:
    """The same scene as a flat illustration; styles are laid over this."""
    return evolve(scene, manner="flat illustration")


def draw(scene: Scene, *, size: int = 64) -> NDArray[np.uint8]:
    """The scene's picture: uint8, size x size x 3, sRGB. The same scene gives the same pixels."""
    import numpy as np
    from PIL import Image, ImageDraw

    from loraspec_picturebook.manners import MANNERS
    from loraspec_picturebook.settings import SETTINGS, Backdrop
    from loraspec_picturebook.subjects import PAINTERS

    if size < 16:
        raise ValueError(f"draw: size is {size} px; 16 or more")
    side = size * OVERSAMPLING
    canvas = Image.new("RGB", (side, side))
    brush = ImageDraw.Draw(canvas)
    rng = generator(scene.texture, 1)
    SETTINGS[scene.setting](Backdrop(brush, side, scene.horizon, rng))
    _draw_elements(scene, brush, side, rng)
    from loraspec_picturebook.pen import Pen

    pen = Pen(
        brush,
        scene.x * side,
        scene.ground * side,
        words.SIZES[scene.size] * side,
        mirrored=scene.mirrored,
        line=max(1, round(side / 64)),
    )
    PAINTERS[scene.subject](pen, words.COLOURS[scene.colour])
    picture = np.asarray(canvas.reduce(OVERSAMPLING), dtype=np.float32) / 255
    finished = MANNERS[scene.manner](picture, generator(scene.texture, 2))
    return (finished.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def _draw_elements(scene: Scene, brush: object, side: int, rng: Generator) -> None:
    from PIL.ImageDraw import ImageDraw

    from loraspec_picturebook.pen import Pen
    from loraspec_picturebook.settings import ELEMENTS, FLYING

    assert isinstance(brush, ImageDraw)
    spots = [0.1, 0.9, 0.24, 0.76, 0.38, 0.62]
    flying, standing = list(spots), list(spots)
    for name, count in scene.elements:
        for _ in range(count):
            places = flying if name in FLYING else standing
            spot = places.pop(0) + float(rng.uniform(-0.03, 0.03))
            level = 0.2 + float(rng.uniform(-0.06, 0.06)) if name in FLYING else scene.horizon + 0.05
            line = max(1, round(side / 96))
            ELEMENTS[name](Pen(brush, spot * side, level * side, 0.22 * side, line=line))


@functools.cache
def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def subject_phrase(scene: Scene, *, size: bool = True, coat: str = "in") -> str:
    """The first descriptor: "small red boat", and "small man in a green coat" for people.

    With ``coat="apart"`` people read "small man" and the coat is left to its own descriptor.
    """
    prefix = f"{scene.size} " if size else ""
    if scene.subject not in words.PEOPLE:
        return f"{prefix}{scene.colour} {scene.subject}"
    if coat == "apart":
        return f"{prefix}{scene.subject}"
    return f"{prefix}{scene.subject} in {_article(scene.colour)} {scene.colour} coat"


def element_phrases(scene: Scene) -> list[str]:
    """The secondary elements: ["two trees", "one gull"]."""
    return [f"{words.COUNTS[count]} {name if count == 1 else words.ELEMENTS[name]}" for name, count in scene.elements]


def caption(scene: Scene, *, manner: str | None = None, size: bool = True, coat: str = "in") -> str:
    """The caption: subject first, then setting, elements, and the manner last ("" leaves the manner out)."""
    parts = [subject_phrase(scene, size=size, coat=coat)]
    if coat == "apart" and scene.subject in words.PEOPLE:
        parts.append(f"{scene.colour} coat")
    parts += [scene.setting, *element_phrases(scene)]
    last = scene.manner if manner is None else manner
    return ", ".join([*parts, last] if last else parts)
