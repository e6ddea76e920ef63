"""What is compared of each run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import field, frozen

from loraspec.blind.pool import Drawn, drawn
from loraspec.errors import RunError
from loraspec.finished import Finished
from loraspec.picking import read_pick
from loraspec.sweetspot.ranking import CellScore, Interval
from loraspec.usage import words

LARGEST = 1e9  # of numbers in charts
SCENES = 4  # rows of pictures
NAMES = {"loss": "Training loss", "utility": "U at full weight", "key": "Key", "progress": "Style progress at full weight"}
MEANING = {
    "loss": "mean over each epoch's steps; says whether learning is stable, not which epoch looks best",
    "utility": "style x prompt x originality x root of variety; the band is the 90 % interval",
    "key": "U at full weight less what a reduced weight would gain: what epochs are ranked by",
    "progress": "0 is the base, 1 the artist's own pictures",
}
Points = dict[int, Interval]


@frozen
class Choice:
    """The epoch that stands for a run: ``by`` says who chose it, ``words`` why."""

    epoch: int
    weight: float
    by: str
    words: str


@frozen(eq=False)
class Side:
    """One run of a comparison.

    Attributes:
        run: The run.
        title: Its name, and its folder's where two runs have one name.
        choice: None when nothing was picked, and nothing ranked.
        curves: Name (see ``NAMES``) -> values by epoch; what was not measured is {}.
        cell: What the ranking says of the choice, None where it says nothing.
        notes: What is odd.
    """

    run: Finished
    title: str
    choice: Choice | None
    curves: Mapping[str, Points]
    cell: CellScore | None = None
    notes: tuple[str, ...] = ()
    pictures: Drawn = field(factory=lambda: Drawn((), (), {}), repr=False)


@frozen
class Shot:
    """A picture of a run's choice: where it is, and what it was asked for."""

    path: Path
    epoch: int
    weight: float
    prompt: str
    seed: int


def sides(runs: Sequence[Finished]) -> tuple[Side, ...]:
    """Return what is compared of each run."""
    names = [run.name for run in runs]
    titles = [name if names.count(name) == 1 else f"{name} ({run.folder.resolve().name})" for name, run in zip(names, runs, strict=True)]
    titles = [title if titles.count(title) == 1 else f"{title} {number}" for number, title in enumerate(titles, 1)]
    return tuple(_side(run, title) for run, title in zip(runs, titles, strict=True))


def _side(run: Finished, title: str) -> Side:
    notes = [run.ranking_problem] if run.ranking_problem else []
    try:
        pick = read_pick(run)
    except RunError as error:
        pick = None
        notes.append(str(error).splitlines()[0].replace(f"{run.folder}/", ""))
    ranking = run.ranking
    choice = None
    if pick is not None:
        choice = Choice(pick.epoch, pick.weight, "a person" if pick.by == "person" else "the ranking", pick.note)
    elif ranking is not None and ranking.epoch:
        choice = Choice(ranking.epoch, ranking.weight, f"recommended, confidence {ranking.confidence}", "")
    cell = _nearest(ranking.cells, choice) if ranking is not None and choice is not None else None
    return Side(run, title, choice, _curves(run), cell, tuple(notes), drawn(run.folder))


def _nearest(cells: Sequence[CellScore], choice: Choice) -> CellScore | None:
    return min((one for one in cells if one.epoch == choice.epoch), key=lambda one: abs(one.weight - choice.weight), default=None)


def _curves(run: Finished) -> dict[str, Points]:
    losses = {int(entry["epoch"]): _alone(entry.get("loss")) for entry in run.entries}
    found = {"loss": losses, "utility": {}, "key": {}, "progress": {}}
    if run.ranking is not None:
        full = [cell for cell in run.ranking.cells if abs(cell.weight - run.ranking.weight) < 1e-9]
        found["utility"] = {cell.epoch: cell.utility for cell in full}
        found["progress"] = {cell.epoch: cell.progress for cell in full}
        found["key"] = {one.epoch: one.key for one in run.ranking.epochs}
    return {
        name: {epoch: _drawable(one) for epoch, one in sorted(points.items()) if _small(epoch, one.value)} for name, points in found.items()
    }


def _small(*numbers: float) -> bool:
    """Whether numbers can be drawn: a stranger's may be as large as they like."""
    return all(not math.isnan(one) and abs(one) < LARGEST for one in numbers)


def _drawable(one: Interval) -> Interval:
    return one if _small(one.low, one.high) else Interval(one.value, math.nan, math.nan)


def _alone(value: object) -> Interval:
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    return Interval(number, math.nan, math.nan)


def shots(compared: Sequence[Side]) -> list[list[Shot | None]]:
    """Return rows of pictures, one of each run: prompts and seeds that most runs have in common, other prompts before other seeds.

    A run that does not have them shows its own.
    """
    have = [_shots(side) for side in compared]
    own = [list({shot.prompt: shot for shot in reversed(mine.values())}.values())[::-1] for mine in have]
    scenes = dict.fromkeys(scene for mine in have for scene in mine)
    common = sorted(scenes, key=lambda scene: -sum(scene in mine for mine in have))
    if have and common and sum(common[0] in mine for mine in have) > 1:
        prompts: dict[str, list[tuple[str, int]]] = {}
        for scene in common:
            if sum(scene in mine for mine in have) > 1:
                prompts.setdefault(scene[0], []).append(scene)
        wanted = [scene for place in range(SCENES) for mine in prompts.values() for scene in mine[place : place + 1]][:SCENES]
    else:
        wanted = [("", number) for number in range(min(SCENES, max((len(mine) for mine in own), default=0)))]
    return [
        [mine.get(scene) or (own[run][row] if row < len(own[run]) else None) for run, mine in enumerate(have)]
        for row, scene in enumerate(wanted)
    ]


def _shots(side: Side) -> dict[tuple[str, int], Shot]:
    """The pictures of a run's choice, at the weight that was drawn nearest to it."""
    if side.choice is None:
        return {}
    epoch = side.choice.epoch
    weight = side.pictures.nearest(side.choice.weight, epoch)
    if weight is None:
        return {}
    files = side.pictures.files[weight]
    scenes = [(prompt, seed) for prompt in side.pictures.prompts for seed in side.pictures.seeds]
    return {
        (prompt, seed): Shot(files[epoch, prompt, seed], epoch, weight, prompt, seed)
        for prompt, seed in scenes
        if (epoch, prompt, seed) in files
    }


def facts(side: Side) -> dict[str, str]:
    """Return what a table says of a run's choice; "" where nothing is known."""
    found = dict.fromkeys(("picked", "by", "U", "style", "prompt", "originality", "variety", "copies", "note"), "")
    if side.choice is None:
        return {**found, "picked": "-", "by": "nothing was picked or ranked"}
    found["picked"] = f"epoch {side.choice.epoch} at {words(side.choice.weight)}"
    found["by"], found["note"] = side.choice.by, side.choice.words
    if side.cell is not None:
        found["U"] = spread(side.cell.utility)
        found |= {axis: spread(side.cell.axes[axis]) for axis in ("prompt", "originality", "variety") if axis in side.cell.axes}
        found["style"] = spread(side.cell.progress)
        found["copies"] = "" if math.isnan(side.cell.copies.value) else f"{side.cell.copies.value:.0%}"
    return found


def spread(value: Interval) -> str:
    """Return ``0.62 [0.55, 0.70]``, or "" where nothing is known."""
    if math.isnan(value.value):
        return ""
    text = f"{value.value:.2f}" + ("" if math.isnan(value.low) or math.isnan(value.high) else f" [{value.low:.2f}, {value.high:.2f}]")
    return text.replace("-0.00", "0.00")
