"""Images on their way to latents beside the bare VAE on tensors that lie ready: what reading, hashing, decoding and keeping add."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from benchmarks.sizes import SD15, TINY, write_spec
from benchmarks.table import row


def test_latents_over_the_bare_vae(benchmark: Any, tmp_path: Path, full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of 256 px through the full-size VAE of SD 1.5; the cache is empty each time, and written."""
    import torch
    from PIL import Image

    from loraspec.engine import device
    from loraspec.engine.interrupts import Interrupts
    from loraspec.engine.prepare import prepare, to_tensor
    from loraspec.engine.run import Run
    from loraspec.plan import resolve

    size = TINY if benchmark.disabled else evolve(SD15, side=256, images=6)
    spec = write_spec(tmp_path, size, size.checkpoint(full))
    monkeypatch.setenv("LORASPEC_CACHE", str(tmp_path / "cache"))
    plan = resolve(spec, profiles=(), sets=())
    run = Run(plan, tmp_path / "run", precision=device.setup(plan.spec.train, device.choose_device("cpu")), interrupts=Interrupts())
    (tmp_path / "run" / "epochs").mkdir(parents=True)
    run.load_model()
    tensors = [to_tensor(Image.open(path).convert("RGB"))[None] for path in sorted((tmp_path / "images").glob("*.png"))]
    seconds: dict[str, list[float]] = {"ours": [], "bare": []}

    def ours() -> None:
        assert len(prepare(run)) == size.images

    def bare() -> None:
        vae: Any = run.family.vae  # type: ignore[attr-defined]
        with torch.no_grad():
            for tensor in tensors:
                vae.encode(tensor)

    def turn() -> None:
        for name, work in (("ours", ours), ("bare", bare)):
            shutil.rmtree(tmp_path / "cache", ignore_errors=True)
            run.__dict__.pop("cache", None)
            since = time.process_time()
            work()
            seconds[name].append(time.process_time() - since)

    turn()
    for taken in seconds.values():
        taken.clear()
    benchmark.pedantic(turn, rounds=1 if benchmark.disabled else 5)
    made = row(benchmark, f"latents of {size.images} pictures of {size.side} px over the bare VAE, CPU", seconds["ours"], seconds["bare"])
    assert made.ratio > 0
