"""The sweet-spot experiment: its cases, the truth of a cell, its tables."""

from pathlib import Path

import numpy as np
import pytest
from loraspec_picturebook.experiment import page, table
from loraspec_picturebook.experiment.cases import Case, cases, plugin_styles, prompts_of, scenes_of, spec_of, style_of, training_scenes
from loraspec_picturebook.experiment.truth import Distance, Near, shape_of
from loraspec_picturebook.sets import set_picture
from loraspec_picturebook.styles import STYLES
from loraspec_picturebook.truth import held_out, same_words, true_picture, true_set

ROOT = Path(__file__).parents[2]
FIRST = list(cases())[:16]
MEMORISING = Case("lithograph", 4, "memorise", 1)


def test_the_first_cases_hold_every_kind():
    """Five styles, four sizes, four strengths and two training seeds, whoever stops after sixteen."""
    assert {case.style for case in FIRST} == {*STYLES, *(style.name for style in plugin_styles(ROOT))}
    assert {case.images for case in FIRST} == {4, 8, 16, 34}
    assert {case.strength for case in FIRST} == {"weak", "guide", "strong", "memorise"}
    assert {case.seed for case in FIRST} == {1, 2}
    assert len({case.name for case in cases()}) == len(list(cases()))


@pytest.mark.parametrize("case", FIRST[:4], ids=lambda case: case.name)
def test_a_spec_plans_what_the_case_says(case, tmp_path):
    """The file is valid, trains on so many pictures, holds out the rest, and judges prompts that it does not train on."""
    from loraspec.plan import resolve

    (tmp_path / "styles.py").write_bytes((ROOT / "docs/experiments/styles.py").read_bytes())
    spec = tmp_path / "spec.toml"
    spec.write_text(spec_of(case, ROOT, judged=True), encoding="utf-8")
    plan = resolve(spec)
    assert {item.key for item in plan.data.images} == set(training_scenes(case))
    assert len(plan.data.images) == case.images
    assert plan.grid.judged_prompts == tuple(prompts_of(case, ROOT))
    assert plan.grid.judged_weights == (0.8, 0.9, 1.0, 1.15)


def test_prompts_near_to_training_have_another_colour_and_layout():
    """Half of a memorising case's prompts; their true pictures are none of the training pictures."""
    near = scenes_of(MEMORISING)[:4]
    for scene, own in zip(near, training_scenes(MEMORISING).values(), strict=True):
        assert (scene.subject, scene.setting) == (own.subject, own.setting)
        assert (scene.colour, scene.texture) != (own.colour, own.texture)


def test_copies_are_told_from_true_pictures():
    """A training picture at another contrast is a copy; other layouts of the same words are none, beyond chance."""
    style = STYLES["lithograph"]
    scenes = scenes_of(MEMORISING)[:4]
    trained = [set_picture(scene, style) for scene in training_scenes(MEMORISING).values()]
    true = [picture for layout in range(24) for picture in true_set(scenes, style, layout=layout)]
    near = Near.of(trained, true, len(scenes))
    faded = [(picture.astype(float) * 0.7 + 30).round().astype(np.uint8) for picture in trained]
    others = [true_picture(same_words(scene, layout), style) for scene in scenes for layout in (500, 501, 502, 503)]
    assert near.share(faded) == 1
    assert near.share(others) < 0.2
    assert np.linalg.norm(shape_of(faded[0]) - shape_of(trained[0])) < 0.1


def test_distance_is_that_of_sets():
    """About 0 for true pictures of other layouts, far for another style; the part that is computed once changes nothing."""
    from loraspec_picturebook.truth import distance

    scenes = held_out(8, seed=5)
    style = style_of("riso", ROOT)
    true = [picture for layout in range(4) for picture in true_set(scenes, style, layout=layout)]
    other = true_set(scenes, "engraving", layout=9)
    measure = Distance.of(true)
    assert measure.to(other) == pytest.approx(distance(other, true), abs=1e-4)
    assert abs(measure.to(true_set(scenes, style, layout=9))) < 0.2 * measure.to(other)


def test_spearman_has_mean_ranks_and_says_when_there_is_none():
    """As everybody defines it."""
    rising, falling = np.array([0.0, 1, 2, 3]), np.array([9.0, 7, 5, 1])
    assert table.spearman(rising, rising**3) == pytest.approx(1)
    assert table.spearman(rising, falling) == pytest.approx(-1)
    assert table.spearman(np.array([1.0, 2, 2, 3]), rising) == pytest.approx(0.948683)
    assert table.spearman(rising, np.ones(4)) is None


def test_regret_is_nothing_for_the_best_and_one_for_the_median():
    """Undefined where no choice is better than another."""
    truth = np.array([0.1, 0.5, 0.9, 0.5, 0.2])
    assert [table.regret(truth, epoch) for epoch in (2, 1)] == [0, pytest.approx(1)]
    assert table.regret(np.full(5, 0.4), 0) is None


def test_a_page_keeps_its_words():
    """Tables are exchanged between their marks; what a person wrote around them stays."""
    first = page.markdown_of([], before="# Title\n\nwords\n")
    assert first.startswith("# Title\n\nwords\n")
    again = page.markdown_of([], before=first + "after\n")
    assert again == first + "after\n"
