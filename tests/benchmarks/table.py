"""What ``make bench`` prints at its end: one table (ours, floor, ratio, spread) and a line of JSON."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from typing import Any

from attrs import frozen

ROWS: list[Row] = []
FIGURES: dict[str, Any] = {}


@frozen
class Row:
    """One comparison: medians, and the ratio of each round's pair.

    Attributes:
        what: What was measured.
        ours, floor: Medians, in ``unit``.
        ratios: Of every round: ours over floor.
        note: Anything that explains it.
    """

    what: str
    ours: float
    floor: float
    ratios: tuple[float, ...]
    unit: str = "ms"
    note: str = ""

    @property
    def ratio(self) -> float:
        """The median."""
        return statistics.median(self.ratios)


def row(
    benchmark: Any, what: str, ours: Sequence[float], floor: Sequence[float], *, unit: str = "ms", scale: float = 1e3, note: str = ""
) -> Row:
    """Keep a comparison; both sequences have a value for each round, in seconds unless ``scale`` says otherwise."""
    ratios = tuple(one / other for one, other in zip(ours, floor, strict=True))
    made = Row(what, statistics.median(ours) * scale, statistics.median(floor) * scale, ratios, unit, note)
    benchmark.extra_info[what] = {"ours": made.ours, "floor": made.floor, "unit": unit, "ratio": made.ratio, "ratios": ratios}
    if not benchmark.disabled:
        ROWS.append(made)
    return made


def figure(benchmark: Any, name: str, value: Any, size: str = "") -> None:
    """Keep a number for the line of JSON, below ``size`` where there are several."""
    if not benchmark.disabled:
        if size:
            FIGURES.setdefault(name, {})[size] = value
        else:
            FIGURES[name] = value


def table() -> str:
    """Return the table, with the least and the largest ratio of the rounds as spread."""
    head = ("what", "ours", "floor", "", "ratio", "spread", "")
    body = [
        (one.what, f"{one.ours:,.1f}", f"{one.floor:,.1f}", one.unit, f"{one.ratio:.3f}",
         f"{min(one.ratios):.3f} to {max(one.ratios):.3f}", one.note)
        for one in ROWS
    ]  # fmt: skip
    widths = [max(len(line[column]) for line in (head, *body)) for column in range(len(head))]
    right = {1, 2, 4}
    lines = []
    for line in (head, *body):
        cells = zip(line, widths, strict=True)
        placed = [text.rjust(width) if column in right else text.ljust(width) for column, (text, width) in enumerate(cells)]
        lines.append("  ".join(placed).rstrip())
    return "\n".join(lines)


def last_line() -> str:
    """Return the figures as one line of JSON."""
    return json.dumps(FIGURES, sort_keys=True)
