"""``loraspec diff``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from loraspec.cli.output import overlay_options, plural
from loraspec.cli.targets import differences_table, lock_or_spec, target
from loraspec.errors import EXIT_DONE, EXIT_FOUND
from loraspec.locking.compare import ABSENT, differences


@click.command()
@click.argument("one", metavar="A", type=click.Path(path_type=Path))
@click.argument("other", metavar="B", type=click.Path(path_type=Path))
@overlay_options
@click.option("--all", "everything", is_flag=True, help="Show every field, where many differ in one part.")
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON.")
def command(one: Path, other: Path, profiles: tuple[str, ...], sets: tuple[str, ...], everything: bool, as_json: bool) -> int:
    """Compare any two of spec, lock and run, field by field.

    Needs no torch. --profile and --set apply to specs; locks and runs know their own. What one side cannot know (a spec says
    nothing of a GPU) is left out. Exit code 1 when something differs.
    """
    locks, notes = zip(*(lock_or_spec(target(path, profiles=profiles, sets=sets)) for path in (one, other)), strict=True)
    if any(notes):
        locks = tuple({"spec": lock["spec"]} for lock in locks)
    found = differences(*locks)
    if as_json:
        rows = []
        for item in found:
            sides = {side: value for side, value in (("a", item.old), ("b", item.new)) if value is not ABSENT}
            rows.append({"field": item.path, "class": item.field.kind, **sides})
        click.echo(json.dumps({"a": str(one), "b": str(other), "differences": rows}, indent=1, ensure_ascii=False))
        return EXIT_FOUND if found else EXIT_DONE
    for note in filter(None, notes):
        click.echo(note, err=True)
    click.echo(differences_table(found, headings=(str(one), str(other)), everything=everything) if found else "no field differs")
    if found:
        click.echo(f"{plural(len(found), 'field')} of {one} and {other} differ{'s' if len(found) == 1 else ''}")
    return EXIT_FOUND if found else EXIT_DONE
