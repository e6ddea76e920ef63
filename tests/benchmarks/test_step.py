"""What a training step costs beside the smallest honest torch loop on the same U-Net; read the ratios.

Both kinds take turns in one process. loraspec's step is the engine's own: draws, caption, batch, objective, clipping, optimizer, lr
scheduler, events with three listeners, logging. Nothing here fails on time.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest
from benchmarks.sizes import EMBEDDED, SD15, SDXL_GPU, TINY, Size, write_spec
from benchmarks.table import figure, row
from benchmarks.whole import PARTS, Whole, clock, floor_of, opened

KINDS = (("adamw", "lr = 1e-4"), ("dadapt-adamw", ""))


def test_step_over_the_floor_embedded(benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded base, 64 px, batch 4."""
    _measured(benchmark, EMBEDDED, tmp_path, monkeypatch)


def test_step_over_the_floor_sd15(benchmark: Any, tmp_path: Path, full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The full-size SD 1.5 with random weights at 128 px, batch 1; where nothing is measured, a tiny one."""
    _measured(benchmark, TINY if benchmark.disabled else SD15, tmp_path, monkeypatch, bases=full)


@pytest.mark.gpu
def test_step_over_the_floor_sdxl(benchmark: Any, tmp_path: Path, full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SDXL at 1024 px, bf16, gradient checkpointing, on a GPU."""
    _measured(benchmark, SDXL_GPU, tmp_path, monkeypatch, bases=full)


def _measured(benchmark: Any, size: Size, folder: Path, monkeypatch: pytest.MonkeyPatch, *, bases: Path | None = None) -> None:
    import torch

    checkpoint = size.checkpoint(bases or folder)
    rounds, count = (1, 1) if benchmark.disabled else (7, size.steps)
    wholes = {name: Whole(*opened(write_spec(folder, size, checkpoint, name, rate)), monkeypatch) for name, rate in KINDS}
    floor = floor_of(*opened(write_spec(folder, size, checkpoint, "adafactor", "lr = 1e-4")), batch=size.batch,
                     checkpointing=size.checkpointing)  # fmt: skip
    seconds: dict[str, list[float]] = {"floor": [], **{name: [] for name in wholes}}

    def turn() -> None:
        """Each kind in turn: what disturbs one disturbs all."""
        steps = {name: whole.prepare(count) for name, whole in wholes.items()}
        since = clock()
        for _ in range(count):
            floor.step()
        seconds["floor"].append((clock() - since) / count)
        for name, whole in wholes.items():
            since = clock()
            whole.steps(steps[name])
            seconds[name].append((clock() - since) / count)

    for _ in range(0 if benchmark.disabled else 1):  # first steps build what later ones keep
        turn()
    for taken in seconds.values():
        taken.clear()
    for whole in wholes.values():
        whole.stopwatch.seconds.update(dict.fromkeys(PARTS, 0.0))
    benchmark.pedantic(turn, rounds=rounds)

    threads = torch.get_num_threads()
    for name, whole in wholes.items():
        ahead = whole.encoding_of_a_step
        share = {part: value / rounds / count * 1e3 for part, value in whole.stopwatch.seconds.items()}
        told = ", ".join(f"{part} {value:.1f}" for part, value in (share | {"encoding ahead": ahead * 1e3}).items())
        made = row(benchmark, f"step, {size.name}, {name}, {threads} threads", [taken + ahead for taken in seconds[name]], seconds["floor"],
                   note=told)  # fmt: skip
        benchmark.extra_info[name] = {"encoding_ahead_ms": ahead * 1e3, **share}
        assert whole.run.step > 0
        assert all(share[part] > 0 for part in PARTS)
        assert whole.encoder_calls == 0
        assert whole.epochs > 0
    figure(benchmark, "step_over_floor", round(made.ratio, 3), size.name)
    figure(benchmark, "encoder_calls_in_loop", sum(whole.encoder_calls for whole in wholes.values()), size.name)
    assert statistics.median(seconds["floor"]) > 0
