"""Curves by epoch as inline SVG: lines, their 90 % intervals as bands, a level that means no change, the chosen epoch marked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from attrs import frozen

from loraspec_guide.grid.charts import label, ticks

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 220, 56, 14, 12, 38
LEGEND = 14  # px more above, where lines have names to tell them apart


@frozen
class Line:
    """A series by epoch.

    Attributes:
        name: For the legend, where there are several.
        kind: Its class in the page's style sheet.
        values: One an epoch; None, or no finite number, where nothing is known.
        intervals: (low, high) of each value, or none at all.
    """

    name: str
    kind: str
    values: tuple[float | None, ...]
    intervals: tuple[tuple[float, float], ...] = ()

    def known(self, epochs: Sequence[int]) -> list[tuple[int, float]]:
        """Return (epoch, value) where there is a value."""
        return [(e, v) for e, v in zip(epochs, self.values, strict=True) if v is not None and math.isfinite(v)]

    def band(self, epochs: Sequence[int]) -> list[tuple[int, float, float]]:
        """Return (epoch, low, high) where both are known."""
        bounds = zip(epochs, self.intervals, strict=True) if self.intervals else ()
        return [(e, low, high) for e, (low, high) in bounds if math.isfinite(low) and math.isfinite(high)]


def by_epoch(
    title: str, epochs: Sequence[int], lines: Sequence[Line], *, bounds: tuple[float, float] | None = None, rest: float | None = None,
    chosen: int = 0,
) -> str:  # fmt: skip
    """Return an ``<svg>`` element without scripts, styles or links; "" where no two epochs have a value.

    Args:
        title: For screen readers.
        epochs: Ascending.
        lines: What is drawn; names and title are escaped.
        bounds: Of the y axis, what lies beyond is cut; none: what the lines and ``rest`` need.
        rest: A level that gets a line of its own.
        chosen: An epoch that is marked; 0: none.
    """
    points = [point for line in lines for point in line.known(epochs)]
    if len({epoch for epoch, _ in points}) < 2:
        return ""
    edges = [edge for line in lines for _, *both in line.band(epochs) for edge in both]
    low, high = bounds or _padded([value for _, value in points] + edges + ([] if rest is None else [rest]))
    first, last = epochs[0], epochs[-1]
    top = TOP + (LEGEND if len(lines) > 1 else 0)

    def across(epoch: float) -> str:
        return f"{LEFT + (epoch - first) / (last - first) * (WIDTH - LEFT - RIGHT):.1f}"

    def up(value: float) -> str:
        return f"{HEIGHT - BOTTOM - (min(max(value, low), high) - low) / (high - low) * (HEIGHT - top - BOTTOM):.1f}"

    def level(value: float, kind: str) -> str:
        return f'<line class="{kind}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up(value)}" y2="{up(value)}"/>'

    name = escape(f"{title} by epoch")
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}"><title>{name}</title>']
    for y in ticks(low, high, 4):
        parts.append(level(y, "grid"))
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{float(up(y)) + 4:.1f}" text-anchor="end">{label(y)}</text>')
    for x in ticks(first, last):
        if x == int(x):
            parts.append(f'<text class="tick" x="{across(x)}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{x:g}</text>')
    if rest is not None:
        parts.append(level(rest, "rest"))
    if first <= chosen <= last:
        parts.append(f'<line class="chosen" x1="{across(chosen)}" x2="{across(chosen)}" y1="{top}" y2="{HEIGHT - BOTTOM}"/>')
    for place, line in enumerate(lines):
        band = line.band(epochs)
        if len(band) > 1:
            edge = [f"{across(e)},{up(h)}" for e, _, h in band] + [f"{across(e)},{up(lo)}" for e, lo, _ in band[::-1]]
            parts.append(f'<polygon class="band" points="{" ".join(edge)}"/>')
        path = " ".join(f"{across(e)},{up(v)}" for e, v in line.known(epochs))
        parts.append(f'<polyline class="{line.kind}" points="{path}"/>')
        if len(lines) > 1:
            x = LEFT + 8 + place * 190
            parts.append(f'<line class="{line.kind}" x1="{x}" x2="{x + 24}" y1="12" y2="12"/>')
            parts.append(f'<text class="tick" x="{x + 30}" y="16">{escape(line.name)}</text>')
    parts.append(f'<text class="unit" x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 5}" text-anchor="middle">epoch</text>')
    return "".join([*parts, "</svg>"])


def _padded(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    spread = 0.06 * (high - low) or 0.1
    return low - spread, high + spread
