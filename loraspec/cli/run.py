"""``loraspec run``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loraspec.cli.output import echo_problems, overlay_options, spec_argument
from loraspec.errors import EXIT_DONE, EnvironmentMissing, SpecError

if TYPE_CHECKING:
    from loraspec.plan import Plan


@click.command()
@spec_argument
@overlay_options
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Folder of the run; by default runs/<name>-<hash>.")
@click.option("--resume", type=click.Choice(["auto", "never"]), default="auto", show_default=True, help="Continue a run that was begun?")
def command(spec: Path, profiles: tuple[str, ...], sets: tuple[str, ...], output: Path | None, resume: str) -> int:
    """Train, evaluate and report.

    The same spec always has the same folder: a run that was stopped goes on, a run that is done is left alone.
    Exit code 3 when data, weights or a device are missing, 4 when a signal stopped the run (everything is saved).
    """
    from loraspec.plan import resolve

    plan = resolve(spec, profiles=profiles, sets=sets)
    folder = output or plan.run_folder
    if resume == "never" and (folder / "run.json").exists():
        raise SpecError(f"{folder} holds a run already; continue it (--resume auto), give another --output, or change run.name")
    place = os.path.relpath(spec.resolve(), folder.resolve())
    return carry_out(plan, folder, {"spec": Path(place).as_posix(), "profiles": list(profiles), "sets": list(sets)})


def carry_out(plan: Plan, folder: Path, command: dict[str, Any]) -> int:
    """Look for everything that is missing, then start or continue the run through its launcher.

    Raises:
        EnvironmentMissing: Everything outside the spec that is not here, told together.
    """
    facts = _facts(folder)
    if facts.get("state") == "done":
        click.echo(f"{folder} is done already: {folder / 'report.html'}")
        return EXIT_DONE
    _look(plan)
    echo_problems(plan.warnings)
    launcher = plan.one("launcher")
    assert launcher is not None  # the stage has a default
    flags = [*_flags("--profile", command["profiles"]), *_flags("--set", command["sets"]), "--output", str(folder)]
    argv = ["loraspec", "run", str(plan.document.path), *flags]

    def work() -> int:
        from loraspec.engine.execute import execute

        if facts:
            click.echo(f"continuing {folder}")
        run = execute(plan, folder=folder, command=command)
        files = [folder / "epochs" / entry["files"][0]["path"] for entry in run.files.index]
        click.echo(f"\ndone: {folder}")
        click.echo(f"  weights  {files[0]} ... {files[-1].name}" if len(files) > 1 else f"  weights  {files[0]}")
        if (folder / "report.html").exists():
            click.echo(f"  report   {folder / 'report.html'}")
        return EXIT_DONE

    return int(launcher.entry.component.build(launcher.options).launch(work, command=argv))


def _flags(name: str, values: list[str]) -> list[str]:
    return [word for value in values for word in (name, value)]


def _facts(folder: Path) -> dict[str, Any]:
    from loraspec.engine.folder import RunFolder

    return RunFolder(folder).facts


def _look(plan: Plan) -> None:
    """Check data, base and device, and tell all that is missing in one go."""
    missing: list[str] = []
    try:
        len(plan.data.images)
    except EnvironmentMissing as error:
        missing.append(str(error))
    try:
        model = plan.model
    except EnvironmentMissing as error:
        missing.append(str(error))
    else:
        from loraspec.engine.device import check_device

        try:
            check_device(plan.spec.train, model)
        except EnvironmentMissing as error:
            missing.append(str(error))
    if missing:
        meanwhile = f"meanwhile, with nothing to download: loraspec run {plan.meanwhile}" if plan.meanwhile else ""
        lines = ["this run cannot start here:", *(f"  - {text}" for text in missing), *([f"  {meanwhile}"] if meanwhile else [])]
        raise EnvironmentMissing("\n".join(lines))
