"""What the report says of memorising: held-out and training loss, member AUC and prior drift by epoch, and the nearest pairs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from markupsafe import Markup

from loraspec.sweetspot.scorefile import SCORES, ScoreFile, read_score
from loraspec_guide.grid.charts import label, ticks
from loraspec_guide.grid.folder import CELL, LARGEST_FILE, THUMB, RunData, inside, items, number, pair_name

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 220, 56, 14, 26, 38
NINETY = 1.645  # standard errors of a 90 % interval
PAIRS, LONGEST = 6, 224

Embed = Callable[[Path, int], "dict[str, Any] | None"]


@frozen
class Line:
    """A series by epoch: ``values`` with None where nothing is known; ``errors`` are half widths of the 90 % interval."""

    name: str
    kind: str
    values: tuple[float | None, ...]
    errors: tuple[float, ...] = ()


def diagnostics(data: RunData) -> list[dict[str, Any]]:
    """Return title, note, SVG and the numbers behind of each diagnostic that the run has; broken files are left out."""
    found = []
    loss = _score(data, "heldout-loss")
    if loss is not None:
        lines = (
            Line("held-out pictures", "curve", _ratios(loss, "heldout"), _errors(loss)),
            Line("training pictures", "other", _ratios(loss, "training")),
        )
        note = "the base is 1, lower is better; where training goes on falling and held-out turns, the LoRA learns its pictures by heart"
        found.append(_shown(loss, "Loss against the base's", note, lines, 1.0))
    for name, fact, title, note, rest in (
        ("member-auc", "auc", "Training pictures told from held-out ones by their loss", "0.5: not at all, 1: always", 0.5),
        ("prior-drift", "drift", "Drift of prompts that name nothing of the style", "in units of the base's own error; 0 is no drift", 0.0),
    ):
        score = _score(data, name)
        if score is not None:
            found.append(_shown(score, title, note, (Line(fact, "curve", _fact(score, fact)),), rest))
    return [one for one in found if one["drawn"]]


def _score(data: RunData, name: str) -> ScoreFile | None:
    path = data.folder / SCORES / f"{name}.json"
    try:
        return read_score(path) if path.stat().st_size <= LARGEST_FILE else None
    except (OSError, ValueError):
        return None


def _fact(score: ScoreFile, name: str) -> tuple[float | None, ...]:
    values = items(score.measured.facts.get(name))
    if len(values) != len(score.scores.epochs):
        return (None,) * len(score.scores.epochs)
    return tuple(float(value) if number(value) and math.isfinite(value) else None for value in values)


def _ratios(score: ScoreFile, name: str) -> tuple[float | None, ...]:
    return tuple(None if value is None else math.exp(min(value, 20.0)) for value in _fact(score, name))


def _errors(score: ScoreFile) -> tuple[float, ...]:
    """Half widths for the ratios, from the scatter of the held-out pictures."""
    rows = score.measured.values
    at = min(range(len(score.scores.weights)), key=lambda w: abs(score.scores.weights[w] - 1))
    rows = rows[:, at].reshape(len(rows), -1)
    if rows.shape[1] < 3 or not np.isfinite(rows).all():
        return ()
    spread = NINETY * rows.std(1, ddof=1) / math.sqrt(rows.shape[1])
    return tuple(float(part) for part in np.exp(rows.mean(1)) * spread)


def _shown(score: ScoreFile, title: str, note: str, lines: Sequence[Line], rest: float) -> dict[str, Any]:
    epochs = score.scores.epochs
    rows = [(epoch, [_cell(line, place) for line in lines]) for place, epoch in enumerate(epochs)]
    names = [line.name for line in lines]
    return {"title": title, "note": note, "drawn": Markup(drawn(title, epochs, lines, rest)), "names": names, "rows": rows}  # escapes


def _cell(line: Line, at: int) -> str:
    value = line.values[at]
    if value is None:
        return ""
    return f"{value:.3f}" + (f" ± {line.errors[at]:.3f}" if line.errors else "")


def drawn(title: str, epochs: Sequence[int], lines: Sequence[Line], rest: float) -> str:
    """Return an SVG of series by epoch, with a line at ``rest``, where nothing would have changed; "" with fewer than two values."""
    known = [(e, v, r) for line in lines for e, v, r in zip(epochs, line.values, line.errors or (0.0,) * len(epochs), strict=True)
             if v is not None]  # fmt: skip
    if len({epoch for epoch, _, _ in known}) < 2:
        return ""
    low, high = min(rest, *(v - r for _, v, r in known)), max(rest, *(v + r for _, v, r in known))
    spread = 0.06 * (high - low) or 0.1
    low, high = low - spread, high + spread
    first, last = epochs[0], epochs[-1]

    def across(epoch: float) -> float:
        return LEFT + (epoch - first) / max(last - first, 1) * (WIDTH - LEFT - RIGHT)

    def up(value: float) -> float:
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    name = escape(f"{title}, by epoch")
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}"><title>{name}</title>']
    for y in ticks(low, high, 4):
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up(y):.1f}" y2="{up(y):.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{up(y) + 4:.1f}" text-anchor="end">{label(y)}</text>')
    parts.append(f'<line class="rest" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up(rest):.1f}" y2="{up(rest):.1f}"/>')
    for x in ticks(first, last):
        if x == int(x):
            parts.append(f'<text class="tick" x="{across(x):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{x:g}</text>')
    for place, line in enumerate(lines):
        points = [(e, v) for e, v in zip(epochs, line.values, strict=True) if v is not None]
        if line.errors and len(points) == len(epochs):
            edge = [f"{across(e):.1f},{up(v + r):.1f}" for (e, v), r in zip(points, line.errors, strict=True)]
            edge += [f"{across(e):.1f},{up(v - r):.1f}" for (e, v), r in list(zip(points, line.errors, strict=True))[::-1]]
            parts.append(f'<polygon class="band" points="{" ".join(edge)}"/>')
        path = " ".join(f"{across(e):.1f},{up(v):.1f}" for e, v in points)
        parts.append(f'<polyline class="{line.kind}" points="{path}"/>')
        if len(lines) > 1:
            x = LEFT + 8 + place * 190
            parts.append(f'<line class="{line.kind}" x1="{x}" x2="{x + 24}" y1="12" y2="12"/>')
            parts.append(f'<text class="tick" x="{x + 30}" y="16">{escape(line.name)}</text>')
    parts.append(f'<text class="unit" x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 5}" text-anchor="middle">epoch</text>')
    return "".join([*parts, "</svg>"])


# -- pairs ---------------------------------------------------------------------------------------------------------------


def nearest_pairs(data: RunData, pairs: Sequence[Mapping[str, Any]], epoch: int, embed: Embed) -> list[dict[str, Any]]:
    """Return the pictures of an epoch that lie nearest to a training picture, each beside it, the nearest first."""
    thumbs = {str(row.get("key")): row.get("thumb") for row in data.manifest}
    of_epoch = [pair for pair in pairs if pair.get("epoch") == epoch and number(pair.get("distance"))]
    found = []
    for pair in sorted(of_epoch, key=lambda pair: float(pair["distance"]))[:PAIRS]:
        cell = inside(data.folder / "grid" / "cells", pair.get("file"), CELL)
        key, folder = str(pair.get("key")), data.folder / "grid" / "thumbs"
        thumb = inside(folder, thumbs.get(key), THUMB) or inside(folder, pair_name(key), THUMB)
        found.append({
            "words": f"“{pair.get('prompt', '')}”, seed {pair.get('seed')}, weight {pair.get('weight')}", "key": key,
            "distance": f"{pair['distance']:.2f}", "drawn": embed(cell, LONGEST) if cell else None,
            "trained": embed(thumb, LONGEST) if thumb else None,
        })  # fmt: skip
    return found
