"""A tiny run of three epochs, the server that forks a process for every case, and what must be true after each."""

from __future__ import annotations

import hashlib
import itertools
import json
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path

from attrs import define, field

from loraspec.testing import TINY_SPEC
from wreck import server

ROOT = Path(__file__).resolve().parents[3]
EPOCHS = 3
SPEC = (
    TINY_SPEC.replace("epochs = 2", f"epochs = {EPOCHS}\ncheckpoint_every = 3")
    .replace("repeats = 2", "repeats = 1")
    .replace("buckets = {", "expect = { images = [1, 100] }\nbuckets = {")
    .replace('prompts = ["square, by Tiny"]', 'prompts = ["square"]\nepochs = [3]')
)
SLOWEST = 120.0  # s; a case that takes longer hangs


@define
class Case:
    """One process: what it ran into, and how it ended."""

    process: object = field(repr=False)
    out: Path

    def wait(self, seconds: float = SLOWEST) -> int:
        """Return the exit code, negative for a signal."""
        self.process.join(seconds)
        if self.process.exitcode is None:
            self.process.kill()
            raise AssertionError(f"hangs: {self.text}")
        return self.process.exitcode

    @property
    def text(self) -> str:
        """What it printed."""
        return self.out.read_text(errors="replace") if self.out.exists() else ""


@define
class World:
    """A folder with the spec, a warm cache, the plugin ``tiny``, and the undisturbed run that every other one has to equal."""

    root: Path
    wanted: dict[str, str] = field(factory=dict)
    layout: set[str] = field(factory=set)
    operations: int = 0
    seconds: float = 0.0
    _server: object = None
    _counter: Iterator[int] = field(factory=lambda: itertools.count(1))

    def prepare(self) -> World:
        """Write everything, start the server, run undisturbed."""
        site, info = self.root / "site", self.root / "site" / "loraspec_tiny-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: loraspec-tiny\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[loraspec.v1]\ntiny = loraspec.testing.tiny\n")
        (info / "RECORD").write_text("")
        self.spec.write_text(SPEC)
        os.environ["LORASPEC_CACHE"] = str(self.root / "cache")
        os.environ["OMP_NUM_THREADS"] = "1"
        self._server = multiprocessing.get_context("forkserver")
        self._server.set_forkserver_preload(["wreck.server"])
        before = dict(os.environ)
        os.environ |= {"WRECK_SITE": str(site), "PYTHONPATH": os.pathsep.join([str(site), *sys.path])}
        try:
            forkserver.ensure_running()
        finally:
            os.environ.clear()
            os.environ.update(before)
        first = self.start(self.root / "first")  # fills the cache
        assert first.wait() == 0, first.text
        whole = self.start(self.root / "whole", log=self.root / "log")
        since = time.monotonic()
        assert whole.wait() == 0, whole.text
        self.seconds = time.monotonic() - since
        self.wanted = results(self.root / "whole")
        assert self.wanted == results(self.root / "first")
        assert len(self.wanted) == EPOCHS + 1
        self.layout = names(self.root / "whole")
        self.operations = max(json.loads(line)[0] for line in (self.root / "log").read_text().splitlines())
        return self

    @property
    def spec(self) -> Path:
        """The spec."""
        return self.root / "spec.toml"

    def fresh(self, name: str = "case") -> Path:
        """Return a folder's name that is not taken."""
        return self.root / f"{name}-{next(self._counter)}"

    def start(self, folder: Path, **how) -> Case:
        """Start ``loraspec run`` into a folder in a process of its own; ``how`` goes to ``server.case``."""
        out = self.root / f"out-{next(self._counter)}"
        words = (str(self.root / "site"), str(self.spec), str(folder), str(out))
        process = self._server.Process(target=server.case, args=words, kwargs=how)
        process.start()
        return Case(process, out)

    def run(self, folder: Path, **how) -> tuple[int, str]:
        """Run to the end; return exit code and output."""
        case = self.start(folder, **how)
        return case.wait(), case.text

    # -- what must be true ---------------------------------------------------------------------------------------------

    def after_a_fault(self, folder: Path) -> list[str]:
        """What was announced must be whole (I1)."""
        return missing(folder, announced(folder))

    def finish(self, folder: Path, *, quarantines: bool = False, text: str = "", **how) -> list[str]:
        """Go on until done and compare: final bits (I2), nothing left over (I4), and no good epoch set aside."""
        code, said = self.run(folder, **how)
        if code:
            return [f"does not go on: exit code {code}: {said[-2000:]}"]
        found = results(folder)
        every = sorted(self.wanted.keys() | found.keys())
        wrong = [f"differs at the end: {name}" for name in every if self.wanted.get(name) != found.get(name)]
        extra = {name for name in names(folder) - self.layout if not name.startswith(("quarantine/", "state/step-"))}
        wrong += [] if len(list((folder / "state").glob("step-*"))) <= 2 else ["more than two checkpoints"]  # a stop leaves one of its own
        wrong += [f"left over: {sorted(extra)}"] if extra else []
        if not quarantines and (folder / "quarantine").exists():
            wrong.append(f"set aside: {sorted(path.name for path in (folder / 'quarantine').iterdir())}")
        if not wrong:
            shutil.rmtree(folder)
        return wrong


def results(folder: Path) -> dict[str, str]:
    """Return sha256 of everything under ``epochs/``, the index too."""
    root = folder / "epochs"
    paths = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def names(folder: Path) -> set[str]:
    """Return what a run's folder holds."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def announced(folder: Path) -> list[dict]:
    """Return the journal's lines on epochs, read without any of loraspec's own code."""
    path = folder / "journal.jsonl"
    found = []
    for line in path.read_bytes().splitlines(keepends=True) if path.exists() else []:
        if line.endswith(b"\n"):
            value = json.loads(line)
            found += [value] if value["kind"] in ("epoch", "quarantined") else []
    return found


def missing(folder: Path, lines: list[dict]) -> list[str]:
    """Return what was announced, not taken back, and is not whole."""
    standing = {}
    for line in lines:
        if line["kind"] == "epoch":
            standing[line["epoch"]] = line["files"]
        else:
            standing.pop(line.get("epoch"), None)
    index = folder / "epochs" / "index.json"
    try:
        committed = {entry["epoch"] for entry in json.loads(index.read_bytes())["epochs"]} if index.exists() else set()
    except ValueError:
        committed = set()
    wrong = [f"announced and not in the index: epoch {epoch}" for epoch in standing if epoch not in committed]
    for epoch, files in standing.items():
        for file in files:
            path = folder / "epochs" / file["path"]
            if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != file["sha256"]:
                wrong.append(f"announced and not whole: epoch {epoch}, {file['path']}")
    return wrong
