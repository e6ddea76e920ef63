"""The per-run plugin manager: only objects that this plan built, in spec order."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import pluggy

from loraspec.errors import PluginError
from loraspec.hookspecs import PROJECT, RunHooks


class Events:
    """Calls events on stage objects; a failing callback fails the run, a failing tracker is muted after one warning."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(RunHooks)
        self._warn = warn
        self.muted: set[str] = set()
        self.hook = self._manager.hook

    def register(self, objects: Iterable[tuple[str, Any, bool]]) -> None:
        """Register ``(name, object, is tracker)`` in spec order.

        Raises:
            PluginError: Two equal objects, or an event that does not exist.
        """
        for name, listener, tracker in reversed(list(objects)):  # pluggy calls the last registered first
            target = _Shield(name, listener, self) if tracker else listener
            try:
                self._manager.register(target, name=name)
                self._manager.check_pending()
            except (ValueError, pluggy.PluginValidationError) as error:
                raise PluginError(f"{name}: {error}; listeners must compare by identity (`@define(eq=False)`)") from error

    def mute(self, name: str, error: Exception) -> None:
        """Silence a tracker for the rest of the run."""
        if name not in self.muted:
            self.muted.add(name)
            self._warn(f"tracker {name!r} failed and is muted: {type(error).__name__}: {error}")


class _Shield:
    """A tracker as the manager sees it: its events, each guarded."""

    def __init__(self, name: str, tracker: Any, events: Events) -> None:
        self._name = name
        for event in (attribute for attribute in dir(RunHooks) if attribute.startswith("loraspec_")):
            method = getattr(tracker, event, None)
            if method is not None:
                setattr(self, event, self._guard(method, events))

    def _guard(self, method: Callable[..., Any], events: Events) -> Callable[..., Any]:
        @functools.wraps(method)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if self._name not in events.muted:
                try:
                    return method(*args, **kwargs)
                except Exception as error:
                    events.mute(self._name, error)
            return None

        return guarded
