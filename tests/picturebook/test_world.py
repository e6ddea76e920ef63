"""The procedural world: scenes, pictures, captions."""

import subprocess
import sys

import numpy as np
import pytest
from attrs import evolve
from loraspec_picturebook import vocabulary
from loraspec_picturebook.world import Scene, caption, draw, generator, plain, sample_scene

BOAT = Scene("boat", "red", "small", "sunny beach", (("tree", 2),), "flat illustration", texture=5)


def scenes(count):
    return [sample_scene(generator(11, index)) for index in range(count)]


def test_caption_is_in_the_guides_form():
    """Subject with size and colour first, then setting, elements, manner."""
    assert caption(BOAT) == "small red boat, sunny beach, two trees, flat illustration"
    assert caption(BOAT, manner="", size=False) == "red boat, sunny beach, two trees"


def test_peoples_colour_is_their_coat():
    """A coat is in the subject phrase, or a descriptor of its own."""
    man = evolve(BOAT, subject="man", colour="orange", elements=())
    assert caption(man, manner="") == "small man in an orange coat, sunny beach"
    assert caption(man, manner="", coat="apart") == "small man, orange coat, sunny beach"


def test_scenes_depend_on_the_generator_alone():
    """The same key gives the same scenes, another key others."""
    assert scenes(20) == scenes(20)
    assert scenes(20) != [sample_scene(generator(12, index)) for index in range(20)]


def test_every_word_is_sampled_about_equally():
    """600 scenes hold every subject, colour, size, setting and manner, none of them twice as often as expected."""
    many = scenes(600)
    for what, known in (
        ("subject", vocabulary.SUBJECTS),
        ("colour", vocabulary.COLOURS),
        ("size", vocabulary.SIZES),
        ("setting", vocabulary.SETTINGS),
        ("manner", vocabulary.MANNERS),
    ):
        counts = [sum(getattr(scene, what) == word for scene in many) for word in known]
        assert min(counts) > 0.4 * 600 / len(known), what
        assert max(counts) < 2 * 600 / len(known), what


def test_no_scene_repeats_its_subject_as_an_element():
    """A tree never stands beside counted trees: the caption would be ambiguous."""
    assert not [scene for scene in scenes(500) if any(name == scene.subject for name, _ in scene.elements)]


def test_drawing_twice_gives_the_same_pixels():
    """Every manner is deterministic in the scene."""
    for manner in vocabulary.MANNERS:
        scene = evolve(BOAT, manner=manner)
        assert np.array_equal(draw(scene), draw(scene)), manner


@pytest.mark.parametrize("size", [32, 64, 96])
def test_picture_has_the_size_asked_for(size):
    """uint8, square, three channels."""
    picture = draw(BOAT, size=size)
    assert picture.shape == (size, size, 3)
    assert picture.dtype == np.uint8


@pytest.mark.parametrize("subject", vocabulary.SUBJECTS)
def test_subject_shows_its_colour(subject):
    """Changing the colour alone changes a good part of the picture, towards that colour."""
    red = draw(evolve(BOAT, subject=subject, size="large", elements=())).astype(int)
    blue = draw(evolve(BOAT, subject=subject, colour="blue", size="large", elements=())).astype(int)
    changed = (np.abs(red - blue).max(-1) > 60).mean()
    assert changed > 0.03
    where = np.abs(red - blue).max(-1) > 60
    assert red[where][:, 0].mean() > blue[where][:, 0].mean() + 50
    assert blue[where][:, 2].mean() > red[where][:, 2].mean() + 50


def test_every_word_changes_the_picture():
    """No two subjects, settings or manners look alike."""
    for what, known in (("subject", vocabulary.SUBJECTS), ("setting", vocabulary.SETTINGS), ("manner", vocabulary.MANNERS)):
        pictures = [draw(evolve(BOAT, elements=(), **{what: word})).astype(int) for word in known]
        for i, one in enumerate(pictures):
            for other in pictures[:i]:
                assert np.abs(one - other).mean() > 1, what


def test_elements_are_drawn():
    """Each secondary element leaves a mark, and more of it a larger one."""
    bare = draw(evolve(BOAT, elements=())).astype(int)
    for name in vocabulary.ELEMENTS:
        one, three = (np.abs(draw(evolve(BOAT, elements=((name, n),))).astype(int) - bare).mean() for n in (1, 3))
        assert 0 < one < three, name


def test_plain_changes_the_manner_only():
    """Styles are laid over a flat illustration of the same scene."""
    assert plain(evolve(BOAT, manner="soft pastel")) == BOAT


@pytest.mark.parametrize(
    ("change", "said"),
    [({"subject": "dragon"}, "Scene.subject: 'dragon'"), ({"elements": (("tree", 4),)}, "4 x 'tree'")],
)
def test_unknown_words_are_refused(change, said):
    """A scene says which field is wrong and what is known."""
    with pytest.raises(ValueError, match=said):
        evolve(BOAT, **change)


def test_importing_the_hooks_loads_nothing_heavy():
    """Planning must not import torch or Pillow."""
    code = (
        "import sys, loraspec_picturebook.hooks, loraspec_picturebook.sets; "
        "loaded = {'torch', 'PIL', 'diffusers', 'transformers', 'numpy'} & set(sys.modules); assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
