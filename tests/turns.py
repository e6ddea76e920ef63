"""Benchmarks whose kinds take turns in one process: medians, and ratios to the first kind."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

SPEC = """\
loraspec = 1
evaluators = []
[run]
name = "bench"
[model]
use = "sdxl"
checkpoint = "package:loraspec_picturebook/base"
[data]
resolution = 64
buckets = { step = 16, min = 64, max = 64 }
[[data.sources]]
use = "picturebook"
[train]
mixed_precision = "no"
device = "cpu"
"""


def taken(work: Callable[[], Any]) -> tuple[float, float]:
    """Return CPU seconds and seconds of the clock."""
    cpu, clock = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - clock


def show(capsys: pytest.CaptureFixture[str], benchmark: Any, title: str, seconds: dict[str, list[tuple[float, float]]]) -> None:
    """Print medians, and ratios to the first kind."""
    lines, first = [title], next(iter(seconds.values()))
    for name, rounds in seconds.items():
        cpu, clock = (statistics.median(column) for column in zip(*rounds, strict=True))
        ratio = statistics.median(one[0] / other[0] for one, other in zip(rounds, first, strict=True))
        lines.append(f"  {name:18} {cpu * 1e3:8.1f} ms CPU {clock * 1e3:8.1f} ms clock   {ratio:.3f} x")
        benchmark.extra_info[name] = {"cpu_ms": cpu * 1e3, "clock_ms": clock * 1e3, "ratio": ratio}
    if not benchmark.disabled:
        with capsys.disabled():
            sys.stdout.write("\n" + "\n".join(lines) + "\n")
