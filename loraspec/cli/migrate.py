"""``loraspec migrate``."""

from __future__ import annotations

import difflib
from pathlib import Path

import click

from loraspec.errors import EXIT_DONE, EXIT_FOUND, Problem, SpecError
from loraspec.escape import escaped

_STYLES = {"+": "green", "-": "red", "@": "cyan"}


@click.command()
@click.argument("specs", metavar="SPEC...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Say which specs are of an older format; exit code 1 when one is.")
@click.option("--write", is_flag=True, help="Write the files; without it only the difference is shown.")
def command(specs: tuple[Path, ...], check: bool, write: bool) -> int:
    """Rewrite specs of an older format, keeping comments.

    Shows the difference; writes nothing without --write.
    """
    from loraspec.spec.document import read
    from loraspec.spec.migrate import migrate

    if check and write:
        raise click.UsageError("--check and --write contradict each other")
    problems: list[Problem] = []
    old = 0
    for path in specs:
        try:
            before = read(path).text
            migrated = migrate(before, name=str(path))
        except SpecError as error:
            problems += error.problems
            continue
        if migrated.text == before:
            click.echo(f"{path}: format {migrated.after}, nothing to do")
            continue
        old += 1
        click.echo(f"{path}: format {migrated.before} -> {migrated.after}")
        if check:
            continue
        for change in migrated.changes:
            click.echo(f"  {escaped(change)}")
        if write:
            path.write_text(migrated.text, encoding="utf-8")
            click.echo("  written")
            continue
        click.echo()
        after = f"{path} (format {migrated.after})"
        for line in difflib.unified_diff(before.splitlines(), migrated.text.splitlines(), str(path), after, lineterm=""):
            click.echo(click.style(escaped(line, keep="\t"), fg=_STYLES.get(line[:1])))
    if problems:
        raise SpecError(problems)
    if old and not check and not write:
        click.echo("\nnothing was written; --write does")
    return EXIT_FOUND if old and check else EXIT_DONE
