"""What the report says of memorising: held-out and training loss, member AUC and prior drift by epoch, and the nearest pairs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from loraspec.sweetspot.keys import full_weight
from loraspec.sweetspot.scorefile import SCORES, ScoreFile, read_score
from loraspec_guide.grid.curves import Line, by_epoch
from loraspec_guide.grid.folder import CELL, LARGEST_FILE, THUMB, RunData, inside, items, number, pair_name

NINETY = 1.645  # standard errors of a 90 % interval
PAIRS, LONGEST = 6, 224

Embed = Callable[[Path, int], "dict[str, Any] | None"]


def diagnostics(data: RunData) -> list[dict[str, Any]]:
    """Return title, note, SVG and the numbers behind of each diagnostic that the run has; broken files are left out."""
    found = []
    loss = _score(data, "heldout-loss")
    if loss is not None:
        lines = (
            Line("held-out pictures", "curve", _ratios(loss, "heldout"), _intervals(loss)),
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
    copies = _score(data, "copy-rate")
    if copies is not None and (recalled := _recalled(copies)):
        note = "share of up to eight training captions whose picture lies nearest to their own, and nearer than real works do to each other"
        lines = (Line("given back", "curve", recalled),)
        found.append(_shown(copies, "Training pictures given back when asked with their own captions", note, lines, 0.0))
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


def _recalled(score: ScoreFile) -> tuple[float | None, ...]:
    """Shares by epoch, None where it was not asked; nothing without a self-lock."""
    rows = [row for row in items(score.measured.facts.get("self_lock")) if isinstance(row, Mapping)]
    shares = {row.get("epoch"): row["recalled"] / row["asked"] for row in rows
              if number(row.get("recalled")) and number(row.get("asked")) and row["asked"] > 0}  # fmt: skip
    return tuple(shares.get(epoch) for epoch in score.scores.epochs) if shares else ()


def _ratios(score: ScoreFile, name: str) -> tuple[float | None, ...]:
    return tuple(None if value is None else math.exp(min(value, 20.0)) for value in _fact(score, name))


def _intervals(score: ScoreFile) -> tuple[tuple[float, float], ...]:
    """90 % intervals of the ratios, from the scatter of the held-out pictures."""
    rows = score.measured.values[:, full_weight(score.scores.weights)]
    rows = rows.reshape(len(rows), -1)
    if rows.shape[1] < 3 or not np.isfinite(rows).all():
        return ()
    means, spread = np.exp(rows.mean(1)), NINETY * rows.std(1, ddof=1) / math.sqrt(rows.shape[1])
    return tuple((float(mean * (1 - half)), float(mean * (1 + half))) for mean, half in zip(means, spread, strict=True))


def _shown(score: ScoreFile, title: str, note: str, lines: Sequence[Line], rest: float) -> dict[str, Any]:
    epochs = score.scores.epochs
    rows = [(epoch, [_cell(line, place) for line in lines]) for place, epoch in enumerate(epochs)]
    names = [line.name for line in lines]
    drawn = Markup(by_epoch(title, epochs, lines, rest=rest))  # escapes what it is given
    return {"title": title, "note": note, "drawn": drawn, "names": names, "rows": rows}


def _cell(line: Line, at: int) -> str:
    value = line.values[at]
    if value is None:
        return ""
    if not line.intervals:
        return f"{value:.3f}"
    low, high = line.intervals[at]
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


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
