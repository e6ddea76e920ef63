"""Signals that ask a run to stop: obeyed at once where that loses nothing, after the step where it would.

Light: the command line listens before torch is imported.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from loraspec.errors import Stopped

SIGNALS = ("SIGINT", "SIGTERM", "SIGUSR1")


class Now(BaseException):
    """Leaves whatever is being done. No ``Exception``: nothing between here and the run may take it for a failure of its own."""


class Interrupts:
    """What was asked for, and whether it is obeyed at once.

    Attributes:
        reason: Name of the first signal that came, or "".
        at_once: Leave where the signal is caught; otherwise whoever is at work looks at ``reason`` between two items.
    """

    def __init__(self, *, at_once: bool = False) -> None:
        self.reason = ""
        self.at_once = at_once
        self._shields = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for name in SIGNALS:
                number = getattr(signal, name, None)
                if number is not None:
                    self._before[number] = signal.signal(number, self._caught)
        _active.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _active.remove(self)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _caught(self, number: int, _: object) -> None:
        if self.reason and number == signal.SIGINT:  # a second Ctrl-C: leave now, what is committed is whole
            raise KeyboardInterrupt
        self.reason = self.reason or signal.Signals(number).name
        if self.at_once and not self._shields:
            raise Now

    @contextmanager
    def shield(self) -> Iterator[None]:
        """Put off leaving until the block is done."""
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
        if self.reason and self.at_once and not self._shields:
            raise Now


_active: list[Interrupts] = []


@contextmanager
def listening() -> Iterator[Interrupts]:
    """Listen to signals, or go on with the listener that is there already; what nobody obeys ends here.

    Raises:
        Stopped: A signal came before there was a run to stop.
    """
    if _active:
        yield _active[-1]
        return
    try:
        with Interrupts(at_once=True) as interrupts:
            yield interrupts
    except Now:
        again = "no step of this start is lost, because none was made: start it again with the same command"
        raise Stopped(f"stopped by {interrupts.reason} before the run went on; {again}") from None


@contextmanager
def shielded() -> Iterator[None]:
    """Let an operation on the disk end before a signal is obeyed."""
    if not _active:
        yield
        return
    with _active[-1].shield():
        yield
