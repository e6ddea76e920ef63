"""Tests of ``loraspec.engine.looking``: samples between epochs, ``[grid] every = "epoch"``."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from loraspec.engine.cells import Cells, read_png
from loraspec.engine.looking import looking
from loraspec.engine.store import read_tensors
from loraspec.errors import EXIT_STOPPED, RunError
from loraspec.testing import TINY_SPEC

pytestmark = pytest.mark.usefixtures("tiny_plugin")

SEED = "seeds = [5, 6]\n"
EARLY = TINY_SPEC.replace("[grid]\n", f'[grid]\n{SEED}every = "epoch"\n')
LATE = TINY_SPEC.replace("[grid]\n", f"[grid]\n{SEED}")


def weights(folder: Path) -> list[dict[str, bytes]]:
    """Tensors of every epoch file; their headers name the spec, which differs in ``every``."""
    found = []
    for path in sorted((folder / "epochs").glob("*.safetensors")):
        tensors, _ = read_tensors(path)
        found.append({name: tensor.numpy().tobytes() for name, tensor in tensors.items()})
    return found


def cells(folder: Path) -> list[bytes]:
    return sorted(read_png(path).tobytes() for path in (folder / "grid" / "cells").iterdir())


def test_looking_changes_no_bit_and_draws_the_grid_s_own_cells(run_spec: Callable[..., Any]) -> None:
    """Epoch files are equal with and without; what was drawn early is what the grid would have drawn."""
    early, late = run_spec(EARLY, folder="early"), run_spec(LATE, folder="late")
    early.assert_success()
    assert weights(early.folder) == weights(late.folder) != []
    assert cells(early.folder) == cells(late.folder)
    assert (early.folder / "grid" / "progress.png").is_file()
    assert not (late.folder / "grid" / "progress.png").exists()


def test_cells_are_there_before_training_ends(run_spec: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """After epoch 1: the base and epoch 1, of the first seed; after epoch 2 only epoch 2 is new; what fails is told and costs nothing."""
    drawn: list[tuple[str, list[int]]] = []
    whole = Cells.draw

    def draw(self: Cells, run: Any, wanted: Any, *, phase: str = "grid") -> Any:
        cells = list(wanted)
        drawn.append((phase, [cell.epoch for cell in cells if not self.whole(cell)]))
        if len(drawn) == 2:
            raise RunError("no luck")
        return whole(self, run, cells, phase=phase)

    monkeypatch.setattr(Cells, "draw", draw)
    outcome = run_spec(EARLY)
    outcome.assert_success()
    assert drawn == [("sample", [0, 1]), ("sample", [2]), ("grid", [0, 1, 2, 2])]
    assert "epoch 2 could not be drawn yet (RunError: no luck); training goes on" in " ".join((outcome.out + outcome.err).split())


def test_a_signal_meanwhile_stops_the_run_which_ends_in_the_same_bits(
    run_spec: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped between two epochs: nothing is lost, and nothing of the look stays in the weights."""
    import os
    import signal

    late = run_spec(LATE, folder="late")
    whole, times = Cells.draw, []

    def draw(self: Cells, run: Any, wanted: Any, *, phase: str = "grid") -> Any:
        times.append(phase)
        if len(times) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return whole(self, run, wanted, phase=phase)

    monkeypatch.setattr(Cells, "draw", draw)
    stopped = run_spec(EARLY, folder="early")
    assert (stopped.code, times) == (EXIT_STOPPED, ["sample"])
    run_spec(EARLY, folder="early").assert_success()
    assert weights(stopped.folder) == weights(late.folder)


def test_modes_places_and_weights_are_restored(run_spec: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the look fails: training mode, gradients and float32 weights are as they were."""
    from loraspec_guide.grid import evaluator

    seen: list[Any] = []

    def early(run: Any, layout: Any) -> None:
        before = run.adapter.state().tensors
        modes = [module.training for module in run.family.denoiser.modules()]
        with suppress(KeyError), looking(run):
            seen.append(not any(module.training for module in run.family.denoiser.modules()))
            run.use_epoch(1)
            run.adapter.set_weight(0.0)
            run.adapter.set_weight(1.0)
            raise KeyError
        after = run.adapter.state().tensors
        seen.append(all(torch.equal(after[name], tensor) for name, tensor in before.items()))
        seen.append([module.training for module in run.family.denoiser.modules()] == modes)
        seen.append(all(parameter.requires_grad and parameter.grad is None for parameter in run.parameters))

    monkeypatch.setattr(evaluator, "_early", early)
    run_spec(EARLY).assert_success()
    assert seen == [True] * 8


def test_every_key_of_the_grid_is_read_somewhere() -> None:
    """A setting that nothing reads would be ignored silently."""
    from attrs import fields

    from loraspec.spec.schema import GridTable

    root = Path(__file__).parents[2]
    code = "\n".join(path.read_text() for part in ("loraspec", "plugins/loraspec_guide") for path in sorted((root / part).rglob("*.py"))
                     if path.name not in ("schema.py", "classes.py"))  # fmt: skip
    unread = [field.name for field in fields(GridTable) if not re.search(rf"\.{field.name}\b", code)]
    assert unread == []


def test_the_grid_has_its_own_threads(run_spec: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing uses ``grid.threads``, between epochs too; training goes on with its own, and its bits are the same."""
    seen: list[int] = []
    whole = Cells.draw

    def draw(self: Cells, *given: Any, **named: Any) -> Any:
        seen.append(torch.get_num_threads())
        return whole(self, *given, **named)

    monkeypatch.setattr(Cells, "draw", draw)
    before = torch.get_num_threads()
    try:
        pinned = EARLY.replace("[train]\n", "[train]\nthreads = 1\n")
        plain = run_spec(pinned, folder="plain")
        assert set(seen) == {1}
        seen.clear()
        threaded = run_spec(pinned.replace("[grid]\n", "[grid]\nthreads = 3\n"), folder="threaded")
        assert set(seen) == {3}
    finally:
        torch.set_num_threads(before)
    threaded.assert_success()
    assert weights(plain.folder) == weights(threaded.folder) != []
