"""``loraspec lock``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loraspec.cli.output import overlay_options, plural
from loraspec.cli.targets import Target, differences_table, target
from loraspec.errors import EXIT_DONE, LockError, SpecError
from loraspec.locking.compare import Difference, differences
from loraspec.locking.files import lock_path, read_lock, write_lock
from loraspec.spec.classes import WEIGHTLESS

if TYPE_CHECKING:
    from loraspec.locking.outcome import Outcome


@click.command()
@click.argument("spec", metavar="SPEC|LOCK", type=click.Path(path_type=Path))
@overlay_options
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Where to write; by default NAME[.PROFILE].lock beside the spec.")
@click.option("--expect", metavar="RUN", type=click.Path(path_type=Path), help="Take what is expected from this finished run.")
@click.option("--band", metavar="RUN", multiple=True, type=click.Path(path_type=Path),
              help="A finished run with another seed, for the band of metrics; repeatable, five make a band. It need not be judged.")
@click.option("--runs", type=click.IntRange(1, 100),
              help="Carry the run out, and others with the next seeds, and take --expect and --band from them.")
def command(
    spec: Path, profiles: tuple[str, ...], sets: tuple[str, ...], output: Path | None, expect: Path | None, band: tuple[Path, ...],
    runs: int | None,
) -> int:
    """Write a spec's lock beside it: everything that decides its numbers.

    With --expect, the lock also holds what the run gave: digests of its epoch files, first losses, last metrics; and with --band
    the spread of the metrics over seeds. A lock in place of a spec is made anew; what is expected stays when recipe and inputs do.
    """
    from loraspec.engine.pin import lock_now
    from loraspec.known import known
    from loraspec.locking.outcome import outcome_of

    known().forget_files()  # what is published is read
    chosen = target(spec, profiles=profiles, sets=sets)
    if chosen.kind == "run":
        raise SpecError(f"{spec} is a run: it has its lock.json; to publish it: loraspec lock SPEC --expect {spec}")
    if runs:
        if expect or band:
            raise click.UsageError("--runs makes the runs that --expect and --band would name")
        expect, *others = _carried_out(chosen, runs)
        band = tuple(others)
    path = output or (spec if chosen.kind == "lock" else lock_path(spec, profiles))
    before = read_lock(path) if path.exists() and chosen.kind == "lock" else _readable(path)
    lock = lock_now(chosen.plan())
    if expect is not None:
        run = _of_this_recipe(expect, lock)
        assert run.lock is not None
        lock = {**run.lock, "spec": lock["spec"]}  # bits belong to where they were made
        given = outcome_of(expect)
        lock["expected"] = given.expected(_band([given, *(_with_other_seed(one, lock) for one in band)]))
    elif band:
        raise SpecError("--band needs --expect: the run that the band is around")
    elif before is not None and "expected" in before:
        moved = _decisive(differences(before, lock))
        if moved:
            click.echo("what was expected of the old lock is dropped: recipe or inputs changed; --expect RUN takes it from a new run")
        else:
            lock["expected"] = before["expected"]
    write_lock(path, lock)
    _say(path, lock, before)
    return EXIT_DONE


def _carried_out(chosen: Target, runs: int) -> list[Path]:
    """Carry out a spec's run and others with the next seeds, under ``runs/``; return their folders."""
    from loraspec.cli.run import carry_out, command_of
    from loraspec.plan import resolve

    first, folders = chosen.plan().spec.run.seed, []
    for seed in range(first, first + runs):
        sets = (*chosen.sets, *([f"run.seed={seed}"] if seed != first else []))
        plan = resolve(chosen.spec, profiles=chosen.profiles, sets=sets)
        code = carry_out(plan, plan.run_folder, command_of(chosen.spec, plan.run_folder, chosen.profiles, sets))
        if code != EXIT_DONE:
            raise LockError(f"{plan.run_folder}: the run ended with exit code {code}")
        folders.append(plan.run_folder)
    return folders


def _readable(path: Path) -> dict[str, Any] | None:
    """The lock that will be replaced, if it is one: a broken one is replaced like any other."""
    try:
        return read_lock(path)
    except LockError:
        return None


def _with_other_seed(path: Path, lock: dict[str, Any]) -> Outcome:
    """Return what a run with another seed gave; one that was judged otherwise, or not at all, says nothing of what judges measured."""
    from attrs import evolve

    from loraspec.locking.outcome import outcome_of

    run = _of_this_recipe(path, lock, seed=True)
    outcome = outcome_of(run.path)
    if not any(_weightless(item.path) for item in _decisive(differences(run.lock or {}, lock))):
        return outcome
    return evolve(outcome, metrics={name: value for name, value in outcome.metrics.items() if "." not in name})


def _weightless(path: str) -> bool:
    """Whether a place in a lock holds a value that decides no weight: how a run is drawn, judged and tracked."""
    key = path.removeprefix("spec.resolved.")
    if path.startswith(("stages.evaluator", "stages.tracker")):
        return True
    return key != path and any(key == one or key.startswith((f"{one}.", f"{one}[")) for one in WEIGHTLESS)


def _of_this_recipe(path: Path, lock: dict[str, Any], *, seed: bool = False) -> Target:
    """Return a run, refusing one of another recipe or of other inputs.

    Args:
        path: Its folder.
        lock: The lock of the spec as it is now.
        seed: The seed, what follows from it, and what decides no weight may differ.

    Raises:
        LockError: Every field that differs.
    """
    run = target(path)
    if run.kind != "run" or run.lock is None:
        raise SpecError(f"{path} is no run's folder")
    free = ("spec.recipe_sha256", "spec.resolved.run.seed", "plan.stream_sha256", "plan.captions", "data.sha256", "data.heldout")
    found = [item for item in _decisive(differences(run.lock, lock)) if not (seed and (item.path in free or _weightless(item.path)))]
    if found:
        listed = differences_table(found, headings=("run", "spec"))
        raise LockError(f"{path} is no run of this spec as it is now:\n{click.unstyle(listed)}").coded("E-LOCK-SPEC")
    return run


def _decisive(found: list[Difference]) -> list[Difference]:
    return [item for item in found if item.field.kind in ("recipe", "inputs")]


def _band(outcomes: list[Outcome]) -> dict[str, dict[str, float]]:
    from loraspec.locking.outcome import SEEDS, band_of

    if 1 < len(outcomes) < SEEDS:
        click.echo(f"warning: a band of {len(outcomes)} runs; {SEEDS} make one", err=True)
    return band_of(outcomes)


def _say(path: Path, lock: dict[str, Any], before: dict[str, Any] | None) -> None:
    expected = lock.get("expected", {})
    told = f", {plural(len(expected['epochs']), 'epoch file')} expected" if expected else ""
    told += f", band of {plural(len(expected['band']), 'metric')}" if expected.get("band") else ""
    state = ""
    if before is not None:
        found = differences(before, lock)
        state = f" ({plural(len(found), 'field')} changed)" if found else " (as it was)"
    click.echo(f"{path}: {plural(len(lock['data']['images']), 'image')}, {plural(lock['plan']['steps'], 'step')}{told}{state}")
