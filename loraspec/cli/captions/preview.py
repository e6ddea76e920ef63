"""``loraspec captions preview``."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import click

from loraspec.cli.output import echo_problems, overlay_options, plural, spec_argument, table
from loraspec.errors import EXIT_DONE, Problem, SpecError
from loraspec.escape import escaped_json


@click.command()
@spec_argument
@overlay_options
@click.option("--epoch", "-e", type=click.IntRange(min=1), default=1, show_default=True, help="The epoch, from 1.")
@click.option("--limit", "-n", type=click.IntRange(min=1), help="Stop after so many captions.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per caption.")
def preview(spec: Path, profiles: tuple[str, ...], sets: tuple[str, ...], epoch: int, limit: int | None, as_json: bool) -> int:
    """Print the exact captions of an epoch, in the order of its steps.

    Columns: step (counted over the whole run), image, visit of this image in this epoch (from 1), caption.
    """
    from loraspec.cli.plan import or_meanwhile
    from loraspec.plan import resolve

    plan = resolve(spec, profiles=profiles, sets=sets)
    data = or_meanwhile(plan, "captions preview", lambda: plan.data)
    if epoch > data.epochs:
        message = f"epoch {epoch} is not trained; epochs are 1 to {data.epochs}"
        raise SpecError([plan.placed(Problem("train.epochs", message, code="E-SPEC-RANGE"))])
    if data.undrafted:
        echo_problems([problem for problem in data.problems if problem.path == "captions.captioner"])
    found = list(itertools.islice(data.captions(epoch), limit))
    if as_json:
        for step, visit, caption in found:
            row = {"step": step.index, "key": visit.key, "repeat": visit.repeat, "caption": caption}
            click.echo(escaped_json(json.dumps(row, ensure_ascii=False)))
        return EXIT_DONE
    rows = [(str(step.index), visit.key, str(visit.repeat + 1), caption or "(empty)") for step, visit, caption in found]
    click.echo(table(rows, ("step", "image", "visit", "caption")) if rows else "no captions yet")
    rest = data.samples_per_epoch - len(found)
    if limit is not None and rest:
        click.echo(f"... and {plural(rest, 'more visit')} in epoch {epoch}", err=True)
    return EXIT_DONE
