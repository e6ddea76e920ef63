"""The phases of a run in order: open, prepare, train, evaluate; each can be interrupted and taken up again."""

from __future__ import annotations

import time
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from loraspec import __version__
from loraspec.engine import device
from loraspec.engine.folder import LOCK, Interrupts, RunFolder, disk_told, held
from loraspec.engine.loop import train
from loraspec.engine.prepare import prepare
from loraspec.engine.run import Run
from loraspec.engine.store import read_json
from loraspec.errors import Problem, RunError, SpecError, Stopped
from loraspec.lock import complete_lock, make_lock
from loraspec.plan import Plan
from loraspec.spec.resolved import resolved_toml


def execute(plan: Plan, *, folder: Path, command: dict[str, Any]) -> Run:
    """Carry ``plan`` out in ``folder``: start it, or go on where it was left.

    Args:
        plan: The plan.
        folder: The run's folder.
        command: Where the spec is (relative to ``folder``), profiles and ``--set`` values: what ``resume`` reads.

    Raises:
        Stopped: A signal came; everything done is saved.
        RunError: The run cannot go on.
        SpecError: The folder belongs to another spec or other data, or holds files that are no run's.
        EnvironmentMissing: The device or the base is not here.
    """
    target = device.check_device(plan.spec.train, plan.model)
    precision = device.setup(plan.spec.train, target)
    with disk_told(folder), held(folder), Interrupts() as interrupts:
        files = RunFolder(folder)
        lock = make_lock(plan)
        _same_work(files, lock)
        run = Run(plan, folder, precision=precision, interrupts=interrupts)
        if not files.facts:
            files.begin(
                spec_text=plan.document.text,
                resolved=resolved_toml(plan.resolved),
                lock=lock,
                facts={"loraspec": __version__, "spec_hash": plan.spec_hash, "name": plan.name, "started": _now(), **command},
            )
        files.note(state="running")
        outcome = "failed"
        try:
            _phases(run, lock)
            outcome = "done"
        except Stopped as stop:
            outcome = "stopped"
            files.record("stopped", step=run.step, reason=str(stop))
            raise
        except BaseException as error:
            with suppress(OSError):  # a full disk is told once, by the error itself
                files.record("failed", step=run.step, error=f"{type(error).__name__}: {error}")
            run.hooks.loraspec_on_error(run=run, error=error)
            raise
        finally:
            with suppress(OSError) if outcome == "failed" else nullcontext():
                files.note(state=outcome, step=run.step, peak_memory=device.peak_memory(target), ended=_now())
            run.hooks.loraspec_after_run(run=run, outcome=outcome)
    return run


def _phases(run: Run, lock: dict[str, Any]) -> None:
    run.hooks.loraspec_before_run(run=run)
    seconds: dict[str, float] = dict(run.files.facts.get("seconds", {}))

    def timed(name: str, since: float) -> float:
        seconds[name] = round(seconds.get(name, 0.0) + time.perf_counter() - since, 3)
        run.files.note(seconds=seconds, peak_memory=device.peak_memory(run.precision.device))
        return time.perf_counter()

    since = time.perf_counter()
    run.load_model()
    since = timed("load", since)
    latents = prepare(run)
    run.files.write_lock(complete_lock(lock, **run.facts()))
    run.hooks.loraspec_after_prepare(run=run, manifest=run.manifest)
    since = timed("prepare", since)
    run.load_adapter()
    try:
        if run.step < run.total_steps or len(run.epochs_done) < run.plan.spec.train.epochs:
            train(run, latents)
    finally:
        since = timed("train", since)
    if run.stopped:
        run.say(f"training ended after step {run.step}: {run.stopped}")
    evaluate(run)
    timed("evaluate", since)


def evaluate(run: Run) -> None:
    """Run every evaluator over the committed epochs."""
    if not run.epochs_done:
        raise RunError("no epoch was committed, so there is nothing to evaluate")
    run.release_training()
    failed: list[str] = []
    for name, evaluator in run.evaluators:
        try:
            with run.watch.memory_told(f"the evaluator {name}"):
                metrics = dict(evaluator.evaluate(run))
        except (Stopped, OSError):
            raise
        except Exception as error:  # a judge that fails costs no epoch, and does not keep the others from judging
            said = f"{name}: {type(error).__name__}: {error}" if not isinstance(error, RunError) else f"{name}: {error}"
            failed.append(said)
            run.record("evaluation_failed", evaluator=name, error=said)
            continue
        run.record("evaluation", evaluator=name, metrics=metrics)
        run.hooks.loraspec_after_evaluation(run=run, evaluator=name, metrics=metrics)
    if failed:
        kept = f"all {len(run.epochs_done)} epochs are committed and whole; `loraspec resume {run.folder}` judges them again"
        raise RunError("\n".join(failed) + f"\n    hint: {kept}").coded("E-RUN-EVALUATION")


def _same_work(files: RunFolder, lock: dict[str, Any]) -> None:
    """Refuse to go on in a folder whose spec or data were others.

    Raises:
        SpecError: Every difference, field by field.
    """
    if not (files.path / LOCK).is_file():
        return
    before = read_json(files.path / LOCK)
    problems = [
        Problem(path, f"the run was started with {old!r}, now it is {new!r}", hint="put it back, or give the spec another run.name")
        for part in ("spec", "data")
        for path, old, new in _differences(before.get(part), lock.get(part), part)
    ]
    if problems:
        raise SpecError(problems)


def _differences(old: Any, new: Any, path: str) -> list[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in sorted(old.keys() | new.keys()):
            found += _differences(old.get(key), new.get(key), f"{path}.{key}")
        return found
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [item for index, pair in enumerate(zip(old, new, strict=True)) for item in _differences(*pair, f"{path}[{index}]")]
    return [] if old == new else [(path, old, new)]


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
