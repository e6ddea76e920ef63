"""How cost grows with images, rank, epochs and cells: ``make growth`` writes the plots and the numbers of docs/performance.md.

CPU seconds on one thread, on the embedded base; each point is the least of two, for what else a machine does only adds.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from attrs import asdict, evolve, frozen
from benchmarks.sizes import EMBEDDED, write_spec
from loraspec_guide.grid.charts import label, ticks

IMAGES: Final = (30, 300, 3_000)
RANKS: Final = (4, 8, 16, 32, 64, 128)
EPOCHS: Final = (1, 5, 10, 20, 40)
CELLS: Final = (10, 50, 100, 200, 400)
TIMES: Final = 2
STEPS: Final = 10
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 420, 250, 62, 42, 30  # px of a plot


@frozen
class Growth:
    """One plot: names of the axes, and points (x, y)."""

    title: str
    across: str
    up: str
    points: tuple[tuple[float, float], ...]

    @property
    def line(self) -> tuple[float, float]:
        """Least squares of ``y = start + slope x``, each point weighed by its own size, so that small ones count."""
        weights = [1 / y**2 for _, y in self.points]
        whole = sum(weights)
        mean_x = sum(w * x for w, (x, _) in zip(weights, self.points, strict=True)) / whole
        mean_y = sum(w * y for w, (_, y) in zip(weights, self.points, strict=True)) / whole
        over = sum(w * (x - mean_x) * (y - mean_y) for w, (x, y) in zip(weights, self.points, strict=True))
        under = sum(w * (x - mean_x) ** 2 for w, (x, _) in zip(weights, self.points, strict=True))
        slope = over / under
        return mean_y - slope * mean_x, slope

    @property
    def off(self) -> float:
        """The largest distance of a point from the line, as a share of the point."""
        start, slope = self.line
        return max(abs(start + slope * x - y) / y for x, y in self.points)


def least(work: Callable[[], Any]) -> float:
    """Return the least CPU seconds of several tries."""
    found = []
    for _ in range(TIMES):
        since = time.process_time()
        work()
        found.append(time.process_time() - since)
        gc.collect()
    return min(found)


def by_images(folder: Path) -> Iterator[tuple[float, float]]:
    """Images -> seconds of planning and preparing them, with nothing cached."""
    from benchmarks.whole import opened

    for count in IMAGES:
        place = folder / f"images-{count}"
        spec = write_spec(place, evolve(EMBEDDED, images=count), EMBEDDED.checkpoint(folder))

        def work(spec: Path = spec, place: Path = place) -> None:
            for left in (place / "cache", *place.glob("run-*")):
                shutil.rmtree(left, ignore_errors=True)
            os.environ["LORASPEC_CACHE"] = str(place / "cache")
            opened(spec)

        yield count, least(work)


def by_rank(folder: Path) -> Iterator[tuple[float, float]]:
    """Rank -> milliseconds of a step of the default optimizer."""
    import pytest
    from benchmarks.whole import Whole, opened

    for rank in RANKS:
        spec = write_spec(folder / f"rank-{rank}", EMBEDDED, EMBEDDED.checkpoint(folder))
        text = spec.read_text(encoding="utf-8").replace("rank = 16\nalpha = 16", f"rank = {rank}\nalpha = {rank}")
        spec.write_text(text, encoding="utf-8")
        with pytest.MonkeyPatch.context() as patch:
            whole = Whole(*opened(spec), patch)
            whole.steps(whole.prepare(STEPS))
            yield rank, least(lambda whole=whole: whole.steps(whole.prepare(STEPS))) / STEPS * 1e3  # type: ignore[misc]


def by_epochs(folder: Path) -> Iterator[tuple[float, float]]:
    """Epochs of four steps -> seconds of a whole run that is not judged."""
    from loraspec.engine.execute import execute
    from loraspec.plan import resolve

    spec = write_spec(folder / "epochs", evolve(EMBEDDED, images=8), EMBEDDED.checkpoint(folder))
    os.environ["LORASPEC_CACHE"] = str(folder / "epochs" / "cache")
    for count in EPOCHS:
        sets = [f"train.epochs={count}", "data.repeats=2"]
        plan = resolve(spec, profiles=(), sets=tuple(sets))
        target = folder / "epochs" / f"run-{count}"

        def work(plan: Any = plan, target: Path = target, sets: Sequence[str] = sets) -> None:
            shutil.rmtree(target, ignore_errors=True)
            execute(plan, folder=target, command={"spec": str(spec), "profiles": [], "sets": list(sets)})

        work()  # fills the cache
        yield count, least(work)


def by_cells(folder: Path) -> Iterator[tuple[float, float]]:
    """Cells of four steps -> seconds of drawing them."""
    from loraspec.engine.cells import Cell, Cells
    from loraspec.engine.execute import execute
    from loraspec.plan import resolve

    spec = write_spec(folder / "cells", evolve(EMBEDDED, images=8), EMBEDDED.checkpoint(folder))
    sets = ["train.epochs=5", "data.repeats=1", "grid.steps=4", "grid.sampler='ddim'"]
    plan = resolve(spec, profiles=(), sets=tuple(sets))
    run = execute(plan, folder=folder / "cells" / "run", command={"spec": str(spec), "profiles": [], "sets": sets})
    run.to_generating()
    cells = Cells.of(run)
    every = [Cell(epoch, weight, f"a ship number {prompt}", seed) for epoch in range(1, 6) for weight in (0.8, 1.0)
             for prompt in range(10) for seed in range(4)]  # fmt: skip
    for count in CELLS:
        part = every[:: len(every) // count][:count]

        def work(part: Sequence[Cell] = part) -> None:
            shutil.rmtree(cells.folder, ignore_errors=True)
            cells.draw(run, part)

        yield count, least(work)


def svg(plots: Sequence[Growth]) -> str:
    """Return the plots in two columns, dots and their line."""
    rows = -(-len(plots) // 2)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {rows * HEIGHT}" font-family="sans-serif" font-size="12">',
           '<rect width="100%" height="100%" fill="#fff"/>']  # fmt: skip
    for number, plot in enumerate(plots):
        out.append(f'<g transform="translate({number % 2 * WIDTH} {number // 2 * HEIGHT})">{"".join(_panel(plot))}</g>')
    return "\n".join([*out, "</svg>", ""])


def _panel(plot: Growth) -> Iterator[str]:
    right, floor = WIDTH - 18, HEIGHT - BOTTOM
    most_x, most_y = max(x for x, _ in plot.points) * 1.04, max(y for _, y in plot.points) * 1.1

    def place(x: float, y: float) -> tuple[float, float]:
        return round(LEFT + x / most_x * (right - LEFT), 1), round(floor - max(y, 0) / most_y * (floor - TOP), 1)

    yield f'<text x="{LEFT}" y="18" font-weight="bold" fill="#222">{escape(plot.title)}</text>'
    for value in ticks(0, most_y, 4):
        _, y = place(0, value)
        yield f'<path d="M{LEFT} {y}H{right}" stroke="#ddd"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end" fill="#555">{label(value)}</text>'
    for value in ticks(0, most_x, 5):
        x, _ = place(value, 0)
        yield f'<text x="{x}" y="{floor + 16}" text-anchor="middle" fill="#555">{label(value)}</text>'
    start, slope = plot.line
    (x1, y1), (x2, y2) = place(0, start), place(most_x, start + slope * most_x)
    yield f'<path d="M{x1} {y1}L{x2} {y2}" stroke="#1f6feb" stroke-width="1.5"/>'
    yield "".join('<circle cx="{}" cy="{}" r="3.5" fill="#1f6feb"/>'.format(*place(x, y)) for x, y in plot.points)
    yield f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 8}" text-anchor="middle" fill="#222">{escape(plot.across)}</text>'
    middle = (TOP + floor) / 2
    yield f'<text x="14" y="{middle}" transform="rotate(-90 14 {middle})" text-anchor="middle" fill="#222">{escape(plot.up)}</text>'


def main() -> None:
    """Measure, draw, write."""
    import torch

    torch.set_num_threads(1)
    root = Path(__file__).parents[2] / "docs"
    made = (
        ("Images: plan, read, encode", "images", "CPU seconds", by_images),
        ("Rank: a step of batch 4", "rank", "CPU ms", by_rank),
        ("Epochs of 4 steps: a whole run", "epochs", "CPU seconds", by_epochs),
        ("Cells of 4 steps: drawing", "cells", "CPU seconds", by_cells),
    )  # fmt: skip
    plots = []
    with tempfile.TemporaryDirectory() as folder:
        for title, across, up, measured in made:
            plots.append(Growth(title, across, up, tuple(measured(Path(folder)))))
            start, slope = plots[-1].line
            told = ", ".join(f"{x:g}: {y:.3g}" for x, y in plots[-1].points)
            sys.stdout.write(f"{title}: {told}; line {start:.3g} + {slope:.3g} x, off by at most {plots[-1].off:.0%}\n")
            sys.stdout.flush()
    (root / "img" / "growth.svg").write_text(svg(plots), encoding="utf-8")
    rows = [{**asdict(one), "line": one.line, "off": one.off} for one in plots]
    (root / "experiments" / "growth.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
