"""What exact resume, whole epochs, caches and the lock cost: the embedded recipe with and without them, in turns; read the ratio."""

from __future__ import annotations

import hashlib
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from benchmarks.table import row

SPEC = Path(__file__).parents[2] / "specs" / "daumier.toml"
EPOCHS = 4


def spent() -> tuple[float, float]:
    """Seconds of the CPU and of the clock."""
    return time.process_time(), time.perf_counter()


def without(patch: pytest.MonkeyPatch, lock: dict[str, Any]) -> None:
    """Take out of the engine what a trainer that only writes weight files does not do."""
    from loraspec.engine import commit, disk, execute, journal
    from loraspec.engine.cache import Cache
    from loraspec.engine.watch import Watch

    patch.setattr(disk.os, "fsync", lambda handle: None)
    patch.setattr(disk, "probe", lambda folder, name: None)
    patch.setattr(commit, "save", lambda run: run.folder)
    patch.setattr(commit.checkpoint, "rehearse", lambda parts, device: None)
    patch.setattr(journal.Journal, "write", lambda self, kind, **fields: None)
    patch.setattr(Watch, "saw", lambda self, step, seen: None)
    patch.setattr(Watch, "check_stream", lambda self, epoch: "")
    patch.setattr(Watch, "weights", lambda self, state: state)
    patch.setattr(Cache, "put", lambda self, *args, **names: None)
    patch.setattr(execute, "make_lock", lambda plan: lock)
    patch.setattr(execute, "lock_of_run", lambda run, lock: lock)


def test_cost_of_the_promises(benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Median ratio of CPU and of wall time of a whole training, cache cold; the weight files are the same bits."""
    from loraspec.engine.execute import execute
    from loraspec.lock import make_lock
    from loraspec.plan import resolve

    rounds, epochs = (1, 1) if benchmark.disabled else (5, EPOCHS)
    sets = [f"train.epochs={epochs}", "lr_scheduler.use=constant", "evaluators=[]", *(["data.repeats=1"] if benchmark.disabled else [])]
    plan = resolve(SPEC, profiles=("embedded",), sets=tuple(sets))
    lock, seconds, digests = make_lock(plan), dict[str, list[tuple[float, float]]](with_them=[], without=[]), set[str]()

    def train(kind: str, number: int) -> None:
        folder = tmp_path / f"{kind}-{number}"
        patched: AbstractContextManager[Any] = monkeypatch.context() if kind == "without" else nullcontext()
        with patched as patch:
            monkeypatch.setenv("LORASPEC_CACHE", str(tmp_path / f"cache-{kind}-{number}"))
            if patch is not None:
                without(patch, lock)
            cpu, wall = spent()
            execute(plan, folder=folder, command={"spec": str(SPEC), "profiles": ["embedded"], "sets": sets})
            after = spent()
            seconds[kind].append((after[0] - cpu, after[1] - wall))
        last = max((folder / "epochs").glob("*.safetensors"))
        digests.add(_weights(last))

    turns = iter(range(100))

    def turn() -> None:
        number = next(turns)
        for kind in sorted(seconds, reverse=bool(number % 2)):
            train(kind, number)

    if not benchmark.disabled:
        turn()
        for taken in seconds.values():
            taken.clear()
    benchmark.pedantic(turn, rounds=rounds)
    assert len(digests) == 1
    for which, kind in enumerate(("CPU", "clock")):
        have, lack = ([pair[which] for pair in seconds[name]] for name in ("with_them", "without"))
        row(benchmark, f"promises, {epochs} epochs with over without, {kind}", have, lack, unit="s", scale=1)


def test_hashing_beside_decoding(benchmark: Any, tmp_path: Path) -> None:
    """Reading and hashing 30 photographs of 3 megapixels takes a small part of decoding them."""
    import numpy as np
    from PIL import Image

    from loraspec.images import decode
    from loraspec.randomness import generator

    count = 2 if benchmark.disabled else 30
    for number in range(count):
        small = generator(0, "bench", number).integers(0, 256, (150, 200, 3), dtype=np.uint8)
        Image.fromarray(small).resize((2000, 1500), Image.Resampling.BICUBIC).save(tmp_path / f"{number:02}.jpg", quality=92)
    seconds: dict[str, list[float]] = {"hashed": [], "decoded": []}

    def turn() -> None:
        files = sorted(tmp_path.glob("*.jpg"))
        since = time.perf_counter()
        for file in files:
            hashlib.sha256(file.read_bytes()).hexdigest()
        between = time.perf_counter()
        for file in files:
            decode(file.read_bytes())
        seconds["hashed"].append(between - since)
        seconds["decoded"].append(time.perf_counter() - between)

    benchmark.pedantic(turn, rounds=1 if benchmark.disabled else 5)
    made = row(benchmark, f"hashing {count} photographs over decoding them, clock", seconds["hashed"], seconds["decoded"])
    assert made.ratio > 0


def _weights(path: Path) -> str:
    """sha256 of a weight file behind its header, which names the lock."""
    data = path.read_bytes()
    return hashlib.sha256(data[8 + int.from_bytes(data[:8], "little"):]).hexdigest()
