"""The sweet-spot experiment: its cases, the truth of a cell, its tables."""

from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from loraspec_picturebook.experiment import page, table
from loraspec_picturebook.experiment.cases import (
    LOOKED_AT,
    Case,
    cases,
    cases_of,
    plugin_styles,
    prompts_of,
    scenes_of,
    spec_of,
    style_of,
    training_scenes,
)
from loraspec_picturebook.experiment.cases import STYLE_FILE as OWN_STYLES
from loraspec_picturebook.experiment.truth import Cell, Distance, Near, _controls, _stars, drawn, shape_of
from loraspec_picturebook.manners import blur
from loraspec_picturebook.sets import set_picture, set_scenes
from loraspec_picturebook.styles import STYLES
from loraspec_picturebook.truth import features, held_out, same_words, true_picture, true_set
from loraspec_picturebook.world import draw

from loraspec.sweetspot.axes import Draws

ROOT = Path(__file__).parents[2]
STYLE_FILE = ROOT / OWN_STYLES
NEW_STYLES = ROOT / "docs/experiments/new-styles.py"
FIRST = list(cases())[:16]
MEMORISING = Case("lithograph", 4, "memorise", 1)


def test_the_first_cases_hold_every_kind():
    """Five styles, four sizes, four strengths and two training seeds, whoever stops after sixteen."""
    assert {case.style for case in FIRST} == {*STYLES, *(style.name for style in plugin_styles(STYLE_FILE))}
    assert {case.images for case in FIRST} == {4, 8, 16, 34}
    assert {case.strength for case in FIRST} == {"weak", "guide", "strong", "memorise"}
    assert {case.seed for case in FIRST} == {1, 2}
    assert len({case.name for case in cases()}) == len(list(cases()))


@pytest.mark.parametrize(
    ("case", "styles"),
    [*((case, STYLE_FILE) for case in FIRST[:4]), (Case("neon", 16, "guide", 1), NEW_STYLES)],
    ids=lambda given: given.name,
)
def test_a_spec_plans_what_the_case_says(case, styles, tmp_path):
    """The file is valid, trains on so many pictures, holds out the rest, and judges prompts that it does not train on."""
    from loraspec.plan import resolve

    (tmp_path / styles.name).write_bytes(styles.read_bytes())
    spec = tmp_path / "spec.toml"
    spec.write_text(spec_of(case, styles, judged=True), encoding="utf-8")
    plan = resolve(spec)
    assert {item.key for item in plan.data.images} == set(training_scenes(case))
    assert len(plan.data.images) == case.images
    assert plan.grid.judged_prompts == tuple(prompts_of(case, styles))
    assert plan.grid.judged_weights == (0.8, 0.9, 1.0, 1.15)


def test_prompts_near_to_training_have_another_colour_and_layout():
    """Half of a memorising case's prompts; their true pictures are none of the training pictures."""
    near = scenes_of(MEMORISING)[:4]
    for scene, own in zip(near, training_scenes(MEMORISING).values(), strict=True):
        assert (scene.subject, scene.setting) == (own.subject, own.setting)
        assert (scene.colour, scene.texture) != (own.colour, own.texture)


def test_copies_are_told_from_true_pictures():
    """A training picture is a copy, at another contrast and blurred; other layouts of the same words are none."""
    style = STYLES["lithograph"]
    scenes = scenes_of(MEMORISING)[:4]
    trained = [set_picture(scene, style) for scene in training_scenes(MEMORISING).values()]
    near = Near.of(trained, _controls(MEMORISING, style))
    faded = [(picture.astype(float) * 0.7 + 30).round().astype(np.uint8) for picture in trained]
    blurred = [blur(picture.astype(np.float32), 2).round().astype(np.uint8) for picture in trained]
    others = [true_picture(same_words(scene, layout), style) for scene in scenes for layout in range(500, 520)]
    assert near.copies(faded).min() > 0.95
    assert near.copies(blurred).min() > 0.7
    assert near.copies(others).mean() < 0.1
    assert np.linalg.norm(shape_of(faded[0]) - shape_of(trained[0])) < 0.1


@pytest.mark.parametrize("name", STYLES)
@pytest.mark.parametrize("seed", [1, 2])
def test_what_comes_near_to_anything_is_no_copy(name, seed):
    """Pictures that show nothing lie nearer to training pictures than true ones do, and as near to pictures that nobody trained on."""
    style, case = STYLES[name], Case(name, 4, "memorise", seed)
    trained = [set_picture(scene, style) for scene in training_scenes(case).values()]
    several = [[set_picture(scene, style) for scene in set_scenes(6, seed=number)] for number in range(60, 84)]
    lost = [np.mean(pictures, axis=0).astype(np.uint8) for pictures in several]
    true = [picture for layout in range(24) for picture in true_set(scenes_of(case)[4:], style, layout=layout)]

    def away(pictures):
        """How far pictures are from the nearest training picture."""
        shapes, known = (np.stack([shape_of(one) for one in some]) for some in (pictures, trained))
        return np.sqrt(((shapes[:, None] - known[None]) ** 2).sum(-1)).min(1)

    limits = np.percentile(away(true).reshape(24, 4), 5, axis=0)
    assert (away(lost) < np.repeat(limits, 6)).mean() > 0.4
    assert Near.of(trained, _controls(case, style)).copies(lost).mean() < 0.15


def test_distance_is_that_of_sets():
    """About 0 for true pictures of other layouts, far for another style; a picture that counts twice is no pair with itself."""
    from loraspec_picturebook.truth import distance

    scenes = held_out(8, seed=5)
    style = style_of("riso", STYLE_FILE)
    true = [picture for layout in range(4) for picture in true_set(scenes, style, layout=layout)]
    other = true_set(scenes, "engraving", layout=9)
    measure = Distance.of(true)
    far = cell_of(other, measure).distance(measure)
    assert far == pytest.approx(distance(other, true), abs=1e-4)
    assert abs(cell_of(true_set(scenes, style, layout=9), measure).distance(measure)) < 0.2 * far
    weights = np.array([2.0, 1, 1, 1, 1, 1, 1, 0])
    twice = cell_of([other[0], *other[:7]], measure)
    pairs = twice.apart[np.triu_indices(8, 1)]
    assert twice.apart[0, 1] == pytest.approx(0, abs=1e-6)
    without = 2 * twice.away.mean() - pairs.sum() / 27 - measure.within  # of 28 pairs one is a picture with its double
    assert cell_of(other, measure).distance(measure, weights) == pytest.approx(without)


def test_resampling_says_what_the_truth_can_tell():
    """A good cell is never below a bad one, and its own number moves."""
    scenes = held_out(4, seed=6)
    style = style_of("riso", STYLE_FILE)
    measure = Distance.of([picture for layout in range(4) for picture in true_set(scenes, style, layout=layout)])
    draws = Draws.make(4, 6, count=60, seed=1).pictures
    plain = [draw(evolve(same_words(scene, 20 + seed), texture=seed)) for scene in scenes for seed in range(6)]
    good = [true_picture(same_words(scene, 20 + seed), style) for scene in scenes for seed in range(6)]
    base, bad = cell_of(plain, measure), cell_of(true_set(scenes * 6, "engraving", layout=3), measure)
    rows = np.array([_stars([cell_of(good, measure), bad], base, measure, draw).utility for draw in draws])
    assert rows[0, 0] > 0.8
    assert (rows[:, 0] > rows[:, 1]).all()
    assert 0 < rows[1:, 0].std() < 0.2


def cell_of(pictures, true):
    """A cell whose subjects are right and that copies nothing."""
    ours = features(pictures).astype(np.float64)
    apart = np.sqrt(((ours[:, None] - ours[None]) ** 2).sum(-1))
    away = np.sqrt(((ours[:, None] - true.rows[None]) ** 2).sum(-1)).mean(1)
    return Cell(away, apart, np.ones(len(ours)), np.zeros(len(ours)))


def test_judged_pictures_and_the_truth_s_are_kept_apart(tmp_path):
    """Those of the grid by epoch and weight, those that only the truth sees by epoch; prompt by prompt. Without the latter, no truth."""
    import json

    from loraspec_picturebook.experiment.train import MORE
    from PIL import Image

    def cell(folder, epoch, weight, prompt, seed, value):
        name = f"{value:03d}.png"
        (tmp_path / "grid/cells").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (value, 0, 0)).save(tmp_path / "grid/cells" / name)
        return {"epoch": epoch, "weight": weight, "prompt": prompt, "seed": seed, "file": name}

    grid = [cell("grid", epoch, weight, prompt, 0, 10 * epoch + 2 * prompt + (weight == 0.8))
            for epoch in (0, 1) for weight in ((0.0,) if epoch == 0 else (0.8, 1.0)) for prompt in (0, 1)]  # fmt: skip
    more = [cell(MORE, epoch, 1.0 if epoch else 0.0, prompt, 0, 100 + 10 * epoch + prompt) for epoch in (0, 1) for prompt in (0, 1)]
    for folder, cells in (("grid", grid), (MORE, more)):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        index = {"epochs": [1], "weights": [0.8, 1.0], "prompts": ["a", "b"], "seeds": [1], "cells": cells}
        (tmp_path / folder / "index.json").write_text(json.dumps(index))
    epochs, weights, *both = drawn(tmp_path)
    assert (epochs, weights) == ([1], [0.8, 1.0])
    judged, unseen = ({place: [int(picture[0, 0, 0]) for picture in cell] for place, cell in found.items()} for found in both)
    assert judged == {(0, 0.0): [0, 2], (1, 0.8): [11, 13], (1, 1.0): [10, 12]}
    assert unseen == {0: [100, 101], 1: [110, 111]}
    (tmp_path / MORE / "index.json").unlink()
    with pytest.raises(OSError, match="index"):
        drawn(tmp_path)


def test_epochs_are_judged_by_unseen_pictures_and_the_grid_by_its_own(tmp_path, monkeypatch):
    """Equal pictures at two weights have one truth, whatever the unseen ones show, from which the truth of the epoch is taken."""
    import json

    from loraspec_picturebook.experiment import truth
    from loraspec_picturebook.experiment.train import MORE
    from PIL import Image

    for name, count in (("LAYOUTS", 4), ("CONTROLS", 2), ("DRAWS", 3)):
        monkeypatch.setattr(truth, name, count)
    monkeypatch.setattr(truth, "load", lambda *_: None)
    monkeypatch.setattr(truth, "named", lambda _, cell: [one for one in asked for _ in range(len(cell) // len(asked))])
    style, scenes, folder = style_of(MEMORISING.style, STYLE_FILE), scenes_of(MEMORISING), truth.folder_of(MEMORISING, tmp_path)
    asked = [scene.subject for scene in scenes]
    bare = [draw(evolve(same_words(scene, 20 + seed), texture=seed)) for scene in scenes for seed in (0, 1)]
    true = [true_picture(same_words(scene, 9 + seed), style) for scene in scenes for seed in (0, 1)]
    styled = [np.mean(pair, axis=0).astype(np.uint8) for pair in zip(true, bare, strict=True)]
    other = [true_picture(same_words(scene, 20 + seed), STYLES["engraving"]) for scene in scenes for seed in (0, 1)]
    (folder / "grid/cells").mkdir(parents=True)
    (folder / "manifest.jsonl").write_text("\n".join(json.dumps({"key": key}) for key in training_scenes(MEMORISING)))
    kinds = {"grid": {(0, 0.0): bare, (1, 0.8): styled, (1, 1.0): styled}, MORE: {(0, 0.0): other, (1, 1.0): other}}
    for part, cells in kinds.items():
        rows = [(epoch, weight, number, picture) for (epoch, weight), pictures in cells.items() for number, picture in enumerate(pictures)]
        found = []
        for place, (epoch, weight, number, picture) in enumerate(rows):
            name = f"{part.replace('/', '-')}{place}.png"
            Image.fromarray(picture).save(folder / "grid/cells" / name)
            found.append({"epoch": epoch, "weight": weight, "prompt": number // 2, "seed": number % 2, "file": name})
        index = {"epochs": [1], "weights": [0.8, 1.0], "prompts": asked, "seeds": [0, 1], "cells": found}
        (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / part / "index.json").write_text(json.dumps(index))
    known = truth.truth_of(MEMORISING, tmp_path, STYLE_FILE, cache=tmp_path)
    assert known.grid.style.shape == (1, 2)
    measure = Distance.of([picture for layout in range(4) for picture in true_set(scenes, style, layout=layout)])
    gone = 1 - cell_of(styled, measure).distance(measure) / cell_of(bare, measure).distance(measure)
    assert known.grid.style[0].tolist() == pytest.approx([gone] * 2)
    assert 0.1 < gone < 0.9
    assert known.full.style.tolist() == [0]
    assert known.full.subject.tolist() == [1]


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


def test_half_the_truth_chooses_for_the_other():
    """What the halves agree on costs nothing, what only one of them says costs; alike epochs have no answer."""
    one = np.array([0.1, 0.5, 0.9, 0.5, 0.2])
    assert table._half(np.array([one, one])) == 0
    assert table._half(np.array([one, one[[0, 2, 1, 3, 4]]])) == pytest.approx(1)
    assert table._half(np.full((2, 5), 0.4)) is None


def _row(case: Case, ours: float | None, *, loss: float, best: float = 0.8, chosen: float = 0.7) -> table.Row:
    """Return a run of which only the regrets and two truths are known."""
    from collections import defaultdict

    numbers: dict[str, float | None] = defaultdict(lambda: None)
    numbers |= {"regret": ours, "regret of last": 1.0, "regret of held-out loss": loss, "regret of random": 1.2, "overfits": 1.0}
    return table.Row(case, numbers | {"truth at best": best, "truth at chosen": chosen}, {}, {})


def test_a_family_is_won_over_its_seeds():
    """The mean over training seeds decides, and one rival that is better is enough to lose; U* given away is a plain difference."""
    one, two, three = Case("riso", 8, "guide", 1), Case("riso", 8, "guide", 2), Case("riso", 16, "guide", 1)
    won = [_row(one, 0.0, loss=0.1), _row(two, 0.3, loss=0.3)]
    found = table.summary([*won, _row(three, 0.4, loss=0.3, chosen=0.5)])
    assert found["families that over-fit"] == 2
    assert found["share of them in which neither last, loss nor random is better"] == 0.5
    assert found["U* given away: chosen"] == pytest.approx((0.1 + 0.1 + 0.3) / 3, abs=1e-4)
    assert table.summary(won)["share of them in which neither last, loss nor random is better"] == 1


def test_a_page_keeps_its_words():
    """Tables are exchanged between their marks; what a person wrote around them stays."""
    first = page.markdown_of([], before="# Title\n\nwords\n")
    assert first.startswith("# Title\n\nwords\n")
    again = page.markdown_of([], before=first + "after\n")
    assert again == first + "after\n"


@pytest.mark.parametrize(("name", "least"), [("sweet-spot", 10), ("new-styles", 1)])
def test_rows_come_back_from_the_committed_numbers(name, least):
    """What is committed can be read, and gives the same summary and page again: rows of another machine can be kept."""
    committed = (ROOT / f"docs/experiments/{name}.json").read_text(encoding="utf-8")
    rows = page.rows_of(committed)
    assert page.json_of(rows) == committed
    assert len({row.case for row in rows}) == len(rows) >= least
    written = (ROOT / f"docs/experiments/{name}.md").read_text(encoding="utf-8")
    assert page.markdown_of(rows, before=written) == written


def test_rows_of_other_machines_are_kept_when_asked(tmp_path, monkeypatch):
    """With ``--keep`` a folder without runs changes nothing; without it the tables are of what is there, nothing."""
    import json
    import sys

    from loraspec_picturebook.experiment.__main__ import main

    folder = tmp_path / "docs/experiments"
    folder.mkdir(parents=True)
    for name in ("sweet-spot.json", "sweet-spot.md"):
        (folder / name).write_bytes((ROOT / "docs/experiments" / name).read_bytes())
    words = ["experiment", "--stage", "table", "--target", str(tmp_path / "none"), "--root", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [*words, "--keep"])
    main()
    for name in ("sweet-spot.json", "sweet-spot.md"):
        assert (folder / name).read_bytes() == (ROOT / "docs/experiments" / name).read_bytes()
    monkeypatch.setattr(sys, "argv", words)
    main()
    assert json.loads((folder / "sweet-spot.json").read_text(encoding="utf-8"))["runs"] == []


def test_styles_of_one_s_own_are_worked_on_and_have_their_own_page(tmp_path, monkeypatch):
    """``--styles FILE``: its cases, every style soon; every stage is given the file; the page lies beside it, and no other is written."""
    import sys

    from loraspec_picturebook.experiment import __main__ as experiment

    file = tmp_path / "mine.py"
    file.write_bytes(NEW_STYLES.read_bytes())
    asked = []
    for stage in ("trained", "judged", "widened"):
        monkeypatch.setattr(experiment, stage, lambda *given, stage=stage: asked.append((stage, *given)))
    monkeypatch.setattr(experiment, "_row", lambda case, target, style_file: asked.append(("row", case, target, style_file)))
    names = ("mosaic", "woodcut", "neon")
    words = ["experiment", "--styles", str(file), "--cases", "3", "--target", str(tmp_path), "--root", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    experiment.main()
    stages = ("trained", "judged", "widened", "row")
    assert asked == [(stage, Case(name, 16, "guide", 1), tmp_path, file) for stage in stages for name in names]
    assert (tmp_path / "mine.md").read_text(encoding="utf-8").startswith("# Is the chosen epoch the right one? The styles of mine.py\n")
    assert {path.name for path in tmp_path.iterdir()} == {"mine.py", "mine.md", "mine.json"}
    every = list(cases_of(names))
    assert len({case.name for case in every}) == len(every)
    assert {case.strength for case in every} == {"weak", "guide", "strong", "memorise"}


def test_rows_of_the_earlier_copying_are_told_apart():
    """They stay in every number, are counted, and marked on the page."""
    new, old = (_row(Case("riso", 4, "memorise", seed), 0.1 * seed, loss=0.3) for seed in (1, 2))
    new.numbers.update({"memorises": 1.0, "originality": 0.8})
    old.numbers.update({"memorises": 1.0, "originality": -1.0, table.EARLIER: 1.0})
    found = table.summary([new, old])
    assert (found["memorising runs"], found["runs of the earlier c*"], found["originality where it memorises, worst"]) == (2, 1, -1)
    assert found["regret"] == pytest.approx(0.15)
    written = page.markdown_of([new, old], before="")
    assert "| riso-4-memorise-2 † |" in written
    assert "| riso-4-memorise-1 |" in written


def test_tie_sets_that_fresh_seeds_narrowed_have_numbers_of_their_own():
    """Rows from before know of the screening alone: they count there, and nowhere else."""
    new, old = (_row(Case("riso", 8, "guide", seed), 0.1, loss=0.3) for seed in (1, 2))
    new.numbers.update({"in screened": 1.0, "screened": 7.0, "in tie set": 0.0, "tie set": 4.0})
    old.numbers.update({"in screened": 0.0, "screened": 20.0, "in tie set": None, "tie set": None})
    found = table.summary([new, old])
    assert found["best epoch in what the screening tied"] == 0.5
    assert found["runs whose tie set was narrowed by fresh seeds"] == 1
    assert (found["epochs that their screening tied"], found["epochs in their tie sets"]) == (7, 4)
    assert (found["best epoch in what their screening tied"], found["best epoch in their tie sets"]) == (1, 0)
    rows = [line for line in page.markdown_of([new, old], before="").splitlines() if line.startswith("| riso-8-guide")]
    assert [row.split(" | ")[-2:] for row in rows[:2]] == [["7", "4 |"], ["20", " |"]]


def test_what_confidence_is_worth_is_told():
    """Regret and number of the runs of each; rows that do not know theirs count in none."""
    rows = [_row(Case("riso", 8, "guide", seed), 0.1 * seed, loss=0.3) for seed in (1, 2, 3)]
    for row, word in zip(rows, ("high", "low", "high"), strict=True):
        row.numbers["confidence"] = float(table.CONFIDENCE.index(word))
    strange = _row(Case("riso", 16, "weak", 1), 0.9, loss=0.3)
    strange.numbers.pop("confidence", None)
    found = table.summary([*rows, strange])
    assert [found[f"runs of {word} confidence"] for word in table.CONFIDENCE] == [1, 0, 2]
    assert [found[f"regret of {word} confidence"] for word in table.CONFIDENCE] == [pytest.approx(0.2), None, pytest.approx(0.2)]


def test_untouched_runs_have_a_regret_of_their_own():
    """That of runs that were looked at when metrics and rule were set does not count in it."""
    known = Case("engraving", 8, "strong", 1)
    new = [_row(Case("riso", 8, "guide", seed), 0.1 * seed, loss=0.3) for seed in (1, 2)]
    found = table.summary([_row(known, 0.9, loss=0.1), *new])
    assert known.name in LOOKED_AT <= {case.name for case in cases()}
    assert (found["untouched runs"], found["untouched runs: regret"], found["untouched runs: held-out loss"]) == (2, 0.15, 0.3)
    assert found["regret"] == pytest.approx(0.4)
