"""``loraspec captions review``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from loraspec.cli.captions.status import counted
from loraspec.cli.output import echo_problems, overlay_options, plural, spec_argument
from loraspec.errors import EXIT_DONE, EXIT_FOUND, Problem, SpecError
from loraspec.escape import escaped

if TYPE_CHECKING:
    from loraspec.captionlint.rules import Finding
    from loraspec.plan import Plan


@click.command()
@spec_argument
@overlay_options
@click.option("--port", type=click.IntRange(min=0, max=65535), default=0, help="Port on 127.0.0.1; by default any free one.")
@click.option("--editor", is_flag=True, help="One text in $EDITOR instead of a page.")
@click.option("--all", "whole", is_flag=True, help="With --editor: approved captions too.")
def review(spec: Path, profiles: tuple[str, ...], sets: tuple[str, ...], port: int, editor: bool, whole: bool) -> int:
    """Look at each image with its caption: approve, edit, reject.

    Serves a page on this machine alone and prints its address; it is used by keyboard (? shows the keys). Every change is written at
    once, to the image's caption file and to the ledger beside the images. Ctrl-C, or the page's button, ends.
    """
    from loraspec.plan import resolve

    plan = resolve(spec, profiles=profiles, sets=sets)
    return _edited(plan, whole) if editor else _serve(plan, port)


def _serve(plan: Plan, port: int) -> int:
    from loraspec.captioning.server import Server
    from loraspec.captioning.session import Review

    session = Review(plan)
    if not session.rows:
        raise SpecError([*session.problems] or [Problem("data.sources", "the sources hold no image", code="E-DATA-EMPTY")])
    try:
        server = Server(session, port=port)
    except OSError as error:
        raise SpecError(f"--port {port}: cannot be listened on: {error.strerror}") from None
    click.echo(f"{plural(len(session.rows), 'image')}: {counted([row.item for row in session.rows])}")
    click.echo("open this address in a browser on this machine:\n")
    click.echo(f"  {click.style(server.url, bold=True)}\n")
    click.echo("Ctrl-C ends; every change is kept at once.")
    with server:
        try:
            server.serve_forever(poll_interval=0.1)
        except KeyboardInterrupt:  # the way to end it: nothing is lost
            click.echo()
    click.echo(counted([row.item for row in session.rows]))
    return EXIT_DONE


def _edited(plan: Plan, whole: bool) -> int:
    from loraspec.captioning.items import ChangedError, items_of, note_outside, write
    from loraspec.captioning.sheet import SheetError, changes, sheet
    from loraspec.captionlint.gather import lint

    items = [item for item in note_outside(items_of(plan)[0]) if whole or item.state != "approved"]
    if not items:
        click.echo("every caption is approved; --all shows them")
        return EXIT_DONE
    findings: dict[str, list[Finding]] = {}
    for one in lint(plan)[2]:
        findings.setdefault(one.image, []).append(one)
    text: str | None = sheet(items, findings, spec=plan.document.path.name)
    while True:
        text = click.edit(text, extension=".txt")
        if text is None or not text.strip():
            click.echo("nothing was changed")
            return EXIT_DONE
        try:
            found = changes(text, items)
            break
        except SheetError as error:
            click.echo(escaped(str(error)), err=True)
            if not click.confirm("edit it again?", default=True, err=True):
                return EXIT_FOUND
    kept = []
    for change in found:
        try:
            write(change.item, change.text, change.state)
        except ChangedError as error:
            kept.append(Problem(error.item.key, "was changed elsewhere meanwhile, and was left alone", code="W-CAP-KEPT"))
    echo_problems(kept)
    click.echo(f"{plural(len(found) - len(kept), 'caption')} changed: {counted(items_of(plan)[0])}")
    return EXIT_FOUND if kept else EXIT_DONE
