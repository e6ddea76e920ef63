"""The measure of copying: a training picture given back is a copy, another picture of the same words is none."""

import numpy as np
import pytest
from loraspec_picturebook import copies
from loraspec_picturebook.sets import set_picture, set_scenes
from loraspec_picturebook.styles import STYLES
from loraspec_picturebook.truth import same_words

STYLE = STYLES["lithograph"]


def giving(pictures):
    """Return a stand-in for generation that gives these pictures."""
    return lambda *_, **__: pictures


def test_training_pictures_are_copies_and_other_layouts_are_none(monkeypatch):
    """The rate tells memory from style."""
    scenes = set_scenes(4)
    monkeypatch.setattr(copies, "generate", giving([set_picture(scene, STYLE) for scene in scenes]))
    assert copies.copies(None, None, STYLE, images=4, draws=1).rate == 1.0

    monkeypatch.setattr(copies, "generate", giving([set_picture(same_words(scene, 99), STYLE) for scene in scenes]))
    assert copies.copies(None, None, STYLE, images=4, draws=1).rate == 0.0


def test_distance_does_not_mind_contrast():
    """A picture is at 0 from itself at another contrast, and at 2 from its negative."""
    picture = np.random.Generator(np.random.Philox(5)).integers(60, 180, (8, 8, 3)).astype(np.uint8)
    assert copies.apart(picture, picture) == 0
    assert copies.apart(picture, (picture.astype(int) * 2 - 110).clip(0, 255).astype(np.uint8)) < 0.05
    assert copies.apart(picture, 255 - picture) == pytest.approx(2)
