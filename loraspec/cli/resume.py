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
    from loraspec.engine.reopen import plan_of

    plan, command = plan_of(folder)
    return carry_out(plan, folder, command)


def newest(root: Path = Path("runs")) -> Path:
    """Return the run under ``runs/`` that was touched last.

    Raises:
        SpecError: There is none.
    """
    found = sorted(root.glob("*/run.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise SpecError("there is no run under runs/; name a run's folder")
    return found[-1].parent
