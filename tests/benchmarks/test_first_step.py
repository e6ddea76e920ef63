"""From the start of the process to the end of the first step, and the most memory that was resident: loraspec's run beside the floor.

Whole processes in turns. The first run of loraspec fills the cache of latents and embeddings; what that took is told apart.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from benchmarks.sizes import EMBEDDED, SD15, Size, write_spec
from benchmarks.table import figure, row

PROBE = '''\
"""Writes when each step ended, and ends the process after so many."""
import json, os, time
from attrs import frozen
from loraspec import Component, hookimpl, option

@frozen
class Options:
    """Options."""
    steps: int = option(default=3, help="Steps.")
    path: str = option(default="", help="File.")

class Probe:
    """Times steps."""
    def __init__(self, options):
        self.options, self.ends, self.cpu = options, [], []

    @hookimpl
    def loraspec_after_step(self, run, step, metrics):
        """Note the time."""
        self.ends.append(time.time())
        self.cpu.append(time.process_time())
        if step == self.options.steps:
            lines = open("/proc/self/status").read().splitlines()
            peak = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
            with open(self.options.path, "w") as file:
                json.dump({"ends": self.ends, "first_step_cpu": self.cpu[0], "peak": peak}, file)
            os._exit(0)

def build(options: Options):
    """Times steps."""
    return Probe(options)

@hookimpl
def loraspec_register_callback():
    """Offer it."""
    return [Component("probe", Options, build)]
'''
HERE = Path(__file__).parents[1]


def test_first_step_and_memory_embedded(benchmark: Any, tmp_path: Path) -> None:
    """The embedded base."""
    _measured(benchmark, EMBEDDED, tmp_path, tmp_path, steps=2 if benchmark.disabled else 30)


def test_first_step_and_memory_sd15(benchmark: Any, tmp_path: Path, full: Path) -> None:
    """The full-size SD 1.5."""
    if benchmark.disabled:
        pytest.skip("the embedded base shows that it works")
    _measured(benchmark, SD15, tmp_path, full, steps=2)


def _measured(benchmark: Any, size: Size, folder: Path, bases: Path, *, steps: int) -> None:
    checkpoint = size.checkpoint(bases)
    spec = write_spec(folder, size, checkpoint)
    (folder / "probe.py").write_text(PROBE, encoding="utf-8")
    told = folder / "told.json"
    chosen = f'\n[[callbacks]]\nuse = "probe"\nsteps = {steps}\npath = "{told}"\n'
    text = spec.read_text(encoding="utf-8").replace("loraspec = 1", 'loraspec = 1\nplugins = ["probe.py"]')
    spec.write_text(text + chosen, encoding="utf-8")
    base = Path(str(find_spec("loraspec_picturebook").origin)).parent / "base" if size.base == "embedded" else Path(checkpoint)  # type: ignore[union-attr]
    usual = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}  # modules are compiled once
    surroundings = usual | {"LORASPEC_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2"),
                                 "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}  # fmt: skip

    def started(*words: object) -> tuple[float, str]:
        began = time.time()
        given = [str(word).format(began=began) for word in words]
        done = subprocess.run([sys.executable, "-m", *given], cwd=folder, env=surroundings, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return began, done.stdout

    def ours(name: str) -> dict[str, float]:
        began, _ = started("loraspec", "run", spec, "--output", folder / name)
        found = json.loads(told.read_text())
        return {"first": found["ends"][0] - began, "cpu": found["first_step_cpu"], "peak": found["peak"]}

    def floor() -> dict[str, float]:
        _, out = started("benchmarks.floor", base, "--began", "{began}", "--batch", size.batch, "--side", size.side, "--steps", steps)
        found = json.loads(out.splitlines()[-1])
        return {"first": found["first_step"], "cpu": found["first_step_cpu"], "peak": found["peak"]}

    cold = ours("cold")
    rounds: list[tuple[dict[str, float], dict[str, float]]] = []
    benchmark.pedantic(lambda: rounds.append((ours(f"warm{len(rounds)}"), floor())), rounds=1 if benchmark.disabled else 5)
    columns = {name: ([one[name] for one, _ in rounds], [other[name] for _, other in rounds]) for name in ("first", "cpu", "peak")}
    extra = statistics.median(one - other for one, other in zip(*columns["first"], strict=True))
    caching = cold["first"] - statistics.median(columns["first"][0])
    first = row(benchmark, f"first step, {size.name}, clock", *columns["first"], unit="s", scale=1,
                note=f"{extra:+.1f} s; caching once {caching:.1f} s")  # fmt: skip
    row(benchmark, f"first step, {size.name}, CPU", *columns["cpu"], unit="s", scale=1)
    row(benchmark, f"resident memory, {size.name}", *columns["peak"], unit="MB", scale=1e-6)
    figure(benchmark, "first_step_over_floor", round(first.ratio, 3), size.name)
    figure(benchmark, "first_step_extra_s", round(extra, 2), size.name)
    assert cold["peak"] > 0
    assert len(rounds) > 0
