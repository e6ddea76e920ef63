"""What ``[launcher]`` offers."""

from __future__ import annotations

from attrs import frozen

from loraspec import Component
from loraspec.contracts import Launcher


@frozen
class LocalOptions:
    """``local`` has no options."""


def _local(options: LocalOptions) -> Launcher:
    """Run in this process, on this machine."""
    from loraspec_guide.launchers.local import Local

    return Local()


LAUNCHERS: list[Component] = [Component("local", LocalOptions, _local)]
