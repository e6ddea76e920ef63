"""Curves of several runs in one chart, as inline SVG without scripts, styles or links; and as a line of text."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from loraspec.comparing.sides import NAMES, Points, Side
from loraspec.escape import escaped

WIDTH, HEIGHT = 640, 280
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 14, 42
BARS = "▁▂▃▄▅▆▇█"
KINDS = 8  # colours that the style sheet knows


def chart(name: str, compared: Sequence[Side], *, style: str = "") -> str:
    """Return a chart of one quantity (see ``NAMES``) by epoch; "" when no run has it.

    Args:
        name: The quantity.
        compared: The runs.
        style: CSS to put in, for a file of its own.
    """
    series = {number: side.curves[name] for number, side in enumerate(compared) if side.curves[name]}
    if not series:
        return ""
    epochs = [epoch for points in series.values() for epoch in points]
    first, last = min(epochs), max(epochs)
    first, last = (first - 1, last + 1) if first == last else (first, last)
    low, high = _range(list(series.values()))

    def across(epoch: float) -> float:
        return LEFT + (epoch - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def up(value: float) -> float:
        return HEIGHT - BOTTOM - (min(max(value, low), high) - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    told = "; ".join(f"{compared[number].title} {_told(points)}" for number, points in series.items())
    label = escape(escaped(f"{NAMES[name]} by epoch: {told}"))
    space = ' xmlns="http://www.w3.org/2000/svg"' if style else ""
    parts = [f'<svg{space} viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">']
    parts += [f"<style>{style}</style>"] if style else []
    for value in ticks(low, high):
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up(value):.1f}" y2="{up(value):.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{up(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    for epoch in (value for value in ticks(first, last, 8) if value == int(value)):
        parts.append(f'<text class="tick" x="{across(epoch):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{epoch:g}</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM}"/>')
    parts.append(f'<text class="unit" x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 6}" text-anchor="middle">epoch</text>')
    for number, points in series.items():
        band = [(epoch, one) for epoch, one in points.items() if math.isfinite(one.low) and math.isfinite(one.high)]
        if len(band) > 1:
            edge = [*((epoch, one.high) for epoch, one in band), *((epoch, one.low) for epoch, one in reversed(band))]
            parts.append(f'<polygon class="band s{number % KINDS}" points="{_joined(edge, across, up)}"/>')
    for number, points in series.items():
        line = [(epoch, one.value) for epoch, one in points.items()]
        parts.append(f'<polyline class="line s{number % KINDS}" points="{_joined(line, across, up)}"/>')
        choice = compared[number].choice
        marked = points.get(choice.epoch) if choice else None
        dots = line if len(line) == 1 else [(choice.epoch, marked.value)] if choice and marked else []
        parts += [f'<circle class="dot s{number % KINDS}" cx="{across(x):.1f}" cy="{up(y):.1f}" r="5"/>' for x, y in dots]
    return "".join([*parts, "</svg>"])


def _joined(points: Sequence[tuple[int, float]], across: Callable[[float], float], up: Callable[[float], float]) -> str:
    return " ".join(f"{across(epoch):.1f},{up(value):.1f}" for epoch, value in points)


def _told(points: Points) -> str:
    epochs = list(points)
    return f"from {points[epochs[0]].value:.3g} at epoch {epochs[0]} to {points[epochs[-1]].value:.3g} at epoch {epochs[-1]}"


def _range(series: Sequence[Points]) -> tuple[float, float]:
    values = [one.value for points in series for one in points.values()]
    values += [end for points in series for one in points.values() for end in (one.low, one.high) if math.isfinite(end)]
    low, high = min(values), max(values)
    spread = (high - low) * 0.06 or abs(low) * 0.5 or 1.0
    return (0.0 if 0 <= low < 0.5 * high else low - spread), high + spread


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return about ``count`` round numbers between two: 1, 2 or 5 times a power of ten apart."""
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    return [round(number * step, 12) for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def rows(name: str, compared: Sequence[Side]) -> tuple[list[str], list[list[str]]]:
    """Return the numbers behind a chart: headings, and a row for each epoch."""
    epochs = sorted({epoch for side in compared for epoch in side.curves[name]})
    return ["epoch", *(side.title for side in compared)], [
        [str(epoch), *(_number(side.curves[name], epoch) for side in compared)] for epoch in epochs
    ]


def _number(points: Points, epoch: int) -> str:
    one = points.get(epoch)
    if one is None:
        return "-"
    return f"{one.value:.4g}" + ("" if math.isnan(one.low) or math.isnan(one.high) else f" [{one.low:.3g}, {one.high:.3g}]")


def sparks(name: str, compared: Sequence[Side]) -> list[tuple[str, str]]:
    """Return for each run a line of bars on one scale, and its values in words; "" where it has none."""
    values = [one.value for side in compared for one in side.curves[name].values()]
    low, span = min(values, default=0.0), max(values, default=0.0) - min(values, default=0.0)
    found = []
    for side in compared:
        points = side.curves[name]
        heights = [0 if not span else round((one.value - low) / span * (len(BARS) - 1)) for one in points.values()]
        best = (min if name == "loss" else max)(points, key=lambda epoch: points[epoch].value, default=0)
        word = "least" if name == "loss" else "most"
        last = f"{_told(points)}; {word} {points[best].value:.3g} at epoch {best}" if points else ""
        found.append(("".join(BARS[height] for height in heights), last))
    return found
