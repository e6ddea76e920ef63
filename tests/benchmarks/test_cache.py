"""What the cache costs: an epoch's prompts encoded without it, encoded and kept, and read back; images hashed and decoded.

The kinds take turns in one process and medians are printed; read the ratios. Nothing here fails on time.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from turns import SPEC, show, taken

from loraspec.randomness import generator

PROMPTS, SIDE = 400, 1024  # of an epoch; px of an image


def test_prompts_of_an_epoch(benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the embedded base: encoded with the cache off, encoded and kept, read back."""
    from loraspec.cachefolder import cache_root, clear, files
    from loraspec.engine import device
    from loraspec.engine.interrupts import Interrupts
    from loraspec.engine.run import Run
    from loraspec.engine.text import Encodings
    from loraspec.plan import resolve

    (tmp_path / "spec.toml").write_text(SPEC)
    plan = resolve(tmp_path / "spec.toml", profiles=(), sets=())
    run = Run(plan, tmp_path, precision=device.setup(plan.spec.train, device.choose_device("cpu")), interrupts=Interrupts())
    run.load_model()
    count = 8 if benchmark.disabled else PROMPTS
    visits = [f"a {number} ship on the sea, lithography, crowd of {number * 7}, by Honoré Daumier" for number in range(count)]
    run.data = SimpleNamespace(caption=lambda visit: visit)  # type: ignore[assignment]
    steps: Any = [SimpleNamespace(micro_batches=[visits])]

    def epoch(limit: str) -> None:
        monkeypatch.setenv("LORASPEC_CACHE_MAX", limit)
        run.__dict__.pop("cache", None)
        Encodings(run).encode_epoch(steps)

    seconds: dict[str, list[tuple[float, float]]] = {"encoded": [], "encoded and kept": [], "read": []}

    def turn() -> None:
        seconds["encoded"].append(taken(lambda: epoch("0")))
        clear(cache_root())
        seconds["encoded and kept"].append(taken(lambda: epoch("20 GiB")))
        seconds["read"].append(taken(lambda: epoch("20 GiB")))

    turn()
    for rounds in seconds.values():
        rounds.clear()
    benchmark.pedantic(turn, rounds=1 if benchmark.disabled else 7)
    size = sum(file.size for file in files(cache_root()))
    show(benchmark, f"{count} prompts of the embedded base, {size / 1e6:.1f} MB", seconds)
    assert size > 0


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_image_before_the_first_step(benchmark: Any, kind: str) -> None:
    """A photograph-like image: decoded and placed in its bucket; its bytes, its pixels and its placed pixels hashed."""
    from PIL import Image

    from loraspec.dataplan import PlacedSample
    from loraspec.engine.look import pixels_sha256, prepared_pixels
    from loraspec.images import decode
    from loraspec.values import Placement, Sample

    small = generator(0, "photograph").integers(0, 256, (SIDE // 16, SIDE // 12, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(small).resize((SIDE * 3 // 2, SIDE * 9 // 8), Image.Resampling.BICUBIC).save(buffer, kind, quality=92)
    data = buffer.getvalue()
    placement = Placement(SIDE, SIDE - 256, (SIDE, SIDE - 256), (0, 0), (SIDE * 3 // 2, SIDE * 9 // 8))
    placed = PlacedSample(Sample("it", *placement.original, None, "own", "", lambda: data), placement)
    seconds: dict[str, list[tuple[float, float]]] = {"decoded and placed": [], "hashed": []}

    def turn() -> None:
        found: list[Image.Image] = []

        def decoded() -> None:
            found.append(decode(data))
            found.append(prepared_pixels(placed, found[0], []))

        seconds["decoded and placed"].append(taken(decoded))
        seconds["hashed"].append(taken(lambda: [hashlib.sha256(data).hexdigest(), *map(pixels_sha256, found)]))

    benchmark.pedantic(turn, rounds=1 if benchmark.disabled else 30)
    show(benchmark, f"one {kind} of {placement.original[0]} x {placement.original[1]} px, {len(data) / 1e3:.0f} kB", seconds)
    assert len(seconds["hashed"]) > 0
