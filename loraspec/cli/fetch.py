"""``loraspec fetch``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loraspec.cli.output import echo_problems, overlay_options, plural, spec_argument, table
from loraspec.errors import EXIT_DONE, EXIT_FOUND, Problem
from loraspec.escape import escaped

if TYPE_CHECKING:
    from loraspec.download import Downloader
    from loraspec.fetching import FetchingSource, Remote
    from loraspec.plan import Plan


@click.command()
@spec_argument
@overlay_options
@click.option("--dry-run", "-n", is_flag=True, help="List the images and fetch none; tables that list them are fetched.")
@click.option("--pause", type=click.FloatRange(0, 60), default=0.5, show_default=True, metavar="S", help="Seconds between two requests.")
def command(spec: Path, profiles: tuple[str, ...], sets: tuple[str, ...], dry_run: bool, pause: float) -> int:
    """Fetch the images that data sources choose elsewhere.

    The only command that loads data from the network; plan and run read what it left. Start it again at any time: what is there is
    kept, what broke off goes on. The exit code is 1 when an image could not be had.
    """
    import loraspec
    from loraspec.download import Downloader
    from loraspec.fetching import FetchingSource
    from loraspec.plan import resolve

    plan = resolve(spec, profiles=profiles, sets=sets)
    sources = [(number, source) for number, source in enumerate(plan.built("data_source")) if isinstance(source, FetchingSource)]
    if not sources:
        click.echo("no data source of this spec is fetched: all of its images are on this machine")
        return EXIT_DONE
    downloader = Downloader(agent=f"loraspec/{loraspec.__version__}", pause=pause)
    problems: list[Problem] = []
    for number, source in sources:
        wanted = source.remotes(plan.context, downloader)
        where = f"data.sources[{number}]"
        if dry_run:
            click.echo(f"{click.style(where, bold=True)}  {plural(len(wanted), 'image')}")
            click.echo(table([(one.name, one.rights, one.told or one.credits) for one in wanted], ("name", "rights", "what"), indent=2))
        else:
            problems += _fetched(plan, number, source, wanted, downloader)
    echo_problems(problems)
    return EXIT_FOUND if problems else EXIT_DONE


def _fetched(plan: Plan, number: int, source: FetchingSource, wanted: Sequence[Remote], downloader: Downloader) -> list[Problem]:
    """Fetch the images of one source, a line for each; return what went wrong."""
    from loraspec.fetching import fetch

    problems, there, new, size = [], 0, 0, 0
    for place, outcome in enumerate(fetch(source, plan.context, wanted, downloader), 1):
        counted = f"{place:>{len(str(len(wanted)))}}/{len(wanted)}"
        if outcome.problem is not None:
            problems.append(plan.placed(outcome.problem, f"data.sources[{number}]"))
            click.echo(f"{counted}  {click.style('failed', fg='red')}  {escaped(outcome.remote.name)}", err=True)
        elif outcome.state == "there":
            there += 1
        else:
            new, size = new + 1, size + outcome.size
            told = f"{outcome.remote.name}  {outcome.size / 2**20:.1f} MiB  {outcome.remote.told}"
            click.echo(f"{counted}  {escaped(told)}", err=True)
    said = f"data.sources[{number}]: {new} fetched ({size / 2**20:.1f} MiB), {there} there already, {len(problems)} failed"
    click.echo(said)
    return problems
