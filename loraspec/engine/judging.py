"""Judging: every metric's numbers on the judged cells, kept in ``scores/``; then the ranking of the epochs, ``ranking.json``.

What is there is not measured again: a file of scores knows the sha256 of everything that its numbers depend on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve

from loraspec.engine import selflock
from loraspec.engine.readings import Unreadable, mean_of, unread
from loraspec.engine.reopen import opened
from loraspec.engine.scales import READINGS, OriginalityReading
from loraspec.engine.store import write_bytes, write_json
from loraspec.errors import RunError
from loraspec.gridplan import CONFIRMED, other_seeds
from loraspec.metrics import Metric
from loraspec.plan import canonical, plain
from loraspec.surroundings import packages
from loraspec.sweetspot.keys import full_weight
from loraspec.sweetspot.measured import Measured, Scores, heard
from loraspec.sweetspot.ranking import Ranking
from loraspec.sweetspot.rule import rank as ranked
from loraspec.sweetspot.scorefile import FRESH, SCORES, VERSION, ScoreFile, load, read_score, together

if TYPE_CHECKING:
    from loraspec.engine.readings import Floats, Reading
    from loraspec.engine.run import Run

__all__ = ["kept", "load", "measure", "metrics_of", "name_of", "opened", "rank", "save"]

RANKING, JUDGED = "ranking.json", "grid/judged.json"
PAIRS = 3  # nearest pairs that are kept of an epoch


def metrics_of(run: Run) -> list[tuple[str, Metric]]:
    """Return the metrics among a run's evaluators with their names: the component's, from the second of a name on with a number."""
    found: list[tuple[str, Metric]] = []
    seen: dict[str, int] = {}
    for qualified, evaluator in run.evaluators:
        if isinstance(evaluator, Metric):
            name = qualified.rpartition(":")[2]
            seen[name] = seen.get(name, 0) + 1
            found.append((name if seen[name] == 1 else f"{name}-{seen[name]}", evaluator))
    return found


def name_of(run: Run, metric: Metric) -> str:
    """Return the name under which a run's metric keeps its numbers.

    Raises:
        RunError: It is none of the run's.
    """
    for name, known in metrics_of(run):
        if known is metric:
            return name
    raise RunError(f"{type(metric).__name__} is none of this run's evaluators")


# -- one metric ----------------------------------------------------------------------------------------------------------


def measure(run: Run, metric: Metric) -> dict[str, float]:
    """Measure every judged cell, keep the numbers in ``scores/``, and return the mean at full weight of the last epoch.

    Raises:
        RunError: The metric returned something else than its axis asks for.
        Stopped: A signal came; cells and the scores of other metrics stay.
    """
    name = name_of(run, metric)
    if (before := _stored(run, name)) is None:
        measured = _measured(run, name, metric)
        save(run, measured)
    else:
        measured = before.measured
    return _last(run, measured)


def kept(run: Run, evaluator: Any) -> dict[str, float] | None:
    """Return what ``measure`` would, of numbers that are there already; None when they are not, or it is no metric."""
    if not isinstance(evaluator, Metric):
        return None
    before = _stored(run, name_of(run, evaluator))
    return None if before is None else _last(run, before.measured)


def save(run: Run, measured: Measured, *, fresh: Scores | None = None) -> None:
    """Keep a metric's numbers in ``scores/<name>.json``.

    Args:
        run: The run.
        measured: Its ``name`` is that of ``name_of``.
        fresh: What was confirmed, for numbers of the confirmation.

    Raises:
        ValueError: A fact is no plain data.
    """
    gallery = run.gallery
    epochs, seeds = (fresh.epochs, fresh.seeds) if fresh else (gallery.epochs, gallery.seeds)
    scores = Scores(epochs, gallery.weights, gallery.prompts, seeds, (measured,), len(gallery.heldout), run.data.repeats)
    file = ScoreFile(_key(run, measured.name, epochs=epochs, seeds=seeds), scores)
    write_json(_path(run, measured.name, fresh=fresh is not None), file.plain())


def _path(run: Run, name: str, *, fresh: bool = False) -> Path:
    return run.folder / (FRESH if fresh else SCORES) / f"{name}.json"


def _stored(run: Run, name: str, *, epochs: Sequence[int] = (), seeds: Sequence[int] = ()) -> ScoreFile | None:
    """Return what is kept of a metric, unless something that it depends on is another by now."""
    try:
        found = read_score(_path(run, name, fresh=bool(seeds)))
    except (OSError, ValueError):
        return None
    return found if found.key == _key(run, name, epochs=epochs, seeds=seeds) else None


def _key(run: Run, name: str, *, epochs: Sequence[int] = (), seeds: Sequence[int] = ()) -> str:
    """Return the sha256 of everything that a metric's numbers depend on: its code and options, the cells, the user's own pictures."""
    gallery, kept = run.gallery, run.gallery.kept
    number = next(i for i, (_, evaluator) in enumerate(run.evaluators) if (name, evaluator) in metrics_of(run))
    choice = run.plan.many("evaluator")[number]
    metric: Metric = dict(metrics_of(run))[name]
    if "plugin_files" not in kept:
        folder = run.plan.context.folder
        kept["plugin_files"] = [hashlib.sha256((folder / path).read_bytes()).hexdigest() for path in run.plan.spec.plugins]
        own = [(item, held) for items, held in ((run.data.images, False), (run.data.heldout, True)) for item in items]
        kept["own"] = [[item.key, run.plan.data.digest(item.key), item.sample.caption or "", held] for item, held in own]
    distributions = tuple(sorted({*choice.entry.component.libraries, choice.entry.distribution} - {""}))
    named = f"packages {' '.join(distributions)}"
    if named not in kept:
        kept[named] = packages(distributions)
    cells = [*gallery.judged(epochs=epochs, seeds=seeds), *gallery.block(0, 0.0, seeds=other_seeds(run.plan))]
    content = {
        "version": VERSION,
        "use": choice.entry.qualified,
        "options": plain(choice.options),
        "content": metric.content(),
        "plugin_files": kept["plugin_files"],
        "packages": kept[named],
        "own": kept["own"],
        "weights": gallery.weights,
        "last epoch": gallery.cells.hashes[gallery.epochs[-1]],  # it may help to read
        "cells": [gallery.cells.path(cell).name for cell in cells],
    }
    return hashlib.sha256(canonical(content)).hexdigest()


def _measured(run: Run, name: str, metric: Metric) -> Measured:
    gallery = run.gallery
    _draw(run)
    shape = (len(gallery.epochs), len(gallery.weights), len(gallery.prompts), len(gallery.seeds))
    try:
        reading = _reading(run, name, metric)
    except Unreadable as why:
        nothing = np.full(shape, np.nan)
        return Measured(name, metric.axis, nothing, nothing[0, 0], gates=unread(str(why)), notes=(f"{name} measured nothing: {why}",))
    values, closeness, pairs = _values(run, reading, gallery.epochs, gallery.seeds, phase=f"measure {name}")
    notes = [f"{int(lost)} of {values.size} pictures could not be measured"] if (lost := np.isnan(values).sum()) else []
    notes += metric.notes
    facts: dict[str, Any] = {}
    if isinstance(reading, OriginalityReading):
        facts = {"pairs": pairs, "self_lock": (recalled := selflock.self_lock(reading))}
        notes += selflock.told(recalled)
    base = reading.base.reshape(shape[2:])
    return Measured(name, metric.axis, values, base, reading.references, reading.scale, reading.gates(), tuple(notes), facts, closeness)


def _draw(run: Run) -> None:
    """Draw every judged cell that is missing, and say where each is."""
    gallery = run.gallery
    if "drawn" in gallery.kept:
        return
    gallery.draw([*gallery.judged(), *gallery.block(0, 0.0, seeds=other_seeds(run.plan))])
    if gallery.failed:
        why = ", ".join(sorted(set(gallery.failed.values())))
        run.say(f"{len(gallery.failed)} judged cells could not be drawn ({why}); they are left out", severity="warning")
    write_json(run.folder / JUDGED, gallery.plain())
    gallery.kept["drawn"] = True


def _reading(run: Run, name: str, metric: Metric) -> Reading:
    """Return a prepared metric with its scale, made once in a process.

    Raises:
        Unreadable: It finds none.
    """
    made = run.gallery.kept.setdefault("readings", {})
    if name not in made:
        metric.prepare(run.gallery)
        made[name] = READINGS[metric.axis](name, metric, run.gallery, again=other_seeds(run.plan))
    found: Reading = made[name]
    return found


def _values(
    run: Run, reading: Reading, epochs: Sequence[int], seeds: Sequence[int], *, phase: str
) -> tuple[Floats, Floats | None, list[dict[str, Any]]]:
    """Measure cells: ``[E, W, P, S]``, of a style metric their closeness, of originality each epoch's nearest pairs that lie too near."""
    gallery = run.gallery
    values = np.full((len(epochs), len(gallery.weights), len(gallery.prompts), len(seeds)), np.nan)
    closeness: Floats | None = None
    pairs: list[dict[str, Any]] = []
    blocks, size = len(gallery.weights), len(gallery.prompts) * len(seeds)
    for e, epoch in enumerate(epochs):
        run.check_interrupt()
        shown = [one for weight in gallery.weights for one in gallery.pictures(epoch, weight, seeds=seeds)]
        features = reading.features(shown)  # of an epoch at once: large batches are faster
        near: list[dict[str, Any]] = []
        for w, weight in enumerate(gallery.weights):
            block = slice(w * size, (w + 1) * size)
            found = reading.read(features[block], shown[block], len(seeds))
            values[e, w] = found.reshape(len(gallery.prompts), len(seeds))
            if (close := reading.closeness(features[block])) is not None:
                closeness = np.full_like(values, np.nan) if closeness is None else closeness
                closeness[e, w] = close.reshape(len(gallery.prompts), len(seeds))
            if isinstance(reading, OriginalityReading):
                cells = gallery.block(epoch, weight, seeds=seeds)
                near += [
                    {"epoch": epoch, "weight": weight, "prompt": cell.prompt, "seed": cell.seed, "key": key, "distance": float(apart),
                     "file": gallery.cells.path(cell).name}
                    for cell, apart, key in zip(cells, *reading.nearest(features[block], shown[block]), strict=True)
                    if apart < reading.scale
                ]  # fmt: skip
        run.progress(phase, (e + 1) * blocks, len(epochs) * blocks)
        pairs += sorted(near, key=lambda pair: float(pair["distance"]))[:PAIRS]
    return values, closeness, pairs


def _last(run: Run, measured: Measured) -> dict[str, float]:
    """Return the mean at full weight of the last epoch, where there is one."""
    value = mean_of(measured.values[-1, full_weight(run.gallery.weights)])
    return {"last": value} if np.isfinite(value) else {}


# -- the ranking ---------------------------------------------------------------------------------------------------------


def rank(run: Run) -> Ranking | None:
    """Rank the epochs by what is in ``scores/``, confirm the tie set on fresh seeds, write ``ranking.json``.

    Returns:
        None when the run has no metric, or none that gave numbers.

    Raises:
        Stopped: A signal came; the ranking by the judged seeds is there.
    """
    files = [found for name, _ in metrics_of(run) if (found := _stored(run, name)) is not None]
    scores = together(files)
    if scores is None:
        return None
    rule = partial(ranked, scores, seed=run.plan.spec.run.seed)
    ranking = rule()
    _write(run, ranking)
    fresh = _confirmed(run, scores, ranking)
    if fresh is not None:
        ranking = rule(fresh=fresh)
        _write(run, ranking)
    return ranking


def _write(run: Run, ranking: Ranking) -> None:
    write_bytes(run.folder / RANKING, ranking.to_json().encode())


def _confirmed(run: Run, scores: Scores, ranking: Ranking) -> Scores | None:
    """Measure the tie set, or its best, on seeds that decided nothing; None where there is nothing to confirm."""
    seeds = run.plan.grid.fresh_seeds
    tied = sorted((one for one in ranking.epochs if one.tied), key=lambda one: -one.key.value)[:CONFIRMED]
    voices = heard(scores.measured)
    if not seeds or not tied or not voices:
        return None
    epochs = tuple(sorted(one.epoch for one in tied))
    gallery, metrics = run.gallery, dict(metrics_of(run))
    gallery.draw(gallery.judged(epochs=epochs, seeds=seeds), phase="confirm")
    fresh = Scores(epochs, scores.weights, scores.prompts, seeds, (), scores.heldout, scores.exposure)
    found: list[ScoreFile] = []
    for voice in voices:
        name = voice.name
        if _stored(run, name, epochs=epochs, seeds=seeds) is None:
            reading = _reading(run, name, metrics[name])
            values, closeness, _ = _values(run, reading, epochs, seeds, phase=f"confirm {name}")
            base = reading.numbers(gallery.pictures(0, 0.0, seeds=seeds), len(seeds)).reshape(len(gallery.prompts), len(seeds))
            measured = evolve(voice, values=values, base=base, closeness=closeness, notes=(), facts={})
            save(run, measured, fresh=fresh)
        stored = _stored(run, name, epochs=epochs, seeds=seeds)
        if stored is not None:
            found.append(stored)
    return together(found)
