"""Benchmarks whose kinds take turns in one process: medians, and ratios to the first kind."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from benchmarks.table import row

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


def show(benchmark: Any, title: str, seconds: dict[str, list[tuple[float, float]]]) -> None:
    """Keep CPU seconds of every kind beside the first kind's for the table."""
    (first, floor), *others = [(name, [cpu for cpu, _ in rounds]) for name, rounds in seconds.items()]
    for name, rounds in others:
        row(benchmark, f"{title}: {name} over {first}, CPU", rounds, floor)
