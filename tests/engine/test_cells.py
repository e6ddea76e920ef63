"""Cells: what names them, in which order they are drawn, what happens when memory runs out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from loraspec.engine.cells import Cell, Cells, Surroundings, read_png
from loraspec.errors import RunError, Stopped
from loraspec.values import Picture, Precision, Sampling

SIZE = (16, 12)


class Drawer:
    """The parts of a run that drawing uses; a picture's colour tells epoch, weight and seed."""

    def __init__(self, *, memory: int = 10**6, stop_after: int = 10**6) -> None:
        self.family = self.adapter = self
        self.epoch, self.weight, self.memory, self.stop_after = 0, 1.0, memory, stop_after
        self.loaded: list[int] = []
        self.weights: list[float] = []
        self.batches: list[int] = []
        self.progressed: list[tuple[str, int, int]] = []

    def use_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        self.loaded.append(epoch)

    def set_weight(self, weight: float) -> None:
        self.weight = weight
        self.weights.append(weight)

    def generate(self, pictures: Sequence[Picture], *, sampling: Sampling) -> list[Image.Image]:
        if len(pictures) > self.memory or any(picture.prompt == "too much" for picture in pictures):
            raise torch.OutOfMemoryError("out of memory")
        self.batches.append(len(pictures))
        return [Image.new("RGB", SIZE, (self.epoch if self.weight else 0, int(100 * self.weight), picture.seed)) for picture in pictures]

    def check_interrupt(self, *, save: bool = False) -> None:
        if len(self.batches) >= self.stop_after:
            raise Stopped("stopped by SIGTERM")

    def progress(self, phase: str, done: int, total: int) -> None:
        self.progressed.append((phase, done, total))


def cells(folder: Path, batch_size: int = 8, **changes: object) -> Cells:
    sampling = Sampling("ddim", 4, 2.0, *SIZE)
    surroundings = Surroundings({"denoiser": "ab"}, sampling, "cpu float32 None", {"torch": "1"})
    given = {"folder": folder, "sampling": sampling, "surroundings": surroundings, "negative": "", "hashes": {1: "a" * 64, 2: "b" * 64}}
    return Cells(**{**given, **changes}, batch_size=batch_size)  # type: ignore[arg-type]


MIXED = [Cell(2, 1.0, "p", 1), Cell(1, 0.8, "p", 1), Cell(0, 0.0, "p", 1), Cell(2, 0.8, "p", 1), Cell(1, 1.0, "p", 1), Cell(1, 0.8, "q", 2)]


def test_any_list_of_cells_loads_every_epoch_once(tmp_path: Path) -> None:
    """The base comes first, epochs once each, weights once in each, whatever the order of the list."""
    run, them = Drawer(), cells(tmp_path)
    assert them.draw(run, MIXED).drawn == 6
    assert run.loaded == [1, 2]
    assert run.weights[::2] == [0.0, 0.8, 1.0, 0.8, 1.0]
    assert run.weights[1::2] == [1.0] * 5
    assert run.batches == [1, 2, 1, 1, 1]
    assert run.progressed[-1] == ("grid", 6, 6)
    for cell in MIXED:
        assert read_png(them.path(cell)).getpixel((0, 0)) == (cell.epoch, int(100 * cell.weight), cell.seed)


def test_a_cell_asked_for_twice_is_drawn_once(tmp_path: Path) -> None:
    """Doubles in the list and a second call cost nothing."""
    run, them = Drawer(), cells(tmp_path)
    assert them.draw(run, [*MIXED, *MIXED]).cells == 6
    assert them.draw(run, MIXED).drawn == 0
    assert sum(run.batches) == 6


def test_memory_that_does_not_suffice_halves_the_batch(tmp_path: Path) -> None:
    """A batch of 8 that is too large goes in parts of 2; a cell that is too much alone fails alone, and is told."""
    run, them = Drawer(memory=2), cells(tmp_path)
    wanted = [Cell(1, 1.0, "p", seed) for seed in range(8)] + [Cell(1, 0.8, "too much", 0), Cell(1, 0.8, "p", 9)]
    drawn = them.draw(run, wanted)
    assert run.batches == [1, 2, 2, 2, 2]
    assert drawn.failed == {Cell(1, 0.8, "too much", 0): "out of memory"}
    assert drawn.drawn == 9
    assert not them.whole(Cell(1, 0.8, "too much", 0))


def test_another_error_is_no_failed_cell(tmp_path: Path) -> None:
    """What is not memory is told as it is, and the adapter is back at full weight."""
    run = Drawer()
    run.generate = lambda *_, **__: (_ for _ in ()).throw(RuntimeError("shape"))  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="shape"):
        cells(tmp_path).draw(run, MIXED)
    assert run.weight == 1.0


def test_a_signal_leaves_finished_cells(tmp_path: Path) -> None:
    """What was drawn before it stays and is not drawn again."""
    run, them = Drawer(stop_after=2), cells(tmp_path, 1)
    with pytest.raises(Stopped):
        them.draw(run, MIXED)
    assert len(list(tmp_path.glob("*.png"))) == 2
    assert them.draw(Drawer(), MIXED).drawn == 4


def test_an_epoch_that_is_not_committed_is_told(tmp_path: Path) -> None:
    """A cell of it has no name."""
    with pytest.raises(RunError, match=r"epoch 7 is not committed.* there are: 1, 2"):
        cells(tmp_path).path(Cell(7, 1.0, "p", 1))


def test_everything_that_decides_pixels_is_in_the_name(tmp_path: Path) -> None:
    """Another epoch file, weight, prompt, seed, negative, sampling, base, device or library has another name; the base has no epoch."""
    them = cells(tmp_path)
    cell = Cell(1, 1.0, "p", 1)
    others = {them.path(Cell(*parts)) for parts in [(2, 1.0, "p", 1), (1, 0.8, "p", 1), (1, 1.0, "q", 1), (1, 1.0, "p", 2)]}
    others |= {cells(tmp_path, negative="x").path(cell), cells(tmp_path, hashes={1: "c" * 64}).path(cell)}
    for field, value in [("base", {}), ("sampling", Sampling("ddim", 5, 2.0, *SIZE)), ("device", "cuda"), ("versions", {"torch": "2"})]:
        changed = SimpleNamespace(**{name: getattr(them.surroundings, name) for name in ("base", "sampling", "device", "versions")})
        setattr(changed, field, value)
        others.add(cells(tmp_path, surroundings=Surroundings(**vars(changed))).path(cell))
    assert len(others | {them.path(cell)}) == 11
    assert them.path(Cell(0, 0.0, "p", 1)) == cells(tmp_path, hashes={}).path(Cell(0, 0.0, "p", 1))


def test_the_batch_is_as_large_as_the_picture_allows() -> None:
    """Eight cells of a megapixel, 64 small ones, one that is larger than everything."""

    def at_once(width: int, height: int) -> int:
        grid = SimpleNamespace(width=width, height=height)
        table = SimpleNamespace(sampler="ddim", steps=4, guidance=1.0, negative="")
        run = SimpleNamespace(
            folder=Path(), plan=SimpleNamespace(grid=grid, spec=SimpleNamespace(grid=table)), files=SimpleNamespace(index=[]),
            family=SimpleNamespace(content=dict), precision=Precision(torch.device("cpu"), torch.float32, None),
        )  # fmt: skip
        return Cells.of(run).batch_size  # type: ignore[arg-type]

    assert [at_once(1024, 1024), at_once(64, 64), at_once(4096, 4096)] == [8, 64, 1]
