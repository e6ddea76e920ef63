"""What runs in the forked processes. Importing it warms the server up: everything heavy once, nothing trained."""

from __future__ import annotations

import importlib
import os
import sys
import time
from pathlib import Path

import torch

import loraspec.engine.execute
from loraspec.catalog import discover
from wreck.faults import Faulty
from wreck.mutants import break_it

torch.set_num_threads(1)
HEAVY = (
    "dadaptation", "jinja2", "loraspec.cli.run", "loraspec.cli.resume", "loraspec_guide.adapters.lora", "loraspec_guide.grid.evaluator",
    "loraspec_guide.grid.report", "loraspec_guide.objectives.denoising", "loraspec_guide.optim.optimizers",
    "loraspec_guide.trackers.console", "loraspec.testing.tiny_model", "peft", "loraspec_guide.exporters.files",
    "PIL.WebPImagePlugin", "PIL.PngImagePlugin",
)  # fmt: skip
if "WRECK_SITE" in os.environ:  # only in the server
    for module in HEAVY:
        importlib.import_module(module)
    discover()


def case(site: str, spec: str, folder: str, out: str, *, kind: str = "", at: int = 0, log: Path | None = None, mutant: str = "",
         slow: str = "", hold: str = "", before: tuple = (), words: tuple = ()) -> None:
    """Run ``loraspec run`` with a fault, a mutant, a phase that dawdles, or a lock that is held until a file appears."""
    screen = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for number in (1, 2):
        os.dup2(screen, number)
    sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))  # noqa: SIM115
    sys.path.insert(0, site)  # multiprocessing gives every case the path of the process that asked for it
    from loraspec.cli import main
    from loraspec.engine import disk

    faulty = Faulty(kind, at, log=log)
    disk.os = faulty
    if mutant:
        break_it(mutant, faulty)
    if slow:
        dawdle(slow, Path(f"{out}.here"))
    if hold:
        keep_lock(Path(hold))
    for change in before:
        surroundings(*change)
    code = 0
    try:
        main(["run", spec, "--output", folder, *words], prog_name="loraspec")
    except SystemExit as end:
        code = int(end.code or 0)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def phases() -> dict[str, tuple]:
    """Where each phase dawdles: (object, name of its function, called before the function does anything)."""
    from loraspec_guide.grid import report

    import loraspec.plan
    from loraspec.dataplan import DataPlan
    from loraspec.engine import commit, execute, loop
    from loraspec.testing.tiny_model import TinyFamily

    return {
        "resolve": (loraspec.plan, "resolve"),
        "hash": (DataPlan, "digest"),
        "load": (TinyFamily, "load"),
        "decode": (execute, "prepare"),
        "cache": (TinyFamily, "encode_images"),
        "train": (loop, "train_step"),
        "commit": (commit, "commit_epoch"),
        "grid": (TinyFamily, "generate"),
        "report": (report, "report"),
    }


def dawdle(phase: str, here: Path) -> None:
    """Make a phase say that it is reached and then take its time: long where it has to be left at once, a step's time in training."""
    owner, name = phases()[phase]
    original = getattr(owner, name)
    rest = 0.2 if phase in ("train", "commit") else 20.0

    def slowly(*args, **keys):
        here.touch()
        time.sleep(rest)
        return original(*args, **keys)

    setattr(owner, name, slowly)


def keep_lock(until: Path) -> None:
    """Whoever has the lock waits for a file, so that all others come while it is held."""
    execute = loraspec.engine.execute
    original = execute._opened

    def waiting(*args, **keys):
        end = time.monotonic() + 100
        while not until.exists() and time.monotonic() < end:
            time.sleep(0.02)
        return original(*args, **keys)

    execute._opened = waiting


def surroundings(what: str, value) -> None:
    """Change what a run must not depend on."""
    if what == "clock":
        now = time.time
        time.time = lambda: now() + value
        gmtime = time.gmtime
        time.gmtime = lambda seconds=None: gmtime(now() + value if seconds is None else seconds)
    elif what == "zone":
        os.environ["TZ"] = value
        time.tzset()
    elif what == "locale":
        import locale

        os.environ["LC_ALL"] = os.environ["LANG"] = value
        locale.setlocale(locale.LC_ALL, value)
    elif what == "umask":
        os.umask(value)
    elif what == "folder":
        os.chdir(value)
    elif what == "home":
        os.environ["HOME"] = os.environ["USER"] = value
    else:
        raise ValueError(what)
