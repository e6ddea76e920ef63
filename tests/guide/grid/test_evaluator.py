"""The grid evaluator: which cells it renders, when, and what it leaves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from loraspec_guide.grid.evaluator import Grid, Layout
from loraspec_guide.grid.folder import contact_weight
from PIL import Image

from loraspec.engine.cells import Surroundings, read_png
from loraspec.errors import Stopped
from loraspec.spec.schema import GridTable
from loraspec.values import Picture, Precision, Sampling


class FakeRun:
    """The parts of a run that an evaluator uses; the colour of a picture tells epoch, weight, prompt and seed."""

    def __init__(self, folder: Path, *, committed: Sequence[int] = (1, 2, 3), stop_after: int = 10**6) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.family = self.adapter = self
        self.precision = Precision(torch.device("cpu"), torch.float32, None)
        grid = SimpleNamespace(epochs=(1, 2, 3), weights=(0.5, 1.0), prompts=("a", "b"), seeds=(7, 8), width=32, height=24)
        self.plan = SimpleNamespace(grid=grid, spec=SimpleNamespace(grid=GridTable(negative="blur", sampler="ddim", steps=4)))
        self.files = SimpleNamespace(index=[{"epoch": n, "files": [{"path": f"e{n}", "sha256": f"{n:064x}"}]} for n in committed])
        self.epoch, self.weight, self.stop_after = 0, 1.0, stop_after
        self.calls: list[tuple[int, float, int]] = []
        self.loaded: list[int] = []
        self.progressed: list[tuple[str, int, int]] = []
        self.said: list[str] = []

    def content(self) -> dict[str, str]:
        return {"denoiser": "ab"}

    def use_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        self.loaded.append(epoch)

    def set_weight(self, weight: float) -> None:
        self.weight = weight

    def generate(self, pictures: Sequence[Picture], *, sampling: Sampling) -> list[Image.Image]:
        self.calls.append((self.epoch, self.weight, len(pictures)))
        assert (sampling.sampler, sampling.steps, sampling.width, sampling.height) == ("ddim", 4, 32, 24)
        assert all(p.negative == "blur" for p in pictures)
        epoch = self.epoch if self.weight else 0
        return [Image.new("RGB", (32, 24), (50 * epoch, int(100 * self.weight), 10 * p.seed + ord(p.prompt) % 2)) for p in pictures]

    def check_interrupt(self, *, save: bool = False) -> None:
        if len(self.calls) >= self.stop_after:
            raise Stopped("stopped by SIGTERM")

    def progress(self, phase: str, done: int, total: int) -> None:
        self.progressed.append((phase, done, total))

    def say(self, text: str, *, severity: str = "info") -> None:
        self.said.append(text)


def cells(run: FakeRun) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run.folder / "grid" / "cells").glob("*.png")}


def test_every_cell_is_rendered_once_and_the_base_once_for_all_epochs(tmp_path: Path) -> None:
    """Three epochs, two weights, two prompts and two seeds: 24 cells, and 4 without LoRA at weight 0."""
    run = FakeRun(tmp_path)
    assert Grid(batch_size=3).evaluate(run) == {"cells": 28.0, "rendered": 28.0}
    assert len(cells(run)) == 28
    assert sum(size for _, weight, size in run.calls if weight == 0) == 4
    assert run.loaded == [1, 2, 3]
    assert max(size for *_, size in run.calls) == 3
    assert run.progressed[-1] == ("grid", 28, 28)
    assert run.weight == 1.0


def test_the_index_leads_to_the_right_pixels(tmp_path: Path) -> None:
    """Each cell of the index holds the picture of its epoch, weight, prompt and seed."""
    run = FakeRun(tmp_path)
    Grid().evaluate(run)
    index = json.loads((run.folder / "grid" / "index.json").read_text())
    for cell in index["cells"]:
        pixel = read_png(run.folder / "grid" / "cells" / cell["file"]).getpixel((0, 0))
        prompt, seed = index["prompts"][cell["prompt"]], index["seeds"][cell["seed"]]
        assert pixel == (50 * cell["epoch"], int(100 * cell["weight"]), 10 * seed + ord(prompt) % 2)


def test_cells_that_are_there_are_not_rendered_again(tmp_path: Path) -> None:
    """A second evaluation renders nothing, loads nothing and leaves the same bytes; one missing cell costs one picture."""
    first, second, third = (FakeRun(tmp_path) for _ in range(3))
    Grid().evaluate(first)
    before = cells(first)
    assert Grid().evaluate(second)["rendered"] == 0
    assert (second.calls, second.loaded) == ([], [])
    index = json.loads((tmp_path / "grid" / "index.json").read_text())
    gone = next(cell["file"] for cell in index["cells"] if (cell["epoch"], cell["weight"], cell["prompt"], cell["seed"]) == (2, 0.5, 1, 0))
    (tmp_path / "grid" / "cells" / gone).unlink()
    assert Grid().evaluate(third)["rendered"] == 1
    assert third.calls == [(2, 0.5, 1)]
    assert cells(third) == before


def test_a_damaged_cell_is_rendered_again(tmp_path: Path) -> None:
    """Half a PNG is no cell."""
    run = FakeRun(tmp_path)
    Grid().evaluate(run)
    before = cells(run)
    name = sorted(before)[0]
    (tmp_path / "grid" / "cells" / name).write_bytes(before[name][: len(before[name]) // 2])
    assert Grid().evaluate(FakeRun(tmp_path))["rendered"] == 1
    assert cells(run) == before


def test_a_stopped_grid_goes_on_where_it_was(tmp_path: Path) -> None:
    """A signal between two batches ends it; what was rendered stays, and the rest comes later to the same bytes."""
    whole = FakeRun(tmp_path / "whole")
    Grid(batch_size=2).evaluate(whole)
    run = FakeRun(tmp_path / "cut", stop_after=5)
    with pytest.raises(Stopped):
        Grid(batch_size=2).evaluate(run)
    assert len(cells(run)) == 10
    assert run.weight == 1.0
    again = FakeRun(tmp_path / "cut")
    assert Grid(batch_size=2).evaluate(again)["rendered"] == 18
    assert cells(again) == cells(whole)


def test_a_run_that_ended_early_shows_the_epochs_it_has(tmp_path: Path) -> None:
    """Planned epochs without a file are left out; without any planned one, the last committed epoch stands in."""
    assert Layout.of(FakeRun(tmp_path, committed=(1, 2))).epochs == (1, 2)
    assert Layout.of(FakeRun(tmp_path, committed=(4,))).epochs == (4,)


def test_sheets_contact_and_report_are_left(tmp_path: Path) -> None:
    """One sheet for each prompt and seed, one overview, one report."""
    run = FakeRun(tmp_path)
    Grid().evaluate(run)
    names = sorted(
        path.relative_to(tmp_path / "grid").as_posix() for path in (tmp_path / "grid").rglob("*.png") if "cells" not in path.parts
    )
    assert names == ["contact.png", *(f"sheets/prompt-{p}-seed-{s}.png" for p in (1, 2) for s in (7, 8))]
    assert (tmp_path / "report.html").read_text().count("data:image/webp") > 28
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 8},
        {"prompt": "b"},
        {"negative": "x"},
        {"sha": "2"},
        {"weight": 0.5},
        {"steps": 5},
        {"base": "cd"},
        {"device": "cuda"},
        {"torch": "3"},
    ],
)
def test_a_cell_key_depends_on_everything_that_decides_pixels(change: dict[str, Any]) -> None:
    """Another seed, prompt, file, weight, sampling, base, device or library is another cell."""

    def key(
        seed: int = 7,
        prompt: str = "a",
        negative: str = "",
        sha: str = "1",
        weight: float = 1.0,
        steps: int = 4,
        base: str = "ab",
        device: str = "cpu",
        **versions: str,
    ) -> str:
        surroundings = Surroundings({"unet": base}, Sampling("ddim", steps, 7.0, 32, 32), device, versions)
        return surroundings.key(Picture(prompt, seed, negative), epoch_sha256=sha, weight=weight)

    assert key(**change) != key()
    assert key() == key()
    assert key(weight=0.0, sha="1") == key(weight=0.0, sha="2")


def test_contact_weight_is_the_one_nearest_to_one() -> None:
    """A tie goes to the smaller weight; without weights there is only the base."""
    assert contact_weight((0.4, 0.9, 1.2)) == 0.9
    assert contact_weight((0.8, 1.2)) == 0.8
    assert contact_weight(()) == 0.0


def test_a_cell_that_memory_does_not_suffice_for_fails_alone(tmp_path: Path) -> None:
    """A batch is tried cell by cell; what is too much alone is marked in index, sheets and report, and comes when there is room."""

    class Small(FakeRun):
        def generate(self, pictures: Sequence[Picture], *, sampling: Sampling) -> list[Image.Image]:
            if len(pictures) > 1 or (self.epoch, self.weight, pictures[0].prompt, pictures[0].seed) == (2, 1.0, "b", 8):
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return super().generate(pictures, sampling=sampling)

    run = Small(tmp_path)
    assert Grid(batch_size=4).evaluate(run) == {"cells": 28.0, "rendered": 27.0, "failed": 1.0}
    index = json.loads((tmp_path / "grid" / "index.json").read_text())
    (cell,) = [cell for cell in index["cells"] if "failed" in cell]
    assert (cell["epoch"], cell["weight"], cell["prompt"], cell["seed"], cell["failed"]) == (2, 1.0, 1, 1, "out of memory")
    assert "1 of 28 cells could not be drawn (out of memory); every epoch's file is whole" in run.said
    assert (tmp_path / "report.html").read_text().count("failed: out of memory") == 1
    assert Grid().evaluate(FakeRun(tmp_path)) == {"cells": 28.0, "rendered": 1.0}
    assert "failed: out of memory" not in (tmp_path / "report.html").read_text()


def test_another_error_of_the_model_is_no_matter_of_memory(tmp_path: Path) -> None:
    """It goes on to whoever called."""

    class Broken(FakeRun):
        def generate(self, pictures: Sequence[Picture], *, sampling: Sampling) -> list[Image.Image]:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        Grid().evaluate(Broken(tmp_path))
