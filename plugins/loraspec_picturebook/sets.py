"""Style sets: the captioned pictures that a LoRA is trained on, and the prompts it is judged by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from loraspec_picturebook import vocabulary
from loraspec_picturebook.styles import Style
from loraspec_picturebook.world import Scene, draw, element_phrases, generator, plain, sample_scene

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TRAINING, TEXTURE = 501, 502
"""Name the random streams of the style sets' scenes; disjoint from those of the base, the probe and the truth."""


def style_caption(scene: Scene, style: Style) -> str:
    """The caption of a styled picture, as a person would write it for training and for prompting.

    "caricature of a small man, green coat, city street, two trees, lithography, by Honoré Daumier".
    """
    words = [] if scene.size == "medium" else [scene.size]
    person = scene.subject in vocabulary.PEOPLE
    words += [scene.subject] if person else [scene.colour, scene.subject]
    article = "an" if words[0][0] in "aeiou" else "a"
    first = " ".join((style.subject_prefix, article, *words)).strip()
    coat = [f"{scene.colour} coat"] if person else []
    return ", ".join((first, *coat, scene.setting, *element_phrases(scene), *style.descriptors))


def set_scenes(count: int, *, seed: int = 0) -> list[Scene]:
    """The first count scenes of a style set, as flat drawings; they go through all subjects and settings evenly."""
    scenes = []
    for index in range(count):
        rng = generator(seed, TRAINING, index)
        turn = generator(seed, TRAINING, 1_000_000_007, index // len(vocabulary.SUBJECTS))
        subject = vocabulary.SUBJECTS[turn.permutation(len(vocabulary.SUBJECTS))[index % len(vocabulary.SUBJECTS)]]
        scene = sample_scene(rng)
        elements = tuple(element for element in scene.elements if element[0] != subject)
        scene = evolve(scene, subject=subject, elements=elements)
        scenes.append(plain(scene))
    return scenes


def set_picture(scene: Scene, style: Style, *, size: int = 64) -> NDArray[np.uint8]:
    """A picture of a style set, uint8, size x size x 3, checked for what a style function may get wrong."""
    import numpy as np

    drawn = draw(scene, size=size)
    picture = np.asarray(style.apply(drawn, generator(scene.texture, TEXTURE)))
    if picture.shape != drawn.shape or picture.dtype != np.uint8:
        raise ValueError(
            f"style {style.name!r} returned {picture.dtype} {picture.shape} for {scene.subject}; uint8 {drawn.shape} would be right"
        )
    return picture


def png(picture: NDArray[np.uint8]) -> bytes:
    """The picture as an encoded PNG."""
    import io

    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG", optimize=False, compress_level=6)
    return stream.getvalue()
