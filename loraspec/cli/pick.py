"""``loraspec pick``."""

from __future__ import annotations

import math
from pathlib import Path

import click

from loraspec.cli.output import table, wrapped
from loraspec.cli.runs import finished
from loraspec.errors import EXIT_DONE, EXIT_FOUND, RunError
from loraspec.escape import escaped
from loraspec.finished import Finished, listed
from loraspec.picking import Pick, candidates, chosen, copy, keep, read_pick, recommended
from loraspec.sweetspot.ranking import EpochScore, Interval
from loraspec.usage import uses, words


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("epoch", required=False, type=int)
@click.option("--weight", type=float, help="The weight to use it at; by default full weight, 1.0.")
@click.option("--note", default="", help="Why; kept with the choice.")
@click.option("--yes", is_flag=True, help="Take the recommendation even if its confidence is low.")
@click.option("--copy", "target", type=click.Path(path_type=Path), help="Copy the epoch's files there.")
@click.option("--force", is_flag=True, help="With --copy: replace other files.")
@click.option("--show", is_flag=True, help="Show what was picked; changes nothing.")
def command(
    folder: Path, epoch: int | None, weight: float | None, note: str, yes: bool, target: Path | None, force: bool, show: bool
) -> int:
    """Pick the epoch to use: the ranking's, or your own.

    RUN is a run's folder, or "last"; without EPOCH its recommendation is taken. The choice is kept in RUN/pick.json, which compare
    shows; a later pick replaces it, a resume does not. Where the ranking's confidence is low, the epochs to look at are listed and
    nothing is picked: exit code 1.
    """
    run = finished(folder)
    if show:
        if epoch is not None or weight is not None or note or yes:
            raise click.UsageError("--show changes nothing: leave EPOCH, --weight, --note and --yes out")
        return _show(run, target, force)
    if epoch is None and not yes and run.ranking is not None and run.ranking.epoch and run.ranking.confidence == "low":
        _ask(run)
        return EXIT_FOUND
    personal = epoch is not None or weight is not None or bool(note)
    pick = chosen(run, epoch=epoch, weight=weight, note=note) if personal else recommended(run)
    run.verified(pick.epoch)
    before = _before(run)
    copies = copy(run, pick.epoch, target, force=force) if target else []
    path = keep(run, pick)
    _say(run, pick)
    click.echo(table([(f"kept in {path}{before}",)]))
    for name in copies:
        click.echo(f"copied to {escaped(str(name))}")
    return EXIT_DONE


def _show(run: Finished, target: Path | None, force: bool) -> int:
    pick = read_pick(run)
    if pick is None:
        click.echo(f"nothing was picked of {run.folder}: loraspec pick {run.folder}")
        return EXIT_FOUND
    run.verified(pick.epoch)
    _say(run, pick)
    for name in copy(run, pick.epoch, target, force=force) if target else []:
        click.echo(f"copied to {escaped(str(name))}")
    return EXIT_DONE


def _before(run: Finished) -> str:
    """Say which other choice is replaced."""
    try:
        old = read_pick(run)
    except RunError:
        return ", in place of one that could not be read"
    if old is None:
        return ""
    note = f': "{old.note}"' if old.note else ""
    return f", in place of epoch {old.epoch} at {words(old.weight)}, picked by {_whose(old)} on {old.when[:10]}{note}"


def _whose(pick: Pick) -> str:
    return "the ranking" if pick.by == "ranking" else "a person"


def _say(run: Finished, pick: Pick) -> None:
    """Print the choice, why, and how to use it."""
    click.echo(click.style(f"epoch {pick.epoch} at weight {words(pick.weight)}", bold=True) + f", picked by {_whose(pick)}")
    rows = [("file" if number == 0 else "", str(run.file(name))) for number, name in enumerate(pick.files)]
    rows += [("" if number else "why", line) for number, line in enumerate(_why(run, pick))]
    for use in uses(run, pick.epoch, pick.weight):
        rows += [("" if number else use.program, line) for number, line in enumerate(use.lines)]
    click.echo(table(rows, indent=2, styles=("cyan",)))


def _why(run: Finished, pick: Pick) -> list[str]:
    """Return the reasons, a person's first, then what the ranking says of this epoch."""
    found = [pick.note] if pick.note else []
    ranking = run.ranking
    if ranking is None:
        return found or ["nothing was ranked"]
    if ranking.epoch == pick.epoch:
        return [*found, *ranking.sentences[:1]]
    one = ranking.of_epoch(pick.epoch)
    if one is None:
        return [*found, f"the ranking did not look at this epoch; it recommends epoch {ranking.epoch}"]
    stands = "cannot tell it from" if one.tied else "puts it behind"
    said = f"the ranking {stands} epoch {ranking.epoch}, which it recommends: key {interval(one.key)}"
    return [*found, said + "".join(f"; {label.words}" for label in one.labels)]


def _ask(run: Finished) -> None:
    """Print the epochs that a person should look at, and how."""
    ranking, shown = run.ranking, candidates(run)
    assert ranking is not None
    click.echo(click.style("The ranking is not sure: its confidence is low.", bold=True))
    for reason in ranking.reasons:
        click.echo("\n".join(wrapped(f"- {escaped(reason)}", indent=2, hanging=4)))
    tied = tuple(one.epoch for one in shown if one.tied)
    if 1 < len(tied) < len(ranking.tie_set):
        click.echo(f"\nOf {len(ranking.tie_set)} epochs that it cannot tell apart, these lead:")
    else:
        click.echo(f"\nIt cannot tell epochs {listed(tied)} apart." if len(tied) > 1 else "\nThe best epochs by its key:")
    click.echo(table([_row(one, ranking.epoch) for one in shown], ("epoch", "", "key", "best in", "fresh key", "remarks"), indent=2))
    click.echo("\nAn eye decides:")
    ways = [
        (f"loraspec judge {run.folder}", "shows these epochs in pairs, blind"),
        (f"loraspec pick {run.folder} EPOCH", "takes the one that you prefer"),
        (f"loraspec pick {run.folder} --yes", f"takes epoch {ranking.epoch} all the same"),
    ]
    for command, does in ways:  # a command stays on one line, to be copied
        click.echo(f"  {click.style(escaped(command), fg='cyan')}")
        click.echo("\n".join(wrapped(does, indent=6)))


def _row(one: EpochScore, first: int) -> tuple[str, ...]:
    marks = " ".join(word for word, there in (("first", one.epoch == first), ("tied", one.tied)) if there)
    fresh = "-" if one.fresh is None else f"{one.fresh:.2f}"
    share = "-" if math.isnan(one.best) else f"{one.best:.0%}"
    return str(one.epoch), marks, interval(one.key), share, fresh, ", ".join(label.name for label in one.labels)


def interval(value: Interval) -> str:
    """Return ``0.62 [0.55, 0.70]``, or a dash where nothing is known."""
    if math.isnan(value.value):
        return "-"
    return f"{value.value:.2f}" + ("" if math.isnan(value.low) else f" [{value.low:.2f}, {value.high:.2f}]")


