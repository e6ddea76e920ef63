"""The verdict in sentences; every number stands with what it was measured on."""

from __future__ import annotations

import math

from attrs import evolve

from loraspec.sweetspot.ranking import CellScore, EpochScore, Interval, Ranking

APART = 0.02
"""Between the style score and the progress: what is worth a word."""


def told(ranking: Ranking) -> Ranking:
    """Return the ranking with its sentences."""
    return evolve(ranking, sentences=tuple(_sentences(ranking)))


def _sentences(ranking: Ranking) -> list[str]:
    chosen, cell = ranking.of_epoch(ranking.epoch), ranking.cell(ranking.epoch, ranking.weight)
    if chosen is None or cell is None:
        return list(ranking.sentences)
    found = [_verdict(ranking, chosen)]
    found += _confirmation(ranking)
    found += _axes(ranking, cell)
    found += _others(ranking, chosen)
    if chosen.labels:
        found.append(f"Even epoch {chosen.epoch} has its faults: {'; '.join(label.words for label in chosen.labels)}.")
    if ranking.missing:
        found.append("Not measured, so it has no vote: " + "; ".join(f"{axis} ({why})" for axis, why in ranking.missing.items()) + ".")
    return found


def _verdict(ranking: Ranking, chosen: EpochScore) -> str:
    tied = ranking.tie_set
    if chosen.fresh is not None:
        score = f"key {chosen.fresh:.2f} on {len(ranking.fresh_seeds)} fresh seeds, {_with(chosen.key)} in the screening"
    else:
        score = f"key {_with(chosen.key)}"
    if len(ranking.epochs) == 1:
        return f"Epoch {chosen.epoch} is the only one that was judged ({score}; confidence {ranking.confidence})."
    if len(tied) == len(ranking.epochs):
        every = "both" if len(tied) == 2 else f"all {len(tied)}"
        start = f"No epoch stands out: {every} are tied, and epoch {chosen.epoch} is only where the rule's tie-breaks end"
    elif ranking.confidence == "low":
        start = f"Epoch {chosen.epoch} comes first, but not safely"
    else:
        start = f"Epoch {chosen.epoch} is the sweet spot"
    best = f"best in {chosen.best:.0%} of resamplings"
    ties = f"tied with {_list([epoch for epoch in tied if epoch != chosen.epoch])}" if len(tied) > 1 else "no other epoch is tied with it"
    return f"{start} ({score}; {best}; {ties}; confidence {ranking.confidence})."


def _confirmation(ranking: Ranking) -> list[str]:
    """Say what the screening had left, what was drawn again, and what that told apart."""
    first = [one.epoch for one in ranking.epochs if one.screened]
    again = [one.epoch for one in ranking.epochs if one.fresh is not None]
    if not again or len(first) < 2:
        return []
    drawn = "These" if again == first else f"Of these the best, {_list(again)},"
    left = list(ranking.tie_set)
    end = "and still cannot be told apart" if left == first else f"which leaves {_list(left)}"
    seeds = f"{len(ranking.fresh_seeds)} fresh seeds"
    return [f"The screening could not tell epochs {_list(first)} apart. {drawn} were drawn again on {seeds}, {end}."]


def _axes(ranking: Ranking, cell: CellScore) -> list[str]:
    parts = []
    if "style" in cell.axes:
        parts.append(f"it reaches {_percent(cell.axes['style'])} of the artist's own style{_along(cell)}")
    if "prompt" in cell.axes:
        parts.append(f"keeps {_percent(cell.axes['prompt'])} of the base's obedience to the prompt")
    if "originality" in cell.axes:
        count = round(cell.copies.value * ranking.pictures)
        are = "is" if count == 1 else "are"
        parts.append(
            f"{count or 'none'} of {ranking.pictures} pictures {are} nearer to a training picture than real works are to each other"
        )
    if "variety" in cell.axes:
        parts.append(f"its pictures of one prompt differ {_percent(cell.axes['variety'])} as much as they should")
    return [f"At weight {cell.weight:g} {_joined(parts)}."] if parts else []


def _along(cell: CellScore) -> str:
    """Say how far along the line to the artist the pictures are, where that is not what the style score says."""
    apart = abs(cell.progress.value - cell.axes["style"].value) > APART
    return f" ({cell.progress.value:.0%} of the way along the line from the base)" if apart else ""


def _others(ranking: Ranking, chosen: EpochScore) -> list[str]:
    """Speak of the strongest rival at a reduced weight, and of the ends of the training."""
    found = []
    rivals = [one for one in ranking.epochs if one.epoch != chosen.epoch and any(label.name == "over-cooked" for label in one.labels)]
    if rivals:
        rival = max(rivals, key=lambda one: one.regret.value)
        reduced = max(
            (cell for cell in ranking.cells if cell.epoch == rival.epoch and cell.weight < ranking.weight),
            key=lambda cell: -1.0 if math.isnan(cell.utility.value) else cell.utility.value,
        )
        full = ranking.cell(rival.epoch, ranking.weight)
        lost = f"loses {rival.regret.value:.2f} [{rival.regret.low:.2f}, {rival.regret.high:.2f}] at {ranking.weight:g}"
        why = _change(reduced, full) if full else ""
        found.append(f"Epoch {rival.epoch} looks better at {reduced.weight:g} ({reduced.utility.value:.2f}) but {lost}{why}: over-cooked.")
    early = [one for one in ranking.epochs if one.epoch < chosen.epoch and any(label.name == "under-cooked" for label in one.labels)]
    if early:
        last = early[-1]
        cell = ranking.cell(last.epoch, ranking.weight)
        reach = f": {cell.progress.value:.0%} of the way to the style at {ranking.weight:g}, still rising above it" if cell else ""
        which = f"Epochs {early[0].epoch} to {last.epoch} are" if len(early) > 1 else f"Epoch {last.epoch} is"
        found.append(f"{which} under-cooked{reach}.")
    copying = [one.epoch for one in ranking.epochs if any(label.name == "copying" for label in one.labels)]
    if copying:
        found.append(
            f"{'Epoch' if len(copying) == 1 else 'Epochs'} {_list(copying)} {'copies' if len(copying) == 1 else 'copy'} training pictures."
        )
    return found


def _change(reduced: CellScore, full: CellScore) -> str:
    parts = []
    for axis, title in (("style", "style"), ("prompt", "prompt"), ("originality", "originality"), ("variety", "variety")):
        if axis in full.axes and reduced.axes[axis].value - full.axes[axis].value > 0.02:
            parts.append(f"{title} {reduced.axes[axis].value:.0%} to {full.axes[axis].value:.0%}")
    return f" ({', '.join(parts)})" if parts else ""


def _with(value: Interval) -> str:
    return f"{value.value:.2f} [{value.low:.2f}, {value.high:.2f}]"


def _percent(value: Interval) -> str:
    return f"{value.value:.0%} [{value.low:.0%}, {value.high:.0%}]"


def _joined(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def _list(epochs: list[int]) -> str:
    """``3, 5 to 8``: runs of epochs are shortened."""
    runs: list[list[int]] = []
    for epoch in epochs:
        if runs and epoch == runs[-1][-1] + 1:
            runs[-1].append(epoch)
        else:
            runs.append([epoch])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" if len(run) > 2 else f"{run[0]}, {run[1]}" for run in runs)
