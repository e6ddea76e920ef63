"""``loraspec captions import`` and ``export``."""

from __future__ import annotations

from pathlib import Path

import click

from loraspec.cli.output import echo_problems, overlay_options, plural, spec_argument
from loraspec.errors import EXIT_DONE, EXIT_FOUND, Problem, SpecError
from loraspec.escape import escaped

STATES = ("approved", "edited", "draft", "rejected", "found")


@click.command("import")
@spec_argument
@click.argument("table", type=click.Path(path_type=Path, exists=True))
@overlay_options
@click.option("--overwrite", is_flag=True, help="Replace approved captions too.")
@click.option("--approve", is_flag=True, help="Take the captions as approved.")
def import_(spec: Path, table: Path, profiles: tuple[str, ...], sets: tuple[str, ...], overwrite: bool, approve: bool) -> int:
    """Take captions from TABLE: a folder of text files, .jsonl or .csv (file_name, text), or kohya's metadata .json.

    They count as written by a person. Approved captions are kept, unless --overwrite is given; the exit code is 1 when one was kept
    that differs, or when TABLE names what is no image of the data.
    """
    from loraspec.captioning.items import items_of, note_outside, write_all
    from loraspec.captioning.tables import read_table
    from loraspec.drafts import cleaned
    from loraspec.ledger import plain
    from loraspec.plan import resolve

    plan = resolve(spec, profiles=profiles, sets=sets)
    items, _ = items_of(plan)
    found, strangers = read_table(table, [item.key for item in items])
    changes, kept, wrong = [], [], []
    for item in note_outside(items):
        if item.key not in found:
            continue
        try:
            text = cleaned(found[item.key])
        except ValueError as error:
            wrong.append(Problem(item.key, str(error).replace("the answer", "its caption"), code="E-DATA-TABLE"))
            continue
        same = plain(item.text or "") == plain(text)
        if item.state == "approved" and not same and not overwrite:
            kept.append(item.key)
        elif not same or (approve and item.state != "approved"):
            changes.append((item, text, "approved" if approve else "edited"))
    if wrong:
        raise SpecError(wrong)
    write_all(changes)  # type: ignore[arg-type]
    click.echo(f"{plural(len(changes), 'caption')} taken from {escaped(table.name)}, {len(found) - len(changes) - len(kept)} as they were")
    told = [Problem(key, "is approved and was kept", "--overwrite replaces it", severity="warning", code="W-CAP-KEPT") for key in kept]
    told += [Problem(name, "is no image of the data", severity="warning", code="W-CAP-ORPHAN") for name in strangers]
    echo_problems(told)
    return EXIT_FOUND if told else EXIT_DONE


@click.command()
@spec_argument
@click.argument("out", type=click.Path(path_type=Path))
@overlay_options
@click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="Only captions in this state; repeatable.")
@click.option("--force", is_flag=True, help="Replace OUT when it is there.")
def export(spec: Path, out: Path, profiles: tuple[str, ...], sets: tuple[str, ...], states: tuple[str, ...], force: bool) -> int:
    """Write captions to OUT: .jsonl or .csv (file_name, text), kohya's metadata .json, or a folder of text files."""
    from loraspec.captioning.items import items_of
    from loraspec.captioning.tables import KINDS, stem, table_bytes
    from loraspec.engine.disk import write_file
    from loraspec.ledger import plain
    from loraspec.plan import resolve

    plan = resolve(spec, profiles=profiles, sets=sets)
    items, _ = items_of(plan)
    captions = {item.key: plain(item.text) for item in items if item.text is not None and (not states or item.state in states)}
    folder = out.suffix not in KINDS
    if folder and out.suffix and not out.is_dir():
        raise SpecError([Problem(str(out), f"is none of {', '.join(KINDS)}, and no folder", code="E-DATA-TABLE")])
    there = [path for path in ([out / f"{stem(key)}.txt" for key in captions] if folder else [out]) if path.exists()]
    if there and not force:
        raise SpecError([Problem(str(there[0]), "is there already", "--force replaces it", code="E-DATA-TABLE")])
    if folder:
        for key, text in captions.items():
            write_file(out / f"{stem(key)}.txt", f"{text}\n".encode())
    else:
        write_file(out, table_bytes(out.suffix, captions))
    click.echo(f"{plural(len(captions), 'caption')} written to {escaped(str(out))}")
    return EXIT_DONE
