"""``loraspec captions status`` and ``diff``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loraspec.cli.output import echo_problems, overlay_options, plural, spec_argument, table
from loraspec.errors import EXIT_DONE, EXIT_FOUND, Problem
from loraspec.escape import escaped, escaped_json

if TYPE_CHECKING:
    from loraspec.captioning.items import Item

ORDER = ("approved", "edited", "draft", "rejected", "found", "missing")
COLOURS = {"approved": "green", "edited": "cyan", "draft": "yellow", "rejected": "red", "found": "white", "missing": "red"}


@click.command()
@spec_argument
@overlay_options
@click.option("--all", "whole", is_flag=True, help="List approved captions too.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array with image, state, author, when and caption.")
def status(spec: Path, profiles: tuple[str, ...], sets: tuple[str, ...], whole: bool, as_json: bool) -> int:
    """Say which captions are approved, edited, drafts, rejected, missing, or were found and not looked at.

    With `captions.review = "required"` the exit code is 1 while any is not approved.
    """
    from loraspec.captioning.items import items_of
    from loraspec.ledger import Ledger
    from loraspec.plan import resolve

    plan = resolve(spec, profiles=profiles, sets=sets)
    items, problems = items_of(plan)
    echo_problems([problem for problem in problems if problem.severity == "error"])
    for path in sorted({item.ledger for item in items}):
        torn = Ledger(path).broken() if path.exists() else []
        if torn:
            message = f"line {torn[0]} does not follow the line before it: the ledger was edited, or two were merged"
            echo_problems([Problem(path.name, message, severity="warning", code="W-CAP-LEDGER")])
    if as_json:
        click.echo(escaped_json(json.dumps([_row(item) for item in items], ensure_ascii=False, indent=1)))
    else:
        shown = [item for item in items if whole or item.state != "approved"]
        if shown:
            rows = [(item.state, item.key, _author(item), item.text or "") for item in shown]
            click.echo(table(rows, ("state", "image", "by", "caption")))
        click.echo(f"{plural(len(items), 'image')}: {counted(items)}")
    left = sum(item.state != "approved" for item in items)
    required = plan.spec.captions.review == "required"
    if left and required and not as_json:
        click.echo(f"review is required, so nothing is trained: loraspec captions review {escaped(str(spec))}", err=True)
    return EXIT_FOUND if left and required else EXIT_DONE


@click.command()
@spec_argument
@click.argument("other", required=False, type=click.Path(path_type=Path, exists=True))
@overlay_options
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array with image, before, after, added, removed and moved.")
def diff(spec: Path, other: Path | None, profiles: tuple[str, ...], sets: tuple[str, ...], as_json: bool) -> int:
    """Say what changed in captions, in descriptors: against the last draft of each image, or against OTHER.

    OTHER is a folder of text files or a table (.jsonl, .csv, .json), as `captions import` reads it. The exit code is 1 when
    captions differ.
    """
    from attrs import asdict

    from loraspec.captioning.differences import difference
    from loraspec.captioning.items import items_of
    from loraspec.captioning.tables import read_table
    from loraspec.ledger import plain
    from loraspec.plan import resolve

    plan = resolve(spec, profiles=profiles, sets=sets)
    items, _ = items_of(plan)
    before = read_table(other, [item.key for item in items])[0] if other is not None else _drafts(items)
    rows = []
    for item in items:
        old, new = before.get(item.key), item.text
        if old is None or new is None or plain(old) == plain(new):
            continue
        rows.append({"image": item.key, "before": old, "after": new, **asdict(difference(old, new, plan.spec.captions.separator))})
    if as_json:
        click.echo(escaped_json(json.dumps(rows, ensure_ascii=False, indent=1)))
        return EXIT_FOUND if rows else EXIT_DONE
    for row in rows:
        click.echo(click.style(escaped(str(row["image"])), bold=True))
        for kind, mark, colour in (("removed", "-", "red"), ("added", "+", "green"), ("moved", "~", "yellow")):
            for part in row[kind]:
                click.echo(click.style(f"  {mark} {escaped(str(part))}", fg=colour))
        if not (row["removed"] or row["added"] or row["moved"]):
            click.echo("  ~ separators only")
    click.echo(f"{plural(len(rows), 'caption')} of {len(items)} changed; {plural(len(before), 'caption')} could be compared")
    return EXIT_FOUND if rows else EXIT_DONE


def _drafts(items: list[Item]) -> dict[str, str]:
    """Return the last draft of each image that has one."""
    from loraspec.ledger import Ledger

    found: dict[tuple[Path, str, str], str] = {}
    for path in {item.ledger for item in items}:
        for entry in Ledger(path).entries() if path.exists() else ():
            if entry.state == "draft":
                found[path, entry.image, entry.key] = entry.text
    known = {item.key: found.get((item.ledger, item.sha256, item.own)) for item in items}
    return {key: text for key, text in known.items() if text is not None}


def counted(items: list[Item]) -> str:
    """Return how many captions are in each state, coloured."""
    states = [item.state for item in items]
    parts = [click.style(f"{states.count(name)} {name}", fg=COLOURS[name]) for name in ORDER if name in states]
    return ", ".join(parts) or "none"


def _author(item: Item) -> str:
    if item.state in ("missing", "found"):
        return ""
    return "person" if item.outside or item.entry is None else item.entry.author.removeprefix("model:")


def _row(item: Item) -> dict[str, str | None]:
    when = item.entry.when if item.entry is not None and not item.outside else ""
    return {"image": item.key, "state": item.state, "author": _author(item), "when": when, "caption": item.text}
