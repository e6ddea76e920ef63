"""Captions encoded ahead against encoders that live beside the loop: seconds of an epoch and memory, with encoders of SD 1.5's size."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from benchmarks.sizes import SD15, TINY, write_spec
from benchmarks.table import row


def test_captions_ahead_and_live(benchmark: Any, tmp_path: Path, full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoch's captions of 8 pictures x 10 repeats, shuffled: in batches ahead, and one by one as a step of batch 1 would."""
    import torch

    from loraspec.engine import device
    from loraspec.engine.interrupts import Interrupts
    from loraspec.engine.run import Run
    from loraspec.engine.text import Encodings, LiveEncodings
    from loraspec.plan import resolve

    size = TINY if benchmark.disabled else SD15
    monkeypatch.setenv("LORASPEC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LORASPEC_CACHE_MAX", "0")
    plan = resolve(write_spec(tmp_path, size, size.checkpoint(full)), profiles=(), sets=())
    run = Run(plan, tmp_path, precision=device.setup(plan.spec.train, device.choose_device("cpu")), interrupts=Interrupts())
    run.load_model()
    steps = run.data.steps(1)
    captions = [[run.data.caption(visit) for part in step.micro_batches for visit in part] for step in steps]
    seconds: dict[str, list[float]] = {"ahead": [], "live": []}

    def ahead() -> None:
        encodings = Encodings(run)
        encodings.encode_epoch(steps)
        for batch in captions:
            encodings.of(batch)

    def live() -> None:
        with torch.no_grad():
            encodings = LiveEncodings(run)
            encodings.encode_epoch(steps)
            for batch in captions:
                encodings.of(batch)

    def turn() -> None:
        for name, work in (("ahead", ahead), ("live", live)):
            since = time.process_time()
            work()
            seconds[name].append(time.process_time() - since)

    benchmark.pedantic(turn, rounds=1 if benchmark.disabled else 3)
    weights = sum(weight.numel() * 4 for encoder in run.family.text_encoders.values() for weight in encoder.parameters())
    distinct = len({caption for batch in captions for caption in batch})
    row(benchmark, f"an epoch's captions, {size.name}, CPU", seconds["ahead"], seconds["live"], unit="s", scale=1,
        note=f"ahead over live; {distinct} distinct of {sum(map(len, captions))}; {weights / 1e6:,.0f} MB leave the device")  # fmt: skip
    ours, theirs = Encodings(run), LiveEncodings(run)
    ours.encode_epoch(steps)
    with torch.no_grad():
        for batch in captions[:4]:
            for name, value in ours.of(batch).items():
                torch.testing.assert_close(value, theirs.of(batch)[name], rtol=1e-4, atol=1e-4)
