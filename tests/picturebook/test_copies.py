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


def test_distance_of_pixels():
    """Equal pictures are at 0, black and white at 255."""
    black, white = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
    assert copies.apart(black, black) == 0
    assert copies.apart(black, white) == pytest.approx(255)
