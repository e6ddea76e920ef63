"""``loraspec resume``."""

from __future__ import annotations

from pathlib import Path

import click

from loraspec.cli.run import carry_out
from loraspec.errors import SpecError


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
def command(folder: Path) -> int:
    """Continue a run that was stopped or killed; RUN is its folder, or "last".

    Everything committed is compared with its digest first: what is damaged is kept aside in quarantine/, told, and trained again,
    to the same bits. A spec that was edited meanwhile is refused with the difference, unless the edit decides no weights.
    """
    from loraspec.engine.interrupts import listening

    with listening():
        return _resume(newest() if str(folder) == "last" else folder)


def _resume(folder: Path) -> int:
    from loraspec.engine.folder import RunFolder
    from loraspec.plan import resolve

    facts = RunFolder(folder).facts
    if not facts:
        raise SpecError(f"{folder} holds no run: there is no run.json")
    spec = folder / facts["spec"]
    if not spec.is_file():
        raise SpecError(f"{folder}: its spec was {facts['spec']!r} as seen from there, and is gone; a copy is {folder / 'spec.toml'}")
    plan = resolve(Path(click.format_filename(_short(spec))), profiles=facts["profiles"], sets=facts["sets"])
    return carry_out(plan, folder, {key: facts[key] for key in ("spec", "profiles", "sets")})


def _short(path: Path) -> Path:
    """Return a path relative to the working directory when it lies below it."""
    whole = path.resolve()
    return whole.relative_to(Path.cwd()) if whole.is_relative_to(Path.cwd()) else whole


def newest(root: Path = Path("runs")) -> Path:
    """Return the run under ``runs/`` that was touched last.

    Raises:
        SpecError: There is none.
    """
    found = sorted(root.glob("*/run.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise SpecError("there is no run under runs/; name a run's folder")
    return found[-1].parent
