"""What options for less memory cost: whole steps with gradient checkpointing, and with the U-Net in 8 bits, over the plain step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from benchmarks.sizes import EMBEDDED, SD15, Size, write_spec
from benchmarks.table import row
from benchmarks.whole import Whole, clock, opened

OPTIONS = {
    "plain": ("", ""),
    "gradient_checkpointing": ("gradient_checkpointing = false", "gradient_checkpointing = true"),
    "unet_dtype float8": ("[data]\n", 'unet_dtype = "float8"\n[data]\n'),
    "unet_dtype int8": ("[data]\n", 'unet_dtype = "int8"\n[data]\n'),
}


def test_options_over_the_plain_step_embedded(benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded base."""
    _measured(benchmark, EMBEDDED, tmp_path, tmp_path, monkeypatch)


def test_options_over_the_plain_step_sd15(benchmark: Any, tmp_path: Path, full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The full-size SD 1.5."""
    if benchmark.disabled:
        pytest.skip("the embedded base shows that it works")
    _measured(benchmark, SD15, tmp_path, full, monkeypatch)


def _measured(benchmark: Any, size: Size, folder: Path, bases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORASPEC_CACHE", str(folder / "cache"))
    checkpoint = size.checkpoint(bases)
    wholes = {}
    for name, (before, after) in OPTIONS.items():
        place = folder / name.replace(" ", "-")
        spec = write_spec(place, size, checkpoint)
        text = spec.read_text(encoding="utf-8")
        assert before in text
        spec.write_text(text.replace(before, after, 1) if before else text, encoding="utf-8")
        wholes[name] = Whole(*opened(spec), monkeypatch)
    seconds: dict[str, list[float]] = {name: [] for name in wholes}

    def turn() -> None:
        for name, whole in wholes.items():
            steps = whole.prepare(size.steps)
            since = clock()
            whole.steps(steps)
            seconds[name].append((clock() - since) / size.steps)

    turn()
    for taken in seconds.values():
        taken.clear()
    benchmark.pedantic(turn, rounds=1 if benchmark.disabled else 5)
    kept = {name: sum(one.numel() * one.element_size() for one in whole.run.family.denoiser.state_dict().values())
            for name, whole in wholes.items()}  # fmt: skip
    for name in list(wholes)[1:]:
        note = f"{kept[name] / 1e6:,.0f} MB of weights, {kept['plain'] / 1e6:,.0f} plain"
        row(benchmark, f"step, {size.name}, {name} over plain", seconds[name], seconds["plain"], note=note)
    assert kept["unet_dtype int8"] < kept["plain"]
