"""The phases of a run in order: open, prepare, train, evaluate; each can be interrupted and taken up again."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from loraspec import __version__
from loraspec.engine import device, disk, judging
from loraspec.engine.folder import STARTED, RunFolder, disk_told, held
from loraspec.engine.interrupts import Now, listening
from loraspec.engine.loop import train
from loraspec.engine.pin import lock_of_run
from loraspec.engine.prepare import prepare
from loraspec.engine.run import Run
from loraspec.engine.samework import identity, same_work
from loraspec.engine.takeup import TakeUp
from loraspec.errors import RunError, Stopped
from loraspec.forecast import files_of
from loraspec.lock import make_lock
from loraspec.plan import Plan
from loraspec.spec.resolved import resolved_toml

T = TypeVar("T")


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
    with disk_told(folder), listening() as interrupts:
        files = RunFolder(folder)
        files.refuse_strangers(plan.document.text)
        with held(folder):
            run, lock = _opened(plan, files, command, precision=precision, interrupts=interrupts)
            outcome = "failed"
            try:
                _obeyed(run, lock)
                outcome = "done"
            except Stopped as stop:
                outcome = "stopped"
                files.journal.write("stopped", step=run.step, signal=interrupts.reason)
                files.record("stopped", step=run.step, reason=str(stop))
                raise
            except BaseException as error:
                with suppress(OSError):  # a full disk is told once, by the error itself
                    files.journal.write("failed", step=run.step, error=type(error).__name__, code=getattr(error, "code", ""))
                    files.record("failed", step=run.step, error=f"{type(error).__name__}: {error}")
                run.hooks.loraspec_on_error(run=run, error=error)
                raise
            finally:
                interrupts.at_once = False  # what is left is short, and ought to be said
                with suppress(OSError) if outcome == "failed" else nullcontext():
                    weak = {"durability": "weak"} if disk.weak else {}
                    files.note(state=outcome, step=run.step, peak_memory=device.peak_memory(target), ended=_now(), **weak)
                run.hooks.loraspec_after_run(run=run, outcome=outcome)
            files.journal.write("done", step=run.step, epochs=len(run.epochs_done))
    return run


def _opened(plan: Plan, files: RunFolder, command: dict[str, Any], **given: Any) -> tuple[Run, dict[str, Any]]:
    """Begin the run, or check and mend what an earlier start left; nothing is loaded yet."""
    lock = make_lock(plan)
    begun = bool(files.facts)
    names = [Path(path).name for path, _ in files_of(plan)]
    disk.probe(files.path, max([*names, "0" * 64 + ".png"], key=len))  # cells are named by their hash
    taken = TakeUp(files, plan)
    taken.sweep()
    if begun:
        taken.records()
        lock, notes = same_work(files, plan, lock, command)
        taken.results()
        taken.told += notes
    run = Run(plan, files.path, **given)
    if not begun:
        facts = {"loraspec": __version__, "name": plan.name, "started": _now(), **identity(plan, lock), **command}
        files.begin(spec_text=plan.document.text, resolved=resolved_toml(plan.resolved), lock=lock, facts=facts)
        files.journal.write("started", **{name: files.facts[name] for name in STARTED})
    files.note(state="running")
    for text in taken.told:
        run.say(text, severity="warning")
    return run, lock


def _obeyed(run: Run, lock: dict[str, Any]) -> None:
    """Carry the phases out; a signal that was obeyed at once ends them as one that was waited for.

    Raises:
        Stopped: A signal came.
    """
    try:
        run.check_interrupt()
        _phases(run, lock)
    except Now:
        run.check_interrupt()


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
    run.files.write_lock(lock_of_run(run, lock))
    run.hooks.loraspec_after_prepare(run=run, manifest=run.manifest)
    since = timed("prepare", since)
    run.interrupts.at_once = False  # from here on what was trained is saved first
    run.load_adapter()
    try:
        run.check_interrupt()
        if run.step < run.total_steps or len(run.epochs_done) < run.plan.spec.train.epochs:
            train(run, latents)
    finally:
        seconds["commit"] = round(seconds.get("commit", 0.0) + run.commit_seconds, 3)
        since = timed("train", since)
    if run.stopped:
        run.say(f"training ended after step {run.step}: {run.stopped}")
    run.interrupts.at_once = True
    run.check_interrupt()
    evaluate(run)
    timed("evaluate", since)


def evaluate(run: Run) -> None:
    """Run every evaluator over the committed epochs, then rank the epochs by what the metrics among them measured."""
    if not run.epochs_done:
        raise RunError("no epoch was committed, so there is nothing to evaluate")
    run.release_training()
    failed: list[str] = []

    def tried(name: str, work: Callable[[], T]) -> T | None:
        try:
            with run.watch.memory_told(f"the evaluator {name}"):
                return work()
        except (Stopped, OSError):
            raise
        except Exception as error:  # a judge that fails costs no epoch, and does not keep the others from judging
            said = f"{name}: {type(error).__name__}: {error}" if not isinstance(error, RunError) else f"{name}: {error}"
            failed.append(said)
            run.record("evaluation_failed", evaluator=name, error=said)
            return None

    for name, evaluator in run.evaluators:
        found = tried(name, partial(_numbers, run, evaluator))
        if found is not None:
            run.record("evaluation", evaluator=name, metrics=found)
            run.hooks.loraspec_after_evaluation(run=run, evaluator=name, metrics=found)
    ranking = tried("the ranking", partial(judging.rank, run))
    if ranking is not None:
        run.say(ranking.sentences[0])
    run.hooks.loraspec_after_ranking(run=run, ranking=ranking)
    if failed:
        kept = f"all {len(run.epochs_done)} epochs are committed and whole; `loraspec resume {run.folder}` judges them again"
        raise RunError("\n".join(failed) + f"\n    hint: {kept}").coded("E-RUN-EVALUATION")


def _numbers(run: Run, evaluator: Any) -> dict[str, float]:
    """Return an evaluator's numbers; a metric that has measured these cells already does not do it again."""
    before = judging.kept(run, evaluator)
    return dict(evaluator.evaluate(run)) if before is None else before


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
