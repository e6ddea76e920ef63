"""The caption experiment: what its arms write, what its page says of numbers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from loraspec_picturebook.sets import set_scenes, style_caption
from loraspec_picturebook.styles import STYLES
from loraspec_picturebook.wording.arms import ARMS, FORMS, IMAGES, SEEDS, STYLE_NAMES, bare, fused, late, written
from loraspec_picturebook.wording.measure import READ, readings
from loraspec_picturebook.wording.page import BEGIN, END, STUDENT, differences, interval, json_of, markdown_of

from loraspec.forecast import all_warnings
from loraspec.plan import resolve

STYLE = STYLES["lithograph"]
SCENES = set_scenes(IMAGES, seed=1)


def words(text: str) -> set[str]:
    return set(text.replace(",", " ").split()) - {"a", "an", "in", "with", "and"}


def test_captions_differ_in_what_the_arms_are_named_for() -> None:
    """Bare says less; fused says every word without commas between the elements; both keep the style's descriptors."""
    for scene in SCENES:
        full = style_caption(scene, STYLE)
        assert words(fused(scene, STYLE)) == words(full)
        assert len(fused(scene, STYLE).split(", ")) == 1 + len(STYLE.descriptors)
        assert len(bare(scene, STYLE).split(", ")) == 1 + len(STYLE.descriptors)
        assert words(bare(scene, STYLE)) < words(full)
        assert len(full.split(", ")) > 1 + len(STYLE.descriptors)
        for caption in (full, bare(scene, STYLE), fused(scene, STYLE)):
            assert caption.endswith(", ".join(STYLE.descriptors))
            assert scene.subject in caption.split(", ")[0]


def test_late_moves_the_setting_behind_everything() -> None:
    """The same descriptors, in an order that training without shuffling never had."""
    for scene in SCENES:
        full, moved = (form(scene, STYLE).split(", ") for form in (style_caption, late))
        assert sorted(moved) == sorted(full)
        assert moved[-1] == scene.setting
        assert full[-1] != scene.setting
    assert set(FORMS) == {"own", "late"}


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.name)
def test_specs_of_the_arms_are_specs(tmp_path: Path, arm: Any) -> None:
    """They resolve without a word; only captions and shuffling differ, the draws of a seed are the same."""
    plan = resolve(written(arm, "lithograph", 2, tmp_path))
    assert {problem.code for problem in all_warnings(plan)} <= {"W-GRID-TAG"}
    assert len(plan.data.images) == IMAGES
    assert bool(plan.many("caption_transform")) == arm.shuffled
    assert plan.spec.run.seed == 2


def row(seed: int, arm: str, **values: float) -> dict[str, Any]:
    """Return the numbers of one run: what is not given is 0.5."""
    found = {f"{form} {what}": 0.5 for form in FORMS for what in (*READ, "distance")}
    found |= {f"true {what}": 0.9 for what in READ} | {"floor": 0.1}
    return {"style": STYLE_NAMES[0], "seed": seed, "arm": arm, **found, **{key.replace("_", " "): value for key, value in values.items()}}


def test_readings_are_relative_to_the_base() -> None:
    """Style is the share of the way from the base to a true set: 0 at the base, 1 at the floor."""
    base = row(1, "base", own_distance=1.1)
    assert readings(base, base)["own style"] == pytest.approx(0.0)
    assert readings(row(1, "guide", own_distance=0.1), base)["own style"] == pytest.approx(1.0)
    assert readings(row(1, "guide", own_setting=0.8, late_setting=0.5), base)["setting lost when late"] == pytest.approx(0.3)


def test_intervals_are_students() -> None:
    """Against values worked out by hand: mean 3, deviation sqrt(2.5), five values."""
    mean, half = interval([1, 2, 3, 4, 5])
    assert mean == 3
    assert half == pytest.approx(2.776 * math.sqrt(2.5) / math.sqrt(5))
    assert interval([7]) == (7, math.inf)
    assert len(STUDENT) == len(SEEDS) - 1
    with pytest.raises(ValueError, match="no value"):
        interval([])


def test_differences_are_paired_by_seed() -> None:
    """A seed whose arms are not all there is left out; each difference is to the guide's run of that seed."""
    rows = [row(seed, arm) for seed in (1, 2) for arm in ("base", *(arm.name for arm in ARMS))]
    rows = [one for one in rows if (one["seed"], one["arm"]) not in ((1, "bare"), (1, "guide"), (2, "bare"), (2, "guide"))]
    rows += [row(1, "guide", own_colour=0.7), row(2, "guide", own_colour=0.6)]
    rows += [row(seed, "bare", own_colour=0.4) for seed in (1, 2)]
    seeds, found = differences([*rows, row(3, "guide")])
    assert seeds == [1, 2]
    assert found["guide"]["own colour"] == pytest.approx([0.7, 0.6])
    assert found["bare"]["own colour"] == pytest.approx([-0.3, -0.2])


def test_tables_are_put_between_the_marks() -> None:
    """What a person wrote around them stays; what an interval leaves 0 out of is bold."""
    rows = [row(seed, arm.name) for seed in (1, 2, 3) for arm in ARMS if arm.name != "bare"] + [row(seed, "base") for seed in (1, 2, 3)]
    rows += [row(seed, "bare", own_colour=0.2 + seed / 1000) for seed in (1, 2, 3)]
    page = markdown_of(rows, before=f"# Title\n\nBefore.\n\n{BEGIN}\nold\n{END}\n\nAfter.\n")
    assert page.startswith("# Title\n\nBefore.\n\n")
    assert page.endswith("\n\nAfter.\n")
    assert "old" not in page
    assert "**-0.298 ± 0.002**" in page
    assert "+0.000 ± 0.000" in page
    assert f"{STYLE_NAMES[0]}, 3 seeds" in page
    assert markdown_of(rows, before=page) == page
    two = markdown_of([one for one in rows if one["seed"] < 3], before="")
    assert "-0.298" in two
    assert "**" not in two
    assert '"own colour": 0.201' in json_of(rows)


def test_the_committed_page_is_that_of_its_numbers() -> None:
    """``make wording`` writes both."""
    folder = Path(__file__).parents[2] / "docs" / "experiments"
    rows = json.loads((folder / "captions.json").read_text(encoding="utf-8"))["runs"]
    page = (folder / "captions.md").read_text(encoding="utf-8")
    assert markdown_of(rows, before=page) == page
