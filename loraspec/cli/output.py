"""How commands write: problems as lines, tables that fit a terminal and stay whole in a pipe."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from loraspec.errors import Problem
from loraspec.escape import escaped

MOST_SHOWN = 50  # problems of one code
Function = TypeVar("Function", bound=Callable[..., Any])


def spec_argument(function: Function) -> Function:
    """Add the argument ``SPEC``."""
    return click.argument("spec", type=click.Path(path_type=Path, readable=False))(function)


def overlay_options(function: Function) -> Function:
    """Add ``--profile`` and ``--set``, given to the function as ``profiles`` and ``sets``."""
    sets_help = "Set one value, such as adapter.rank=32; repeatable."
    profiles_help = "Apply a profile of the spec; repeatable, in order."
    function = click.option("--set", "-s", "sets", multiple=True, metavar="KEY=VALUE", help=sets_help)(function)
    return click.option("--profile", "-p", "profiles", multiple=True, metavar="NAME", help=profiles_help)(function)


def rehash_option(function: Function) -> Function:
    """Add ``--rehash``, which forgets which image files are known before the command begins."""

    def forget(_: click.Context, __: click.Parameter, asked: bool) -> None:
        if asked:
            from loraspec.known import known

            known().forget_files()

    told = "Read and hash every image again, even if its file looks unchanged."
    return click.option("--rehash", is_flag=True, expose_value=False, callback=forget, help=told)(function)


def plural(count: int, noun: str) -> str:
    """Return ``1 error`` or ``2 errors``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def echo_problems(problems: Sequence[Problem]) -> None:
    """Write problems to stderr, one line each with its hint below, and count them at the end.

    Of one code ``MOST_SHOWN`` are written, the others counted.
    """
    seen: Counter[tuple[str, str]] = Counter()
    for problem in problems:
        seen[problem.code, problem.severity] += 1
        if seen[problem.code, problem.severity] > MOST_SHOWN:
            continue
        place = escaped(":".join([problem.file, *(str(n) for n in (problem.line, problem.column) if n)]))
        warning = problem.severity == "warning"
        message = (click.style("warning: ", fg="yellow") if warning else "") + escaped(problem.message)
        tail = click.style(f"[{problem.code}]", dim=True) if problem.code else ""
        where = click.style(place, bold=True) if place else ""
        parts = (where, click.style(escaped(problem.path), fg="cyan") if problem.path else "", message, tail)
        for line in wrapped("  ".join(part for part in parts if part), hanging=2, err=True):
            click.echo(line, err=True)
        if problem.hint:
            for line in wrapped(f"{click.style('hint:', dim=True)} {escaped(problem.hint)}", indent=4, hanging=10, err=True):
                click.echo(line, err=True)
    for (code, severity), number in seen.items():
        if number > MOST_SHOWN:
            click.echo(f"... and {plural(number - MOST_SHOWN, f'more {severity}')}{f' [{code}]' if code else ''}", err=True)
    errors = sum(problem.severity != "warning" for problem in problems)
    warnings = len(problems) - errors
    if len(problems) > 1:
        counted = [plural(errors, "error")] * bool(errors) + [plural(warnings, "warning")] * bool(warnings)
        click.echo(", ".join(counted), err=True)


def width(*, err: bool = False) -> int:
    """Return how many columns a line may have: the terminal's, COLUMNS, or (in a pipe) as many as it takes.

    ``err``: On stderr, where a pipe has one line for each problem whatever COLUMNS says: programs read it.
    """
    stream = sys.stderr if err else sys.stdout
    if os.environ.get("COLUMNS", "").isdigit() and (stream.isatty() or not err):
        return max(40, int(os.environ["COLUMNS"]))
    return max(40, os.get_terminal_size(stream.fileno()).columns or 80) if stream.isatty() else 100_000


def wrapped(text: str, *, indent: int = 0, hanging: int | None = None, err: bool = False) -> list[str]:
    """Return a text as lines that fit, broken between words only; ``hanging`` is the indent of all lines but the first.

    Colours take no room, and spaces within a line stay as they are.
    """
    room, later = width(err=err), " " * (indent if hanging is None else hanging)
    line, lines = " " * indent, []
    for word in re.findall(r"\S+\s*", text.replace("\n", " ")):
        if click.unstyle(line).strip() and len(click.unstyle(line + word).rstrip()) > room:
            lines.append(line.rstrip())
            line = later
        line += word
    return [*lines, line.rstrip()] if text.strip() else []


def table(rows: Iterable[Sequence[str]], headings: Sequence[str] = (), *, indent: int = 0, styles: Sequence[str] = ()) -> str:
    """Lay rows out in columns. What does not fit a line is broken between words, the widest column first; no cell is cut.

    Where even words would have to be broken, each row becomes a list: the first cell, and below it the others with their headings.
    """
    from loraspec.cli.columns import fitted

    cells, headings = [[escaped(cell) for cell in row] for row in rows], [escaped(name) for name in headings]
    found = fitted(list(zip(*([headings] if headings else []), *cells, strict=True)), width() - indent)
    if found is None and len(cells[0]) > 2:
        return _listed(cells, headings, indent=indent, styles=styles)
    return _laid(cells, headings, found, indent=indent, styles=styles)


def _listed(rows: Sequence[Sequence[str]], headings: Sequence[str], *, indent: int, styles: Sequence[str]) -> str:
    from loraspec.cli.columns import fitted

    parts = []
    for first, *others in rows:
        parts.append(_laid([[first]], (), None, indent=indent, styles=styles))
        pairs = [[name, cell] for name, cell in zip(headings[1:] or [""] * len(others), others, strict=True) if cell]
        if pairs:
            found = fitted(list(zip(*pairs, strict=True)), width() - indent - 2)
            parts.append(_laid(pairs, (), found, indent=indent + 2, styles=()))
    return "\n".join(parts)


def _laid(rows: Sequence[Sequence[str]], headings: Sequence[str], wide: Sequence[int] | None, *, indent: int, styles: Sequence[str]) -> str:
    """``wide``: of the columns; None where rich may break words."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from loraspec.cli.columns import GAP

    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    system: Any = "standard" if colour else None
    console = Console(width=width(), force_terminal=colour, no_color=not colour, color_system=system, highlight=False)
    grid = Table(box=None, show_header=bool(headings), pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for number in range(len(headings) or len(rows[0])):
        style = styles[number] if number < len(styles) else ""
        most = wide[number] if wide is not None else None
        grid.add_column(Text(headings[number]) if headings else "", style=style, width=most, overflow="fold")
    for row in rows:
        grid.add_row(*map(Text, row))
    with console.capture() as capture:
        console.print(Padding(grid, (0, 0, 0, indent)) if indent else grid)
    return "\n".join(line.rstrip() for line in capture.get().rstrip("\n").split("\n"))
