"""``loraspec judge``."""

from __future__ import annotations

from pathlib import Path

import click

from loraspec.cli import ranges
from loraspec.cli.output import table, wrapped
from loraspec.cli.runs import finished
from loraspec.errors import EXIT_DONE, EXIT_FOUND, SpecError
from loraspec.escape import escaped
from loraspec.finished import Finished, listed
from loraspec.usage import words


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--epochs", default="", help="Which epochs, such as 5,10,14; by default those that the ranking cannot tell apart.")
@click.option("--pairs", type=click.IntRange(min=1), help="How many pairs to ask for; by default 30 or more, by the number of epochs.")
@click.option("--port", type=click.IntRange(min=0, max=65535), default=0, help="Port on 127.0.0.1; by default any free one.")
@click.option("--results", "only", is_flag=True, help="Print what was found so far; opens no page.")
def command(folder: Path, epochs: str, pairs: int | None, port: int, only: bool) -> int:
    """Judge epochs by eye, in pairs, without knowing which is which.

    Serves a page on this machine alone and prints its address. Each pair has one prompt and one seed, at full weight. Arrow left or
    right says which picture is better, down that they are about the same, backspace takes the last answer back. Every answer is kept
    in RUN/judgements.jsonl at once; Ctrl-C, or the page's last button, ends.
    """
    run = finished(folder)
    wanted = ranges.epochs(epochs)
    return _told(run, wanted) if only else _serve(run, wanted, pairs or 0, port)


def _serve(run: Finished, epochs: tuple[int, ...], pairs: int, port: int) -> int:
    from loraspec.blind.pool import pool_of
    from loraspec.blind.server import Server
    from loraspec.blind.session import Session

    pool = pool_of(run, epochs)
    session = Session(run, pool, goal=pairs)
    session.state()  # a folder that cannot be used is told here, not in the browser
    try:
        server = Server(session, port=port)
    except OSError as error:
        raise SpecError(f"--port {port}: cannot be listened on: {error.strerror}") from None
    click.echo(f"epochs {listed(pool.epochs)} at weight {words(pool.weight)}; open this address in a browser on this machine:\n")
    click.echo(f"  {click.style(server.url, bold=True)}\n")
    click.echo("Ctrl-C ends; every answer is kept at once.")
    with server:
        try:
            server.serve_forever(poll_interval=0.1)
        except KeyboardInterrupt:  # the way to end it: nothing is lost
            click.echo()
    found = session.results()
    if found is not None:
        click.echo()
        _told(run, pool.epochs)
    return EXIT_DONE


def _told(run: Finished, epochs: tuple[int, ...]) -> int:
    """Print what the answers say."""
    from loraspec.blind.answers import Answers
    from loraspec.blind.results import results

    found = results(run, Answers(run.folder).given(epochs), epochs)
    if found is None:
        of = f" of epochs {listed(epochs)}" if epochs else ""
        click.echo(f"nothing was judged yet{of}: loraspec judge {run.folder}")
        return EXIT_FOUND
    for sentence in found.sentences:
        click.echo("\n".join(wrapped(escaped(sentence), indent=0)))
    heading, *rows = found.table
    click.echo(f"\n{table(rows, heading, styles=('bold',))}")
    return EXIT_DONE
