"""A folder of ten thousand images: how long its plan takes, and how much memory, beside one of a thousand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.table import figure, row

from loraspec.randomness import generator

SPEC = """\
loraspec = 1
evaluators = []
[run]
name = "many"
[model]
use = "sdxl"
checkpoint = "package:loraspec_picturebook/base"
[data]
resolution = 64
buckets = { step = 16, min = 16, max = 128, upscale = true }
[[data.sources]]
use = "folder"
path = "images"
rights = "own"
"""
PROBE = """
import json, sys
from loraspec.cli import main
main(["plan", sys.argv[1], "--json"], standalone_mode=False)
lines = open("/proc/self/status").read().splitlines()
print(json.dumps({"peak": next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))}))
"""


def test_plan_of_many_images(benchmark: Any, tmp_path: Path) -> None:
    """Small PNG files with a caption each; ten times as many should take ten times as long and hardly more memory."""
    from PIL import Image

    counts = (20, 40) if benchmark.disabled else (1_000, 10_000)
    for count in counts:
        folder = tmp_path / str(count) / "images"
        folder.mkdir(parents=True)
        (folder.parent / "many.toml").write_text(SPEC)
        for number in range(count):
            pixels = generator(0, "many", number).integers(0, 256, (24, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number:05}.png", compress_level=1)
            (folder / f"{number:05}.txt").write_text(f"picture {number}, dots, in colour, many, by Nobody", encoding="utf-8")
    seconds: dict[int, list[float]] = {count: [] for count in counts}
    peaks: dict[int, list[float]] = {count: [] for count in counts}

    def turn() -> None:
        for count in counts:
            since = time.perf_counter()
            done = subprocess.run([sys.executable, "-c", PROBE, str(tmp_path / str(count) / "many.toml")], capture_output=True, text=True,
                                  cwd=tmp_path, env=dict(os.environ), check=False)  # fmt: skip
            seconds[count].append(time.perf_counter() - since)
            assert done.returncode == 0, done.stderr
            peaks[count].append(json.loads(done.stdout.splitlines()[-1])["peak"])

    benchmark.pedantic(turn, rounds=1 if benchmark.disabled else 3)
    few, many = counts
    row(benchmark, f"plan of {many:,} images over {few:,}, clock", seconds[many], seconds[few], unit="s", scale=1)
    row(benchmark, f"plan of {many:,} images over {few:,}, resident", peaks[many], peaks[few], unit="MB", scale=1e-6)
    figure(benchmark, "plan_of_10000_images_s", round(min(seconds[many]), 1))
