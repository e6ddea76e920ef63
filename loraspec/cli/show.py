"""``loraspec show``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from loraspec.cli.output import overlay_options, spec_argument
from loraspec.escape import escaped, escaped_json

_HEADER = re.compile(r"(\[\[?)(.+?)\]\]?")
_WIDEST = 60


@click.command()
@spec_argument
@overlay_options
@click.option("--resolved", is_flag=True, help="Write out every default and every component in full.")
@click.option("--origin", is_flag=True, help="Say where each value came from: default, file:LINE, profile NAME, --set.")
@click.option("--format", "form", type=click.Choice(["toml", "json"]), default="toml", show_default=True, help="How to print.")
def command(spec: Path, profiles: tuple[str, ...], sets: tuple[str, ...], resolved: bool, origin: bool, form: str) -> int:
    """Print a spec with profiles and --set applied.

    What is printed with --resolved is itself a spec, with the same hash.
    """
    from loraspec.spec.resolved import resolved_toml

    if resolved:
        from loraspec.plan import resolve

        plan = resolve(spec, profiles=profiles, sets=sets)
        tables, overlay = plan.resolved, plan.overlay
    else:
        from loraspec.spec.load import load

        overlay = load(spec, profiles=profiles, sets=sets).overlay
        tables = overlay.tables
    if form == "json":
        shown: dict[str, Any] = {"spec": tables}
        if origin:
            shown["origin"] = {path: overlay.origin_of(path) for path in _paths(tables)}
        click.echo(escaped_json(json.dumps(shown if origin else tables, indent=2, ensure_ascii=False, default=str)))
    else:
        text = escaped(resolved_toml(tables), keep="\n")  # TOML writes characters this way too: it reads back the same
        click.echo("\n".join(_annotated(text, overlay.origin_of)) if origin else text.rstrip("\n"))
    return 0


def _paths(value: Any, path: str = "") -> Iterator[str]:
    """Yield the dotted path of every value that is no table."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _paths(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list | tuple) and value and all(isinstance(item, dict) for item in value):
        for number, item in enumerate(value):
            yield from _paths(item, f"{path}[{number}]")
    else:
        yield path


def _annotated(text: str, origin_of: Callable[[str], str]) -> Iterator[str]:
    """Yield the lines of a TOML text with the origin of each value as a comment."""
    counts: dict[str, int] = {}
    table = ""
    lines = text.rstrip("\n").split("\n")
    column = min(_WIDEST, max(map(len, lines), default=0)) + 2
    for line in lines:
        header = _HEADER.fullmatch(line)
        if header is not None:
            table = _numbered(header[2], counts, new=header[1] == "[[")
            yield line
        elif " = " in line:
            key = line.split(" = ", 1)[0]
            yield f"{line.ljust(column - 2)}  {click.style('# ' + origin_of(f'{table}.{key}' if table else key), dim=True)}"
        else:
            yield line


def _numbered(path: str, counts: dict[str, int], *, new: bool) -> str:
    """Return a header's path with the index of every list of tables on its way: ``captions.transforms[1]``."""
    if new:
        counts[path] = counts.get(path, -1) + 1
    for known in sorted(counts, key=len, reverse=True):
        if path == known or path.startswith(f"{known}."):
            return f"{known}[{counts[known]}]{path.removeprefix(known)}"
    return path
