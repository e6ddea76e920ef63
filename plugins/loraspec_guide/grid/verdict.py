"""The report's verdict: the chosen epoch with its pictures, why, how sure, how to use it, and the numbers behind."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from markupsafe import Markup

from loraspec.errors import LoraspecError
from loraspec.finished import Finished, read
from loraspec.ownpictures import own_pictures
from loraspec.sweetspot.ranking import EpochScore, Interval, Ranking
from loraspec.sweetspot.scorefile import load
from loraspec.usage import uses
from loraspec_guide.grid.curves import Line, by_epoch
from loraspec_guide.grid.folder import ANIMATION, CELL, RunData, inside, items, number, weight_words
from loraspec_guide.grid.memory import nearest_pairs

SHOWN = 8  # pictures of an epoch
TIED = 6  # epochs of a tie set whose pictures are shown
LONGEST = 448  # px
MOVING = 2 * 2**20  # bytes of an animation in the page
AXES = (
    ("style", "how near to the artist's own pictures; more than theirs counts like less"),
    ("prompt", "how much of the obedience to the prompt is left"),
    ("originality", "1: no nearer to training pictures than real works are to each other"),
    ("variety", "whether seeds of one prompt still differ"),
)

Embed = Callable[[Path, int], "dict[str, Any] | None"]


def verdict(data: RunData, embed: Embed) -> dict[str, Any] | None:
    """Return what the template shows of the ranking; None where there is none that can be read.

    Args:
        data: The run's files.
        embed: Makes a data URI of a picture, at most so many px large.
    """
    try:
        run = read(data.folder)
    except (LoraspecError, OSError):
        return None
    ranking = run.ranking
    if ranking is None:
        return None
    pictures = _Pictures(data, embed)
    tied = [epoch for epoch in ranking.tie_set if epoch != ranking.epoch]
    shown = sorted([ranking.epoch, *tied[: TIED - 1]]) if ranking.confidence == "low" and len(ranking.epochs) > 1 else [ranking.epoch]
    return {
        "epoch": ranking.epoch,
        "weight": ranking.weight,
        "confidence": ranking.confidence,
        "headline": ranking.sentences[0] if ranking.sentences else "",
        "sentences": ranking.sentences[1:],
        "reasons": ranking.reasons,
        "rows": [("no LoRA", pictures.row(0, 0.0)), *((f"epoch {e}", pictures.row(e, ranking.weight)) for e in shown if e)],
        "own": _own(data.folder, embed),
        "prompts": ranking.prompts[:SHOWN],
        "uses": _uses(run, ranking),
        "charts": _charts(ranking),
        "epochs": [_row(ranking, one) for one in ranking.epochs],
        "pairs": nearest_pairs(data, ranking.pairs, ranking.epoch, embed),
        "heat": Markup(heat(ranking)) if len(ranking.cells) > 1 else "",  # numbers only
        "animation": _animation(data.folder / "grid" / ANIMATION),
        "gates": _gates(ranking),
        "notes": _notes(data.folder),
        "seeds": ranking.seeds,
        "fresh": ranking.fresh_seeds,
    }


class _Pictures:
    """The judged pictures of the run."""

    def __init__(self, data: RunData, embed: Embed) -> None:
        from loraspec_guide.grid.folder import _json

        self._folder, self._embed = data.folder / "grid" / "cells", embed
        self._cells: dict[tuple[Any, ...], Any] = {}
        for cell in items(_json(data.folder / "grid" / "judged.json").get("cells")):
            if isinstance(cell, dict) and all(number(cell.get(key)) for key in ("epoch", "weight", "prompt", "seed")):
                self._cells[cell["epoch"], float(cell["weight"]), cell["prompt"], cell["seed"]] = cell.get("file")

    def row(self, epoch: int, weight: float) -> list[dict[str, Any] | None]:
        """The first seed of every prompt."""
        found = []
        for prompt in range(SHOWN):
            path = inside(self._folder, self._cells.get((epoch, float(weight), prompt, 0)), CELL)
            found.append(self._embed(path, LONGEST) if path else None)
        return found if any(found) else []


def _own(folder: Path, embed: Embed) -> tuple[str, list[dict[str, Any]]]:
    """What the artist's own pictures are, and some of them: what the others are to be near to."""
    found = own_pictures(folder, SHOWN)
    return found.words, [picture for path in found.files if (picture := embed(path, LONGEST))]


def _uses(run: Finished, ranking: Ranking) -> list[tuple[str, tuple[str, ...]]]:
    try:
        return [
            (use.program, tuple(line.replace(str(run.folder), "RUN") for line in use.lines))
            for use in uses(run, ranking.epoch, ranking.weight)
        ]
    except (LoraspecError, OSError, LookupError):
        return []


def _row(ranking: Ranking, one: EpochScore) -> dict[str, Any]:
    cell = ranking.cell(one.epoch, ranking.weight)
    return {
        "epoch": one.epoch,
        "chosen": one.epoch == ranking.epoch,
        "tied": one.tied,
        "key": words(one.key),
        "fresh": "" if one.fresh is None else f"{one.fresh:.2f}",
        "best": f"{one.best:.0%}",
        "axes": [words(cell.axes[axis]) if cell and axis in cell.axes else "" for axis, _ in AXES],
        "labels": [(label.name, label.words) for label in one.labels],
    }


def words(value: Interval) -> str:
    """Return ``0.71 [0.65, 0.78]``, "" for what is not known."""
    if not math.isfinite(value.value):
        return ""
    if not (math.isfinite(value.low) and math.isfinite(value.high)):
        return f"{value.value:.2f}"
    return f"{value.value:.2f} [{value.low:.2f}, {value.high:.2f}]"


def _animation(path: Path) -> str:
    """The animated WebP as it is, where it is there, is one, and is no larger than a page should carry."""
    try:
        content = path.read_bytes() if path.stat().st_size <= MOVING else b""
    except OSError:
        return ""
    whole = content[:4] == b"RIFF" and content[8:12] == b"WEBP"
    return f"data:image/webp;base64,{base64.b64encode(content).decode()}" if whole else ""


def _gates(ranking: Ranking) -> list[tuple[str, str, list[tuple[str, bool | None, str]]]]:
    found: dict[tuple[str, str], list[tuple[str, bool | None, str]]] = {}
    for gate in ranking.gates:
        found.setdefault((gate.metric, gate.axis), []).append((gate.gate, gate.passed, gate.words))
    return [(metric, axis, rows) for (metric, axis), rows in found.items()]


def _notes(folder: Path) -> list[tuple[str, str]]:
    """What metrics say beside their numbers, each with its metric's name."""
    scores = load(folder)
    return [] if scores is None else [(one.name, note) for one in scores.measured for note in one.notes]


# -- curves --------------------------------------------------------------------------------------------------------------


def _charts(ranking: Ranking) -> list[tuple[str, str, Markup]]:
    """Title, note and SVG of U and of each axis by epoch, at the recommended weight."""
    cells = [cell for one in ranking.epochs if (cell := ranking.cell(one.epoch, ranking.weight)) is not None]
    if len(cells) < 2:
        return []
    made = [("U", "all axes together, with the 90 % interval; the line marks the chosen epoch", [cell.utility for cell in cells])]
    for axis, note in AXES:
        if all(axis in cell.axes for cell in cells):
            made.append((axis.capitalize(), note, [cell.axes[axis] for cell in cells]))
    epochs = [cell.epoch for cell in cells]
    drawn = [
        (title, note, by_epoch(title, epochs, [_line(values)], bounds=(0.0, 1.0), chosen=ranking.epoch)) for title, note, values in made
    ]
    return [(title, note, Markup(curve)) for title, note, curve in drawn if curve]  # escapes what it is given


def _line(values: Sequence[Interval]) -> Line:
    return Line("", "curve", tuple(one.value for one in values), tuple((one.low, one.high) for one in values))


def heat(ranking: Ranking) -> str:
    """Return an SVG of U for every epoch (across) and weight (down): the stronger the colour the better, the chosen cell framed."""
    epochs, weights = [one.epoch for one in ranking.epochs], sorted({cell.weight for cell in ranking.cells})
    side, wide, high = 64, 46, 34
    width, height = side + wide * len(epochs) + 4, 26 + high * len(weights)
    name = "U of every epoch and weight"
    parts = [f'<svg class="heat" viewBox="0 0 {width} {height}" role="img" aria-label="{name}"><title>{name}</title>']
    for column, epoch in enumerate(epochs):
        parts.append(f'<text class="tick" x="{side + wide * (column + 0.5):.0f}" y="16" text-anchor="middle">{epoch}</text>')
    for row, weight in enumerate(weights):
        y = 24 + high * row
        middle = f"{y + high / 2 + 4:.0f}"
        parts.append(f'<text class="tick" x="{side - 10}" y="{middle}" text-anchor="end">{escape(weight_words(weight))}</text>')
        for column, epoch in enumerate(epochs):
            cell, x = ranking.cell(epoch, weight), side + wide * column
            if cell is None or not math.isfinite(cell.utility.value):
                parts.append(f'<rect class="unknown" x="{x}" y="{y}" width="{wide - 2}" height="{high - 2}"/>')
                continue
            value = min(max(cell.utility.value, 0.0), 1.0)
            parts.append(f'<rect class="warm" x="{x}" y="{y}" width="{wide - 2}" height="{high - 2}" fill-opacity="{0.55 * value:.2f}"/>')
            parts.append(f'<text class="value" x="{x + wide / 2 - 1:.0f}" y="{middle}" text-anchor="middle">{value:.2f}</text>')
            if (epoch, weight) == (ranking.epoch, ranking.weight):
                parts.append(f'<rect class="frame" x="{x}" y="{y}" width="{wide - 2}" height="{high - 2}"/>')
    return "".join([*parts, "</svg>"])
