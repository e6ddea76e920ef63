"""``loraspec validate``."""

from __future__ import annotations

from pathlib import Path

import click

from loraspec.cli.output import echo_problems, overlay_options, plural
from loraspec.errors import EXIT_DONE, EXIT_FOUND, EXIT_SPEC, Problem, SpecError
from loraspec.escape import escaped


@click.command()
@click.argument("specs", metavar="SPEC...", nargs=-1, required=True, type=click.Path(path_type=Path, readable=False))
@overlay_options
@click.option("--strict", is_flag=True, help="Warnings and broken plugins are found too: exit code 1.")
def command(specs: tuple[Path, ...], profiles: tuple[str, ...], sets: tuple[str, ...], strict: bool) -> int:
    """Check specs: every mistake at once, with its line.

    Looks at the file and at the installed plugins, not at data, weights or devices. Exit code 2 when a spec is wrong.
    """
    from loraspec.plan import resolve

    found: list[Problem] = []
    for path in specs:
        try:
            plan = resolve(path, profiles=profiles, sets=sets)
        except SpecError as error:
            found += error.problems
            continue
        found += plan.warnings
        broken = [Problem("plugins", f"plugin {plugin.title} cannot be used: {plugin.error}", severity="warning",
                          code="W-PLUGIN-IMPORT") for plugin in plan.catalog.broken]
        found += [problem for problem in broken if strict and problem not in found]
        noted = f", {plural(len(plan.warnings), 'warning')}" if plan.warnings else ""
        click.echo(f"{escaped(str(path))}: {click.style('ok', fg='green')}{noted}  {click.style(plan.spec_hash[:12], dim=True)}")
    echo_problems(found)
    if any(problem.severity == "error" for problem in found):
        return EXIT_SPEC
    return EXIT_FOUND if found and strict else EXIT_DONE
