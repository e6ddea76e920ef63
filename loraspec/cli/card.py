"""``loraspec card``."""

from __future__ import annotations

from pathlib import Path

import click

from loraspec.cli.runs import finished
from loraspec.errors import EXIT_DONE, Problem, SpecError


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--license", "licence", default="", metavar="ID", help="Licence of the weights, such as cc0-1.0 or creativeml-openrail-m.")
@click.option("--output", "-o", metavar="FILE", type=click.Path(path_type=Path), help="Write it there instead of printing it.")
@click.option("--force", is_flag=True, help="Replace a file that exists.")
def command(folder: Path, licence: str, output: Path | None, force: bool) -> int:
    """Write a model card of the epoch that was picked.

    RUN is a run's folder, or "last". The card says what the weights are, how they are used, whose images they learnt from and with
    which right, and how they were made, in the form that the Hugging Face hub shows. Without a pick the ranking's epoch is described.
    """
    from loraspec.modelcard import card
    from loraspec.picking import read_pick, recommended

    run = finished(folder)
    text = card(run, read_pick(run) or recommended(run), licence=licence)
    if output is None:
        click.echo(text, nl=False)
        return EXIT_DONE
    if output.exists() and not force:
        hint = "choose another name with -o, or replace it with --force"
        raise SpecError([Problem("--output", f"{str(output)!r} exists", hint, code="E-PATH-EXISTS")])
    output.write_text(text, encoding="utf-8")
    click.echo(f"{output}: written")
    return EXIT_DONE
