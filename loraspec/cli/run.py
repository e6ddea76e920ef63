"""``loraspec run``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loraspec.cli.output import echo_problems, overlay_options, rehash_option, spec_argument, table
from loraspec.collector import held_back
from loraspec.errors import EXIT_DONE, EnvironmentMissing, Problem, SpecError

if TYPE_CHECKING:
    from loraspec.plan import Plan

_ASKED = ("captioner", "optimizer", "lr_scheduler", "objective", "evaluator", "exporter", "tracker", "callback")  # extras are these


@click.command()
@spec_argument
@overlay_options
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Folder of the run; by default runs/<name>-<hash>.")
@click.option("--resume", type=click.Choice(["auto", "never"]), default="auto", show_default=True, help="Continue a run that was begun?")
@click.option("--locked", is_flag=True, help="Start only if nothing drifted from the spec's lock; exit code 1 and a list otherwise.")
@rehash_option
@click.option("--allow-drift", is_flag=True, help="With --locked: list what drifted, record it, and go on.")
def command(
    spec: Path, profiles: tuple[str, ...], sets: tuple[str, ...], output: Path | None, resume: str, locked: bool, allow_drift: bool
) -> int:
    """Train, evaluate and report.

    The same spec always has the same folder: a run that was stopped goes on, a run that is done is left alone.
    Exit code 3 when data, weights or a device are missing, 4 when a signal stopped the run (everything is saved).
    """
    from loraspec.engine.interrupts import listening

    with listening():  # a signal ends planning and hashing too
        return _start(spec, profiles, sets, output, resume, locked=locked or allow_drift, allow_drift=allow_drift)


def _start(
    spec: Path, profiles: tuple[str, ...], sets: tuple[str, ...], output: Path | None, resume: str, *, locked: bool, allow_drift: bool
) -> int:
    from loraspec.plan import resolve

    plan = resolve(spec, profiles=profiles, sets=sets)
    folder = output or plan.run_folder
    if resume == "never" and (folder / "run.json").exists():
        raise SpecError(f"{folder} holds a run already; continue it (--resume auto), give another --output, or change run.name")
    held: dict[str, Any] = {}
    if locked:
        from loraspec.cli.locked import hold_to_lock

        held = hold_to_lock(plan, spec, allow_drift=allow_drift)
    return carry_out(plan, folder, {**command_of(spec, folder, profiles, sets), **held})


def command_of(spec: Path, folder: Path, profiles: Sequence[str], sets: Sequence[str]) -> dict[str, Any]:
    """Return what a run's folder keeps of the command that began it: the spec as seen from there, profiles and ``--set`` values."""
    place = os.path.relpath(spec.resolve(), folder.resolve())
    return {"spec": Path(place).as_posix(), "profiles": list(profiles), "sets": list(sets)}


def carry_out(plan: Plan, folder: Path, command: dict[str, Any]) -> int:
    """Look for everything that is missing, then start or continue the run through its launcher.

    Raises:
        EnvironmentMissing: Everything outside the spec that is not here, told together.
    """
    with held_back():  # until the base is loaded
        return _carried_out(plan, folder, command)


def _carried_out(plan: Plan, folder: Path, command: dict[str, Any]) -> int:
    from loraspec.forecast import all_warnings

    facts = _facts(folder)
    if facts.get("state") == "done" and not _grows(plan, folder) and _intact(folder):
        return _done(plan, folder, facts)
    _look(plan)
    echo_problems(all_warnings(plan))
    launcher = plan.one("launcher")
    assert launcher is not None  # the stage has a default
    argv = ["loraspec", *words_of(plan.document.path, folder, command["profiles"], command["sets"])]

    def work() -> int:
        from loraspec.engine.execute import execute

        if facts:
            click.echo(f"continuing {folder}")
        run = execute(plan, folder=folder, command=command)
        files = [folder / "epochs" / entry["files"][0]["path"] for entry in run.files.index]
        click.echo(f"\ndone: {folder}")
        places = [("weights", f"{files[0]} ... {files[-1].name}" if len(files) > 1 else str(files[0]))]
        if (folder / "report.html").exists():
            places.append(("report", str(folder / "report.html")))
        click.echo(table(places, indent=2))
        return EXIT_DONE

    return int(launcher.entry.component.build(launcher.options).launch(work, command=argv))


def words_of(spec: Path, folder: Path, profiles: Sequence[str], sets: Sequence[str]) -> list[str]:
    """Return the words behind ``loraspec`` that carry a run out in a folder."""
    flags = [word for name, values in (("--profile", profiles), ("--set", sets)) for value in values for word in (name, value)]
    return ["run", str(spec), *flags, "--output", str(folder)]


def _facts(folder: Path) -> dict[str, Any]:
    if not (folder / "run.json").exists():
        return {}  # said without torch, which the engine imports: bad data is told in no time
    from loraspec.engine.folder import RunFolder

    return RunFolder(folder).facts


def _intact(folder: Path) -> bool:
    from loraspec.engine.takeup import intact

    return intact(folder)


def _grows(plan: Plan, folder: Path) -> bool:
    """Whether a finished run is asked for more: further epochs, another grid."""
    from loraspec.changes import EXTENSION, IDENTITY, since_start

    kinds = {change.kind for change in since_start(folder, plan) or ()}
    return EXTENSION in kinds and IDENTITY not in kinds


def _done(plan: Plan, folder: Path, facts: dict[str, Any]) -> int:
    """Say that a run is done, unless it is not the run that this spec asks for.

    Raises:
        SpecError: The folder holds the run of another spec, or of other images and captions.
    """
    from loraspec.changes import IDENTITY, since_start

    hint = "give the spec another run.name, or another --output"
    changed = since_start(folder, plan)
    other = facts.get("spec_hash") != plan.spec_hash if changed is None else any(change.kind == IDENTITY for change in changed)
    if other:
        message = f"{folder} holds the finished run of another spec ({facts.get('name')})"
        raise SpecError([Problem("", message, hint, code="E-RUN-IDENTITY")])
    with suppress(EnvironmentMissing, OSError, ValueError, KeyError):  # data that is gone is no reason to complain of what is done
        from loraspec.lock import data_of

        before = json.loads((folder / "lock.json").read_text(encoding="utf-8"))["data"]
        if before["sha256"] != data_of(plan)["sha256"]:
            message = f"images or captions changed since {folder} was done"
            raise SpecError([plan.placed(Problem("data.sources", message, hint, code="E-DATA-DRIFT"))])
    report = folder / "report.html"
    click.echo(f"{folder} is done already" + (f": {report}" if report.exists() else ""))
    return EXIT_DONE


def _look(plan: Plan) -> None:
    """Check data, base, device and what components need, and tell all that is missing in one go."""
    missing: list[str] = []

    def ask(work: Callable[[], Any]) -> Any:
        try:
            return work()
        except EnvironmentMissing as error:
            missing.append(error.told)
        except ModuleNotFoundError as error:
            missing.append(f"the package {error.name!r} is not installed")
        return None

    def device() -> None:
        from loraspec.engine.device import check_device

        check_device(plan.spec.train, plan.model)

    ask(lambda: len(plan.data.images))
    if ask(lambda: plan.model) is not None:
        ask(device)
    for stage in _ASKED:
        for choice in plan.many(stage):
            ask(partial(choice.entry.component.build, choice.options))
    if missing:
        meanwhile = f"meanwhile, with nothing to download: loraspec run {plan.meanwhile}" if plan.meanwhile else ""
        lines = ["this run cannot start here:", *(f"  - {text}" for text in missing), *([f"  {meanwhile}"] if meanwhile else [])]
        raise EnvironmentMissing("\n".join(lines))
