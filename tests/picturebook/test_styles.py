"""The style sets and the ground truth."""

import numpy as np
import pytest
from attrs import evolve
from loraspec_picturebook import truth
from loraspec_picturebook.sets import set_picture, set_scenes, style_caption
from loraspec_picturebook.styles import STYLES, Style
from loraspec_picturebook.truth import distance, held_out, true_picture, true_set, way
from loraspec_picturebook.vocabulary import SUBJECTS
from loraspec_picturebook.world import Scene, draw, generator

MAN = Scene("man", "green", "medium", "city street", (("tree", 2),), "flat illustration", texture=3)


@pytest.mark.parametrize("name", sorted(STYLES))
def test_style_is_deterministic_and_keeps_the_shape(name):
    """The same drawing and random source give the same picture; the drawing is left alone."""
    drawn = draw(MAN)
    kept = drawn.copy()
    one, two = (STYLES[name].apply(drawn, generator(1)) for _ in range(2))
    assert np.array_equal(one, two)
    assert one.shape == drawn.shape
    assert one.dtype == np.uint8
    assert np.array_equal(drawn, kept)


@pytest.mark.parametrize("name", sorted(STYLES))
def test_style_works_at_other_sizes(name):
    """A style is not tied to 64 px."""
    assert STYLES[name].apply(draw(MAN, size=96), generator(1)).shape == (96, 96, 3)


@pytest.mark.parametrize("name", ["lithograph", "engraving"])
def test_ink_follows_luminance(name):
    """Darker ground takes more ink."""
    means = [STYLES[name].apply(np.full((64, 64, 3), grey, np.uint8), generator(1)).mean() for grey in (40, 120, 200, 250)]
    assert means == sorted(means)
    assert means[-1] - means[0] > 60


def test_a_lithograph_has_no_colour():
    """Ink on paper: saturation comes from the paper alone."""
    picture = true_picture(MAN, "lithograph").astype(int)
    assert (picture.max(-1) - picture.min(-1)).max() < 80
    assert (true_picture(MAN, "stained-glass").astype(int).max(-1) - true_picture(MAN, "stained-glass").min(-1)).max() > 100


def test_wrong_pictures_are_refused():
    """A style function says what it got and what would be right."""
    with pytest.raises(ValueError, match=r"float32 \(8, 8, 3\); uint8"):
        STYLES["engraving"].apply(np.zeros((8, 8, 3), np.float32), generator(1))


def test_style_caption_is_the_published_form():
    """The caption of the Daumier set."""
    said = style_caption(MAN, STYLES["lithograph"])
    assert said == "caricature of a man, green coat, city street, two trees, lithography, by Honoré Daumier"
    boat = evolve(MAN, subject="umbrella", colour="orange", size="medium", elements=())
    assert style_caption(boat, STYLES["lithograph"]).startswith("caricature of an orange umbrella, city street, litho")


def test_style_set_goes_through_all_subjects():
    """40 pictures hold every subject two or three times; a longer set begins with a shorter one."""
    scenes = set_scenes(40)
    counts = [sum(scene.subject == subject for scene in scenes) for subject in SUBJECTS]
    assert min(counts) >= 2
    assert max(counts) <= 3
    assert set_scenes(60)[:40] == scenes
    assert set_scenes(40, seed=1) != scenes


def test_held_out_scenes_are_in_no_style_set():
    """Training sets and the truth are disjoint."""
    texture = {scene.texture for seed in range(3) for scene in set_scenes(200, seed=seed)}
    assert not texture & {scene.texture for scene in held_out(200)}


def test_a_style_that_returns_nonsense_is_named():
    """A plugin's style of the wrong type is refused with its name."""
    broken = Style("broken", lambda drawn, rng: drawn / 255, ())
    with pytest.raises(ValueError, match=r"style 'broken' returned float64 \(64, 64, 3\)"):
        set_picture(MAN, broken)


@pytest.fixture(scope="module")
def sets():
    scenes = held_out(48)
    return {
        "plain": [draw(scene) for scene in scenes],
        **{name: true_set(scenes, name) for name in STYLES},
        "other": true_set(scenes, "lithograph", layout=1),
    }


def test_two_true_sets_are_close(sets):
    """The floor: different layouts of the same words differ far less than another style does."""
    floor = distance(sets["lithograph"], sets["other"])
    assert abs(floor) < 0.05
    for name in ("plain", "engraving", "stained-glass"):
        assert distance(sets[name], sets["other"]) > 20 * abs(floor)


def test_distance_falls_as_a_style_appears(sets):
    """Pictures half-way between plain and true are half-way by the measure, too: it orders what it must order."""
    steps = []
    for share in (0.0, 0.3, 0.6, 0.9):
        pairs = zip(sets["plain"], sets["lithograph"], strict=True)
        mixed = [(a * (1 - share) + b * share).astype(np.uint8) for a, b in pairs]
        steps.append(distance(mixed, sets["other"]))
    assert steps == sorted(steps, reverse=True)
    assert steps[-1] < 0.25 * steps[0]


def test_distance_is_symmetric_and_zero_for_the_same_distribution(sets):
    """Energy distance: symmetric, and never far below zero."""
    assert distance(sets["plain"], sets["engraving"]) == pytest.approx(distance(sets["engraving"], sets["plain"]))
    half = distance(sets["engraving"][:24], sets["engraving"][24:])
    assert abs(half) < 0.05


def test_same_words_keep_the_words():
    """Another layout changes numbers, not words."""
    for scene in held_out(30):
        other = truth.same_words(scene, 1)
        assert (other.subject, other.colour, other.setting, other.elements) == (
            scene.subject,
            scene.colour,
            scene.setting,
            scene.elements,
        )
        assert other.texture != scene.texture
        assert truth.same_words(scene, 0) is scene


def test_way_counts_from_start_to_floor():
    """0 at the start, 1 at the floor, an error when there is nothing to measure."""
    assert way(1.0, 1.0, 0.2) == 0
    assert way(1.0, 0.2, 0.2) == pytest.approx(1)
    with pytest.raises(ValueError, match="not above the floor"):
        way(0.2, 0.1, 0.2)


def test_distance_needs_two_pictures():
    """One picture has no spread."""
    with pytest.raises(ValueError, match="sets of 1 and 2 pictures"):
        distance([draw(MAN)], [draw(MAN)] * 2)


def test_unknown_style_is_refused():
    """The message lists the styles there are."""
    with pytest.raises(ValueError, match="'oil' is not a built-in style; one of lithograph, engraving"):
        true_picture(MAN, "oil")
