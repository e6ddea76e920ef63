"""Judging on the tiny family: what is measured, kept, ranked and confirmed, and what happens when something is odd."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loraspec.engine import judging
from loraspec.engine.reopen import opened
from loraspec.errors import RunError, SpecError
from loraspec.sweetspot.ranking import Ranking
from loraspec.testing import TINY_SPEC
from loraspec.testing.tiny import GRID_ONLY

pytestmark = pytest.mark.usefixtures("tiny_plugin")

JUDGES = '''
import os
import numpy as np
from attrs import frozen
from loraspec import Component, hookimpl, option
from loraspec.metrics import Metric

@frozen
class Options:
    """Options."""
    mood: str = option(default="", help="What goes wrong.")

class Judge(Metric):
    cost = validity = "none"
    measured = []

    def __init__(self, options):
        self.mood = options.mood

    def values(self, pictures):
        type(self).measured += [shown.prompt for shown in pictures]
        if self.mood == "raise" and not os.environ.get("LORASPEC_TEST_GO_ON"):
            raise ZeroDivisionError("no picture")
        rows = np.array([np.asarray(shown.image, float).reshape(-1, 3)[::16].ravel() for shown in pictures])
        if self.mood == "nan":
            rows[::2] = np.nan
        if self.mood == "all nan":
            rows[:] = np.nan
        if self.mood == "flat":
            rows = rows[:, 0]
        return rows

class Style(Judge):
    axis = "style"

class Copy(Judge):
    axis = "originality"

class Diagnosis(Judge):
    axis = "diagnostic"

    def evaluate(self, run):
        from loraspec.engine.judging import name_of, save
        from loraspec.sweetspot.measured import Measured
        run.record("diagnosed")
        shape = len(run.gallery.epochs), len(run.gallery.weights), 1, 1
        save(run, Measured(name_of(run, self), self.axis, np.zeros(shape), np.full((1, 1), np.nan)))
        return {"last": 0.0}

class Told:
    @hookimpl
    def loraspec_after_ranking(self, run, ranking):
        run.record("told", epoch=None if ranking is None else ranking.epoch)

@hookimpl
def loraspec_register_evaluator():
    """Offer them."""
    kinds = {"style": Style, "copy": Copy, "diagnosis": Diagnosis}
    return [Component(name, Options, kind, axis=kind.axis) for name, kind in kinds.items()]

@hookimpl
def loraspec_register_callback():
    """Offer it."""
    return [Component("told", Options, lambda options: Told())]
'''


def judged(*evaluators: str, **grid: str) -> str:
    """The tiny spec with metrics of a plugin file, two judged prompts and one held-out picture."""
    keys = {"judged_prompts": '["square, by Tiny", "circle, by Tiny"]', "heldout": "1", "fresh_seeds": "2", **grid}
    text = TINY_SPEC.replace(GRID_ONLY, "").replace("loraspec = 1\n", 'loraspec = 1\nplugins = ["judges.py"]\n')
    text = text.replace("[grid]\n", "[grid]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items()))
    text = text.replace('use = "tiny:tiny"\nrights', 'use = "tiny:tiny"\nimages = 6\nrights')
    tables = "".join(f"\n[[evaluators]]\n{evaluator}\n" for evaluator in evaluators)
    return text + tables + '\n[[callbacks]]\nuse = "told"\n'


@pytest.fixture
def judge(run_spec: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Run a judged spec: ``judge(*evaluators, words=(), **grid)``."""

    def run(*evaluators: str, words: tuple[str, ...] = (), **grid: str) -> Any:
        (tmp_path / "judges.py").write_text(JUDGES)
        return run_spec(judged(*evaluators, **grid), *words)

    return run


def scores(folder: Path, name: str = "style") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "scores" / f"{name}.json").read_text())
    return found


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return [row for row in rows if row["kind"] == kind]


BOTH = ('use = "style"', 'use = "copy"')


def test_a_run_with_metrics_leaves_scores_and_a_ranking(judge: Callable[..., Any]) -> None:
    """A number for every judged cell, gates, references, the confirmation, the event; the same file of scores is read back."""
    outcome = judge(*BOTH)
    outcome.assert_success()
    raw = scores(outcome.folder)
    assert np.array(raw["values"]).shape == (2, 4, 2, 2)
    assert (raw["epochs"], raw["weights"], raw["heldout"], raw["exposure"]) == ([1, 2], [0.8, 0.9, 1.0, 1.15], 1, 2)
    assert [gate["name"] for gate in raw["gates"]] == ["alive", "null", "known-difference", "quantisation", "tone"]
    assert len(raw["references"]) == 1
    locked = scores(outcome.folder, "copy")["facts"]["self_lock"]
    assert [row["epoch"] for row in locked] == [0, 1, 2]
    assert all(0 <= row["recalled"] <= row["asked"] <= 5 for row in locked)
    assert "back" in scores(outcome.folder, "copy")["notes"][0]
    loaded = judging.load(outcome.folder)
    assert [one.name for one in loaded.measured] == ["style", "copy"]
    assert np.array_equal(loaded.measured[0].values, np.array(raw["values"]))
    assert judging.load(outcome.folder, fresh=True).seeds == Ranking.from_json((outcome.folder / "ranking.json").read_text()).fresh_seeds
    assert events(outcome.folder, "told") == [
        {"kind": "told", "epoch": Ranking.from_json((outcome.folder / "ranking.json").read_text()).epoch}
    ]
    index = json.loads((outcome.folder / "grid" / "judged.json").read_text())
    assert len(index["cells"]) == (2 * 4 + 1) * 4
    assert all((outcome.folder / "grid" / "cells" / cell["file"]).is_file() for cell in index["cells"])


def test_the_grid_shows_the_verdict_once_there_is_one(judge: Callable[..., Any]) -> None:
    """In a whole run: the report opens with the ranking, and the sheets of the ranking are there."""
    outcome = judge('use = "grid"', *BOTH)
    outcome.assert_success()
    chosen = Ranking.from_json((outcome.folder / "ranking.json").read_text())
    assert f"Take epoch {chosen.epoch} at weight" in (outcome.folder / "report.html").read_text()
    assert sorted(path.name for path in (outcome.folder / "grid" / "epochs").iterdir()) == ["epoch-001.png", "epoch-002.png"]
    assert (outcome.folder / "grid" / "means.png").is_file()


def test_without_a_metric_nothing_is_ranked_and_nothing_is_said(judge: Callable[..., Any]) -> None:
    """The event still comes, with None, so that sheets are drawn in one place."""
    outcome = judge('use = "grid"')
    outcome.assert_success()
    assert not (outcome.folder / "ranking.json").exists()
    assert not (outcome.folder / "scores").exists()
    assert events(outcome.folder, "told") == [{"kind": "told", "epoch": None}]


def test_a_metric_that_raises_stops_no_other(judge: Callable[..., Any], loraspec_cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are measured and ranked, the error is told, and a resume measures what is missing and nothing else."""
    outcome = judge('use = "style"\nmood = "raise"', 'use = "copy"', 'use = "diagnosis"')
    outcome.assert_failed(1, "[E-RUN-EVALUATION]")
    assert "style: ZeroDivisionError: no picture" in outcome.err
    assert not (outcome.folder / "scores" / "style.json").exists()
    ranking = Ranking.from_json((outcome.folder / "ranking.json").read_text())
    assert "style" in ranking.missing
    before = (outcome.folder / "scores" / "copy.json").stat().st_mtime_ns
    monkeypatch.setenv("LORASPEC_TEST_GO_ON", "1")
    loraspec_cli("resume", outcome.folder).assert_success()
    assert (outcome.folder / "scores" / "copy.json").stat().st_mtime_ns == before
    assert scores(outcome.folder)["axis"] == "style"
    assert len(events(outcome.folder, "diagnosed")) == 1


def test_pictures_that_cannot_be_measured_are_left_out(judge: Callable[..., Any]) -> None:
    """Every second picture of a call is NaN: null in the file, told in a note, and the rest is ranked."""
    outcome = judge('use = "style"\nmood = "nan"')
    outcome.assert_success()
    values = np.array(scores(outcome.folder)["values"], float)
    assert np.isnan(values).sum() == values.size // 2
    assert scores(outcome.folder)["notes"] == ["16 of 32 pictures could not be measured"]


@pytest.mark.parametrize("mood", ["all nan"])
def test_a_metric_that_measures_nothing_does_not_vote(judge: Callable[..., Any], mood: str) -> None:
    """It finds no scale; the gate says why, and the ranking names the axis that is missing."""
    outcome = judge(f'use = "style"\nmood = "{mood}"')
    outcome.assert_success()
    first = scores(outcome.folder)["gates"][0]
    assert (first["name"], first["passed"]) == ("alive", False)
    assert "needs 2 pictures" in first["words"]
    ranking = Ranking.from_json((outcome.folder / "ranking.json").read_text())
    assert (ranking.epoch, ranking.confidence) == (0, "low")
    assert "style" in ranking.missing


def test_a_metric_that_is_not_heard_is_not_confirmed(judge: Callable[..., Any]) -> None:
    """Beside another of its axis it is measured and shown, and the fresh seeds are not spent on it."""
    outcome = judge('use = "copy"', 'use = "copy"\nmood = "all nan"')
    outcome.assert_success()
    assert sorted(path.stem for path in (outcome.folder / "scores").glob("copy*.json")) == ["copy", "copy-2"]
    assert sorted(path.stem for path in (outcome.folder / "scores/fresh").iterdir()) == ["copy"]


def test_what_has_the_wrong_shape_is_told_with_the_right_one(judge: Callable[..., Any]) -> None:
    """A style metric that returns one number a picture."""
    judge('use = "style"\nmood = "flat"').assert_failed(1, "style returned an array [4] for 4 pictures")


def test_one_epoch_and_equal_epochs_are_no_sweet_spot(judge: Callable[..., Any]) -> None:
    """One epoch is the only one; epochs without any training are tied, and confidence is low either way."""
    outcome = judge(*BOTH, words=("--set", "train.epochs=1", "--set", "run.name=one"))
    outcome.assert_success()
    one = Ranking.from_json((outcome.folder / "ranking.json").read_text())
    assert (one.epoch, one.confidence) == (1, "low")


def test_equal_epochs_are_tied(judge: Callable[..., Any]) -> None:
    """A learning rate of next to nothing leaves every epoch as it was: all are tied, and that is said."""
    outcome = judge(*BOTH, words=("--set", "optimizer.use=adamw", "--set", "optimizer.lr=1e-12", "--set", "train.epochs=3"))
    outcome.assert_success()
    ranking = Ranking.from_json((outcome.folder / "ranking.json").read_text())
    assert ranking.tie_set == (1, 2, 3)
    assert ranking.confidence == "low"


def test_scores_follow_what_they_were_made_of(judge: Callable[..., Any], tmp_path: Path) -> None:
    """Other options or judged prompts are measured anew; the same are not; a damaged file of scores is made again."""
    outcome = judge(*BOTH)
    place = outcome.folder / "scores" / "style.json"
    first = json.loads(place.read_text())
    with opened(outcome.folder) as run:
        style = dict(judging.metrics_of(run))["style"]
        assert judging.kept(run, style) is not None
        style.measured.clear()
        judging.measure(run, style)
        assert style.measured == []
        place.write_text("{}")
        assert judging.kept(run, style) is None
        judging.measure(run, style)
        assert style.measured
        style.content = lambda: "other weights"
        assert judging.kept(run, style) is None
    assert json.loads(place.read_text()) == first
    again = judge(*BOTH, judged_prompts='["square, by Tiny", "star, by Tiny"]')
    again.assert_success()
    assert scores(again.folder)["key"] != first["key"]
    assert scores(again.folder)["prompts"] == ["square, by Tiny", "star, by Tiny"]


def test_two_of_one_metric_keep_their_own_numbers(judge: Callable[..., Any]) -> None:
    """The second has a number in its name."""
    outcome = judge('use = "style"', 'use = "style"\nmood = "nan"')
    outcome.assert_success()
    assert (scores(outcome.folder)["notes"], len(scores(outcome.folder, "style-2")["notes"])) == ([], 1)


def test_a_cell_that_cannot_be_drawn_is_left_out(judge: Callable[..., Any]) -> None:
    """Its numbers are null, the others stand, and the ranking goes on."""
    outcome = judge(*BOTH)
    (outcome.folder / "scores" / "style.json").unlink()
    with opened(outcome.folder) as run:
        cell = run.gallery.block(2, 1.0)[3]
        run.gallery.failed[cell] = "out of memory"
        judging.measure(run, dict(judging.metrics_of(run))["style"])
        assert judging.rank(run) is not None
    values = np.array(scores(outcome.folder)["values"], float)
    assert np.argwhere(np.isnan(values)).tolist() == [[1, 2, 1, 1]]


def test_a_run_is_opened_only_as_it_was(judge: Callable[..., Any], tmp_path: Path, spec_file: Callable[..., Path]) -> None:
    """No run, another seed, a folder that is held: told; what decides no weights may change, and nothing is written."""
    with pytest.raises(SpecError, match="holds no run"), opened(tmp_path / "nothing"):
        pass
    outcome = judge(*BOTH)
    journal = (outcome.folder / "journal.jsonl").read_bytes()
    spec_file(judged(*BOTH, judged_prompts='["star, by Tiny"]'))
    with opened(outcome.folder) as run:
        assert run.gallery.prompts == ("star, by Tiny",)
        assert len(run.gallery.pictures(1, 1.0)) == 2
        with pytest.raises(RunError, match="is carrying this run out") as held, opened(outcome.folder):
            pass
        assert held.value.code == "E-RUN-LOCKED"
    assert (outcome.folder / "journal.jsonl").read_bytes() == journal
    spec_file(judged(*BOTH).replace("seed = 1808", "seed = 1809"))
    with pytest.raises(SpecError, match=r"run\.seed"), opened(outcome.folder):
        pass
