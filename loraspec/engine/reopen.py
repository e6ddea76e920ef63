"""A run that has trained, opened to draw and judge: base, adapter and data are as they were, nothing is trained or mended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loraspec.engine import device
from loraspec.engine.folder import RunFolder, disk_told, held
from loraspec.engine.interrupts import Now, listening
from loraspec.engine.run import Run
from loraspec.engine.samework import refuse_other_work
from loraspec.engine.store import read_lines
from loraspec.errors import RunError, SpecError
from loraspec.lock import make_lock
from loraspec.plan import resolve

if TYPE_CHECKING:
    from loraspec.plan import Plan


def plan_of(folder: Path) -> tuple[Plan, dict[str, Any]]:
    """Return the plan of the run in a folder, from its spec as it is now, and the command that began it.

    Raises:
        SpecError: There is no run, its spec is gone, or it is no longer right.
    """
    facts = RunFolder(folder).facts
    if not facts:
        raise SpecError(f"{folder} holds no run: there is no run.json")
    spec = folder / facts["spec"]
    if not spec.is_file():
        raise SpecError(f"{folder}: its spec was {facts['spec']!r} as seen from there, and is gone; a copy is {folder / 'spec.toml'}")
    command = {key: facts[key] for key in ("spec", "profiles", "sets")}
    return resolve(_short(spec), profiles=facts["profiles"], sets=facts["sets"]), command


@contextmanager
def opened(folder: Path) -> Iterator[Run]:
    """Hold the folder of a run that has trained, and load what drawing and judging need.

    The spec may have changed in what decides no weights. Epoch files are compared with the index when they are used.

    Raises:
        RunError: Another process holds it, or no epoch is committed.
        SpecError: There is no run, or spec or data are no longer the run's.
        EnvironmentMissing: Data, base or device are not here.
        Stopped: A signal came.
    """
    plan, _ = plan_of(folder)
    target = device.check_device(plan.spec.train, plan.model)
    precision = device.setup(plan.spec.train, target)
    with disk_told(folder), listening() as interrupts, held(folder):
        files = RunFolder(folder)
        if not files.index:
            hint = f"go on with: loraspec resume {folder}"
            raise RunError(f"{folder}: no epoch is committed, so there is nothing to draw\n    hint: {hint}")
        refuse_other_work(files, plan, make_lock(plan))
        run = Run(plan, folder, precision=precision, interrupts=interrupts)
        run.data = run.data.with_captions({str(row["key"]): str(row["caption"]) for row in read_lines(folder / "drafts.jsonl")})
        try:
            run.load_model()
            run.family.place("denoiser", device=precision.device)
            run.family.place("text_encoders", device=precision.device)  # perhaps adapted too
            run.adapter.inject(run.family, rng=run.rng)
            run.to_generating()
            yield run
        except Now:
            run.check_interrupt()
            raise


def _short(path: Path) -> Path:
    """Return a path relative to the working directory when it lies below it."""
    whole = path.resolve()
    return whole.relative_to(Path.cwd()) if whole.is_relative_to(Path.cwd()) else whole
