"""Tests of ``loraspec_guide.grid.ranked``: what the ranking adds to the sheets."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from attrs import evolve
from loraspec_guide.grid.folder import ANIMATION, pair_name
from loraspec_guide.grid.ranked import MEANS, after_ranking, animation, means
from loraspec_guide.grid.sheets import ACCENT, Row, Sheet, draw_sheet
from PIL import Image

from loraspec.engine.cells import Cell, read_png, save_png
from loraspec.metrics import Shown
from loraspec.sweetspot.ranking import CellScore, EpochScore, Interval, Ranking

NAN = float("nan")
WEIGHTS = (0.8, 1.0)


def at(value: float) -> Interval:
    return Interval(value, value, value)


def ranking(epochs: int, *, best: int = 1, utility: float = 0.5) -> Ranking:
    cells = tuple(
        CellScore(e, w, at(utility), {"style": at(0.9), "prompt": at(0.8)}, at(0.9), at(0.0)) for e in range(1, epochs + 1) for w in WEIGHTS
    )
    scores = tuple(EpochScore(e, at(0.5), at(0.0), 1.0, 0.5, e == best) for e in range(1, epochs + 1))
    return Ranking(best, 1.0, "low", (), ("",), scores, cells, {}, (), 4)


class Pictures:
    """A gallery of two prompts and two seeds; the picture of an epoch has its own grey."""

    prompts, seeds = ("a red boat", "a <b>tower</b> by the sea that has a long name, painted slowly"), (3, 4)

    def __init__(self, folder: Path, epochs: int, *, lost: int = 0) -> None:
        self.folder, self.epochs = folder, tuple(range(1, epochs + 1))
        self.cells = SimpleNamespace(path=lambda c: folder / f"{c.epoch}-{c.weight}-{self.prompts.index(c.prompt)}-{c.seed}.png")
        for epoch in (0, *self.epochs):
            for cell in self.block(epoch, 1.0 if epoch else 0.0):
                if epoch != lost or not lost:
                    save_png(self.cells.path(cell), Image.new("RGB", (64, 48), (20 * epoch,) * 3), {})

    training = tuple(Shown(Image.new("RGB", (64, 64)), "", key=key) for key in ("far.png", "near.png", "none.png"))

    def block(self, epoch: int, weight: float, *, prompts: Any = (), seeds: Any = ()) -> list[Cell]:
        return [Cell(epoch, weight, prompt, seed) for prompt in prompts or self.prompts for seed in seeds or self.seeds]


def colours(image: Image.Image) -> set[tuple[int, int, int]]:
    return {tuple(int(part) for part in row) for row in np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)}  # type: ignore[misc]


def test_everything_is_written_and_moves(tmp_path: Path) -> None:
    """Means, one contact sheet an epoch, and one frame for the base and for each epoch, longer where it matters."""
    gallery = Pictures(tmp_path / "cells", 3)
    pairs = ({"epoch": 2, "key": "near.png"}, {"epoch": 1, "key": "far.png"})
    after_ranking(gallery, evolve(ranking(3, best=2), pairs=pairs), tmp_path / "grid")  # type: ignore[arg-type]
    assert [path.name for path in (tmp_path / "grid" / "thumbs").iterdir()] == [pair_name("near.png")]
    assert sorted(path.name for path in (tmp_path / "grid" / "epochs").iterdir()) == [f"epoch-{e:03d}.png" for e in (1, 2, 3)]
    assert ACCENT in colours(read_png(tmp_path / "grid" / MEANS))
    with Image.open(io.BytesIO((tmp_path / "grid" / ANIMATION).read_bytes()), formats=("WEBP",)) as moving:
        times = []
        for number in range(moving.n_frames):
            moving.seek(number)
            moving.load()
            times.append(moving.info["duration"])
    assert times == [450, 450, 1800, 1800]


def test_the_recommended_cell_is_framed_and_no_other() -> None:
    """The frame lies about its cell: the accent is in the sheet only when one is asked for, in its row and column."""
    sheet = Sheet("t", "n", ("a", "b"), (Row("1", (Path("no"), Path("no"))), Row("2", (Path("no"), Path("no")))))
    assert ACCENT not in colours(draw_sheet(sheet))
    framed = np.asarray(draw_sheet(Sheet(sheet.title, sheet.note, sheet.columns, sheet.rows, (1, 0))))
    rows, columns = np.nonzero((framed == ACCENT).all(-1))
    assert rows.min() > framed.shape[0] * 0.45
    assert columns.max() < framed.shape[1] * 0.7


@pytest.mark.parametrize(("epochs", "moves"), [(1, False), (2, True)])
def test_a_single_epoch_does_not_move(tmp_path: Path, epochs: int, moves: bool) -> None:
    """Base and one epoch are two pictures: nothing to animate."""
    gallery = Pictures(tmp_path, epochs)
    assert (animation(gallery, ranking(epochs)) is not None) is moves  # type: ignore[arg-type]


def test_cells_that_are_missing_or_unmeasured_are_left_out(tmp_path: Path) -> None:
    """One failed epoch, no number at all, and nothing recommended: the rest is drawn."""
    gallery = Pictures(tmp_path / "cells", 3, lost=2)
    after_ranking(gallery, ranking(3, best=0, utility=NAN), tmp_path)  # type: ignore[arg-type]
    moving = animation(gallery, ranking(3, best=0))  # type: ignore[arg-type]
    with Image.open(io.BytesIO(moving or b""), formats=("WEBP",)) as opened:
        assert opened.n_frames == 3
    assert ACCENT not in colours(means(ranking(3, best=0, utility=NAN)))
