"""What a person's answers say, beside what the ranking says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any

from attrs import frozen

from loraspec.blind.answers import Answer
from loraspec.blind.fit import Strength, fit
from loraspec.finished import Finished, listed
from loraspec.sweetspot.ranking import Interval

SURE = 0.9  # share of resamplings


@frozen
class Results:
    """What was found.

    Attributes:
        sentences: What it comes to.
        rows: The epochs, the strongest first.
        answers: Number of answers.
        folder: The run's, as the user named it.
        ranking: Epoch -> key of the automatic ranking, where it has one.
        recommended: The epoch that the ranking recommends, 0 without one.
    """

    sentences: tuple[str, ...]
    rows: tuple[Strength, ...]
    answers: int
    folder: str
    ranking: dict[int, Interval]
    recommended: int

    @property
    def first(self) -> int:
        """The epoch that the eye puts first."""
        return self.rows[0].epoch

    @property
    def table(self) -> list[list[str]]:
        """Heading and rows as text."""
        found = [["epoch", "preferred to an average one", "strongest in", "won", "tied", "lost", "key of the ranking", ""]]
        for row in self.rows:
            key = self.ranking.get(row.epoch)
            marks = "recommended" if row.epoch == self.recommended else ""
            counts = (str(row.won), str(row.tied), str(row.lost))
            found.append([str(row.epoch), _share(row.chance), f"{row.best:.0%}", *counts, _key(key), marks])
        return found

    def plain(self) -> dict[str, Any]:
        """Return what the page shows."""
        return {"sentences": list(self.sentences), "table": self.table, "answers": self.answers}


def results(run: Finished, answers: Sequence[Answer], epochs: Sequence[int] = ()) -> Results | None:
    """Fit the answers; None without any.

    Args:
        run: The run.
        answers: What was answered.
        epochs: The epochs to compare; none: those that were shown.
    """
    shown = tuple(sorted({epoch for answer in answers for epoch in (answer.left, answer.right)}))
    wanted = tuple(epochs) or shown
    given = [answer for answer in answers if {answer.left, answer.right} <= set(wanted)]
    if not given:
        return None
    rows = tuple(sorted(fit(wanted, given, seed=run.seed), key=lambda row: (-row.chance.value, row.epoch)))
    keys = {one.epoch: one.key for one in run.ranking.epochs if one.epoch in wanted} if run.ranking else {}
    recommended = run.ranking.epoch if run.ranking else 0
    return Results(tuple(_sentences(run, rows, given, keys, recommended)), rows, len(given), str(run.folder), keys, recommended)


def _sentences(
    run: Finished, rows: Sequence[Strength], answers: Sequence[Answer], keys: dict[int, Interval], recommended: int
) -> list[str]:
    first = rows[0]
    pairs = f"{len(answers)} pair{'' if len(answers) == 1 else 's'}"
    if all(answer.winner is None for answer in answers):
        return [f"In none of {pairs} was one picture better than the other."]
    if first.best >= SURE:
        found = [f"Of {pairs}, your eye prefers epoch {first.epoch} (strongest in {first.best:.0%} of resamplings)."]
    else:
        close = tuple(sorted(row.epoch for row in rows if row.best >= 1 - SURE))
        unsure = f"Of {pairs}, your eye puts epoch {first.epoch} first, but not safely (strongest in {first.best:.0%} of resamplings)"
        found = [f"{unsure}; epochs {listed(close)} could be the best. More pairs would tell."]
    if recommended:
        same = "too" if recommended == first.epoch else f"not this one but epoch {recommended}"
        found.append(f"The ranking recommends {'it ' if recommended == first.epoch else ''}{same}.")
    agreed, decided = _agreement(answers, keys)
    if decided:
        told = f"{decided} pair{'' if decided == 1 else 's'} of epochs that you told apart"
        found.append(f"Of {told}, {agreed} {'stands' if agreed == 1 else 'stand'} in the ranking's order.")
    found.append(f"Take it with: loraspec pick {run.folder} {first.epoch}")
    return found


def _agreement(answers: Sequence[Answer], keys: dict[int, Interval]) -> tuple[int, int]:
    """Return how many pairs of epochs stand in the ranking's order, of those of which one was preferred more often."""
    agreed = decided = 0
    for one, other in combinations(sorted(keys), 2):
        lead = sum((answer.winner == one) - (answer.winner == other) for answer in answers if {answer.left, answer.right} == {one, other})
        apart = keys[one].value - keys[other].value
        if lead and math.isfinite(apart) and apart:
            decided += 1
            agreed += (lead > 0) == (apart > 0)
    return agreed, decided


def _share(value: Interval) -> str:
    return f"{value.value:.0%} [{value.low:.0%}, {value.high:.0%}]"


def _key(value: Interval | None) -> str:
    if value is None or math.isnan(value.value):
        return "-"
    return f"{value.value:.2f}" + ("" if math.isnan(value.low) else f" [{value.low:.2f}, {value.high:.2f}]")
