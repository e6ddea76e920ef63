"""What ``[[trackers]]`` offers."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from attrs import frozen
from attrs.validators import gt

from loraspec import Component, option

if TYPE_CHECKING:
    from loraspec.contracts import Tracker


def _inside(_: object, attribute: Any, value: str) -> None:
    """Refuse a folder that leaves the run's folder."""
    path = PurePosixPath(value)
    if not value or path.is_absolute() or ".." in path.parts or "\\" in value or ":" in value:
        raise ValueError(f"{value!r} leaves the run's folder; write a relative path such as 'tensorboard'")


@frozen
class JsonlOptions:
    """``jsonl`` has no options."""


@frozen
class ConsoleOptions:
    """Options of ``console``."""

    every: float = option(
        default=30.0, help="Where the output is no terminal: least time between two lines of the same phase.", unit="s", validator=gt(0.0)
    )


@frozen
class TensorboardOptions:
    """Options of ``tensorboard``."""

    folder: str = option(default="tensorboard", help="Where the event files go, inside the run's folder.", validator=_inside)


def _jsonl(options: JsonlOptions) -> Tracker:
    """Append metrics to the run's ``events.jsonl``, which the report is made from."""
    from loraspec_guide.trackers.jsonl import Jsonl

    return Jsonl()


def _console(options: ConsoleOptions) -> Tracker:
    """Show progress: a bar on a terminal, plain lines elsewhere."""
    from loraspec_guide.trackers.console import ConsoleTracker

    return ConsoleTracker(every=options.every)


def _tensorboard(options: TensorboardOptions) -> Tracker:
    """Write TensorBoard event files (extra ``tensorboard``)."""
    from loraspec_guide.trackers.tensorboard import Tensorboard

    return Tensorboard(folder=options.folder)


TRACKERS: list[Component] = [
    Component("jsonl", JsonlOptions, _jsonl),
    Component("console", ConsoleOptions, _console),
    Component("tensorboard", TensorboardOptions, _tensorboard),
]
