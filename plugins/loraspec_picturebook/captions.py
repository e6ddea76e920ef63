"""The captions that the base is trained on: the world's captions, varied so that the base reads many forms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loraspec_picturebook import vocabulary
from loraspec_picturebook.words import STYLE_WORDS
from loraspec_picturebook.world import Scene, element_phrases, subject_phrase

if TYPE_CHECKING:
    from numpy.random import Generator

EMPTY = 0.1
"""Share of empty captions, which is what guidance compares with."""


def training_caption(scene: Scene, rng: Generator) -> str:
    """A random form of the scene's caption.

    The subject stays first; the other descriptors are shuffled, sometimes dropped, and now and then joined by words
    that mean nothing here, so that a word the base does not know leaves the known ones in peace.
    """
    if rng.random() < EMPTY:
        return ""
    apart = scene.subject in vocabulary.PEOPLE and rng.random() < 0.5
    first = subject_phrase(scene, size=bool(rng.random() > 0.1), coat="apart" if apart else "in")
    chance = float(rng.random())
    if chance < 0.12:
        first = f"a {first}"
    elif chance < 0.24:
        first = f"{('picture', 'drawing', 'illustration')[int(rng.integers(3))]} of a {first}"
    elif chance < 0.36:
        first = f"{_junk(rng)} of a {first}"
    rest = [f"{scene.colour} coat"] if apart else []
    rest += [part for part in (scene.setting, *element_phrases(scene), scene.manner) if rng.random() > 0.1]
    if rng.random() < 0.25:
        rest += [_junk(rng) for _ in range(int(rng.integers(1, 3)))]
    if rng.random() < 0.7:
        rest = [rest[index] for index in rng.permutation(len(rest))]
    return ", ".join((first, *rest))


def _junk(rng: Generator) -> str:
    """One to three words without a meaning here: known to the tokenizer, or random letters."""
    known = STYLE_WORDS.split()
    parts = []
    for _ in range(int(rng.integers(1, 4))):
        if rng.random() < 0.8:
            parts.append(known[int(rng.integers(len(known)))])
        else:
            parts.append("".join(chr(97 + int(code)) for code in rng.integers(0, 26, int(rng.integers(3, 8)))))
    return " ".join(parts)
