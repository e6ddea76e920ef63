"""``loraspec compare``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loraspec.cli.output import table
from loraspec.cli.runs import finished
from loraspec.errors import EXIT_DONE
from loraspec.escape import escaped

if TYPE_CHECKING:
    from loraspec.comparing.sides import Side

MOST = 8  # runs: more colours nobody tells apart


@click.command()
@click.argument("folders", metavar="RUN RUN...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--html", "page", type=click.Path(path_type=Path, dir_okay=False), help="Write a page there: one file, offline, no script.")
@click.option("--markdown", "text", type=click.Path(path_type=Path, dir_okay=False), help="Write Markdown there, its pictures beside it.")
def command(folders: tuple[Path, ...], page: Path | None, text: Path | None) -> int:
    """Set runs side by side: what differs, curves, picked cells.

    Of the resolved specs only what is not the same in all of them is shown; of the epochs the one in RUN/pick.json, else the one that
    the ranking recommends. --html and --markdown write the same with pictures, and replace a file of that name.
    """
    if not 2 <= len(folders) <= MOST:
        raise click.UsageError(f"{len(folders)} runs were named; 2 to {MOST} can be compared")
    from loraspec.comparing.sides import sides

    compared = sides([finished(folder) for folder in folders])
    _print(compared)
    if page is not None or text is not None:
        from loraspec.comparing.pages import write

        for path in write(compared, page=page, text=text):
            click.echo(f"\nwritten: {escaped(str(path))}")
    return EXIT_DONE


def _print(compared: Sequence[Side]) -> None:
    from loraspec.comparing.curves import sparks
    from loraspec.comparing.differing import differing
    from loraspec.comparing.pages import choices, notes
    from loraspec.comparing.sides import NAMES
    from loraspec.locking.compare import words

    for note in notes(compared):
        click.echo(f"note: {escaped(note)}", err=True)
    titles = [side.title for side in compared]
    found = differing(compared)
    click.echo(click.style("what differs", bold=True) + ("" if found else ": nothing, the resolved specs are the same"))
    if found:
        rows = [(path, *(words(value) for value in values)) for path, values in found]
        click.echo(table(rows, ("key", *titles), indent=2, styles=("cyan",)))
    click.echo(click.style("\nwhat was picked", bold=True))
    heads, body = choices(compared)
    click.echo(table(body, heads, indent=2, styles=("cyan",)))
    for name, title in NAMES.items():
        if any(side.curves[name] for side in compared):
            click.echo(click.style(f"\n{title.lower() if title != 'U at full weight' else title} by epoch", bold=True))
            lines = [(side.title, *line) for side, line in zip(compared, sparks(name, compared), strict=True)]
            click.echo(table(lines, indent=2, styles=("cyan",)))
