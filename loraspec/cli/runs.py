"""The run that a command is pointed at: its folder, or "last"."""

from __future__ import annotations

from pathlib import Path

from loraspec.finished import Finished, read


def finished(folder: Path) -> Finished:
    """Return what a run left.

    Args:
        folder: The run's folder, or ``last``: the one under ``runs/`` that was touched last.

    Raises:
        SpecError: There is no run.
        RunError: It is damaged or forged.
    """
    from loraspec.cli.resume import newest

    return read(newest() if str(folder) == "last" and not folder.is_dir() else folder)
