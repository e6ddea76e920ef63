"""Line charts as inline SVG: axes, ticks, a thin raw line and a smoothed one; colours come from the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from attrs import frozen

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 14, 40
LOG_SPAN = 30.0  # a curve that grows by more than this is drawn on a logarithmic axis
POINTS = 600  # more points than this are averaged in groups: the file stays small


@frozen
class Chart:
    """A chart to draw.

    Attributes:
        title: For screen readers.
        unit: What the y axis shows.
        points: (step, value), steps ascending.
        marks: Steps at which epochs end: thin vertical lines.
        smooth: Whether a smoothed line is drawn over the raw one.
    """

    title: str
    unit: str
    points: tuple[tuple[float, float], ...]
    marks: tuple[float, ...] = ()
    smooth: bool = True


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return about ``count`` round numbers (1, 2, 5 times a power of ten) from ``low`` to ``high``."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(index * step, 12) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Return powers of ten between ``low`` and ``high``, and 2 and 5 times these where there are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5)):
        found = [factor * 10.0**power for power in powers for factor in factors if low * 0.999 <= factor * 10.0**power <= high * 1.001]
        if len(found) >= 3:
            return found
    return found


def smoothed(values: Sequence[float], window: int) -> list[float]:
    """Return centred means over ``window`` values, shorter at both ends."""
    sums = [0.0]
    for value in values:
        sums.append(sums[-1] + value)
    half = max(0, window // 2)
    out = []
    for index in range(len(values)):
        reach = min(half, index, len(values) - 1 - index)
        low, high = index - reach, index + reach + 1
        out.append((sums[high] - sums[low]) / (high - low))
    return out


def label(value: float) -> str:
    """Return a tick's number: ``0.05``, ``1,200``, ``3e-4``."""
    if value == 0:
        return "0"
    if abs(value) < 1e-3 or abs(value) >= 1e6:
        mantissa, _, exponent = f"{value:.2e}".partition("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return f"{value:,.6g}"


def svg(chart: Chart) -> str:
    """Return the chart as an ``<svg>`` element without scripts, styles or links; "" without points."""
    points = _thinned([(x, y) for x, y in chart.points if math.isfinite(x) and math.isfinite(y)])
    if not points:
        return ""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    logarithmic = min(ys) > 0 and max(ys) / min(ys) > LOG_SPAN
    x_low, x_high = 0.0, max(xs) or 1.0
    y_low, y_high = _range(ys, logarithmic)

    def across(x: float) -> float:
        return LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)

    def up(y: float) -> float:
        share = math.log(y / y_low) / math.log(y_high / y_low) if logarithmic else (y - y_low) / (y_high - y_low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def line(values: Sequence[float], kind: str) -> str:
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in zip(xs, values, strict=True))
        return f'<polyline class="{kind}" points="{path}"/>'

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(chart.title)}"><title>{escape(chart.title)}</title>']
    for x in chart.marks:
        if x_low < x < x_high:
            parts.append(f'<line class="mark" x1="{across(x):.1f}" x2="{across(x):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
    for y in log_ticks(y_low, y_high) if logarithmic else ticks(y_low, y_high):
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up(y):.1f}" y2="{up(y):.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{up(y) + 4:.1f}" text-anchor="end">{label(y)}</text>')
    for x in ticks(x_low, x_high):
        anchor = "middle" if across(x) < WIDTH - 30 else "end"
        parts.append(f'<text class="tick" x="{across(x):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="{anchor}">{label(x)}</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM}"/>')
    parts.append(f'<text class="unit" x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 5}" text-anchor="middle">step</text>')
    scale = f"{chart.unit}, logarithmic" if logarithmic else chart.unit
    parts.append(f'<text class="unit" x="14" y="{(HEIGHT - BOTTOM + TOP) / 2:.0f}" text-anchor="middle" '
                 f'transform="rotate(-90 14 {(HEIGHT - BOTTOM + TOP) / 2:.0f})">{escape(scale)}</text>')
    if len(points) == 1:
        parts.append(f'<circle class="dot" cx="{across(xs[0]):.1f}" cy="{up(ys[0]):.1f}" r="3"/>')
    elif chart.smooth:
        parts += [line(ys, "raw"), line(smoothed(ys, max(3, len(ys) // 12)), "curve")]
    else:
        parts.append(line(ys, "curve"))
    return "".join([*parts, "</svg>"])


def _range(values: Sequence[float], logarithmic: bool) -> tuple[float, float]:
    low, high = min(values), max(values)
    if logarithmic:
        return low / 1.3, high * 1.3
    if low == high:
        spread = abs(low) * 0.5 or 1.0
        return low - spread, high + spread
    if 0 <= low < 0.5 * high:
        low = 0.0
    spread = (high - low) * 0.06
    return (low - spread if low else 0.0), high + spread


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    size = -(-len(points) // POINTS) if points else 1
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(group[-1][0], sum(y for _, y in group) / len(group)) for group in groups]
