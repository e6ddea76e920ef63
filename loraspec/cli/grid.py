"""``loraspec grid``."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import click

from loraspec.cli import ranges
from loraspec.cli.runs import finished
from loraspec.errors import EXIT_DONE, EXIT_FOUND, RunError, SpecError
from loraspec.finished import listed

LARGEST = 1 << 20  # bytes of a file of prompts


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--epochs", default="", help="Rows, such as 5,10,14 or 8-12; by default the spec's.")
@click.option("--weights", default="", help="Columns, such as 0.8,1.0 or 0.4:1.0:0.2; by default the spec's.")
@click.option("--prompts", type=click.Path(path_type=Path), help="A text file with one prompt a line; # begins a remark.")
@click.option("--seeds", default="", help="Seeds, such as 1,2; by default the spec's.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder of the sheets; by default one under RUN/grid/.")
def command(folder: Path, epochs: str, weights: str, prompts: Path | None, seeds: str, output: Path | None) -> int:
    """Draw any part of the grid: other epochs, weights, prompts or seeds.

    Only cells that are not there yet are drawn; Ctrl-C keeps what is finished. Exit code 1 when a cell could not be drawn.
    """
    run = finished(folder)
    wanted: dict[str, tuple[Any, ...]] = {
        "epochs": ranges.epochs(epochs),
        "weights": ranges.weights(weights),
        "prompts": _prompts(prompts) if prompts else (),
        "seeds": ranges.seeds(seeds),
    }
    if unknown := [epoch for epoch in wanted["epochs"] if epoch not in run.epochs]:
        raise SpecError(f"--epochs: {run.folder} has no epoch {listed(tuple(unknown))}; it has {listed(run.epochs)}")
    named = hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:12]
    return _draw(run.folder, output or run.folder / "grid" / f"part-{named}", wanted)


def _prompts(path: Path) -> tuple[str, ...]:
    """Read a file of prompts.

    Raises:
        SpecError: It cannot be read, or holds none.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise SpecError(f"--prompts: {path} is larger than 1 MiB; one prompt a line would be right")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SpecError(f"--prompts: {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SpecError(f"--prompts: {path} is no UTF-8 text") from None
    lines = (line.strip() for line in text.splitlines())
    found = tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    if not found:
        raise SpecError(f"--prompts: {path} holds no prompt; one a line would be right")
    return found


def _draw(folder: Path, output: Path, wanted: dict[str, tuple[Any, ...]]) -> int:
    from loraspec.engine.reopen import opened

    with opened(folder) as run:
        grid = next((evaluator for _, evaluator in run.evaluators if hasattr(evaluator, "part")), None)
        if grid is None:
            raise RunError(f"{folder}: none of its evaluators draws a grid; [[evaluators]] with use = \"grid\" would be right")
        drawn = grid.part(run, output, **wanted)
    click.echo(f"{drawn['cells']:.0f} cells, {drawn['rendered']:.0f} of them drawn now: {output}")
    if failed := int(drawn.get("failed", 0)):
        click.echo(f"{failed} could not be drawn")
        return EXIT_FOUND
    return EXIT_DONE
