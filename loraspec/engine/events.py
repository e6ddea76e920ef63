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
        """Register ``(name, object, is tracker)`` in spec order; objects without events cost nothing.

        Raises:
            PluginError: An object implements an event that does not exist.
        """
        for name, listener, tracker in reversed(list(objects)):  # pluggy calls the last registered first
            self._manager.register(_Listener(name, listener, self if tracker else None), name=name)
            try:
                self._manager.check_pending()
            except pluggy.PluginValidationError as error:
                raise PluginError(f"{name}: {error}") from error

    def mute(self, name: str, error: Exception) -> None:
        """Silence a tracker for the rest of the run."""
        if name not in self.muted:
            self.muted.add(name)
            self._warn(f"tracker {name!r} failed and is muted: {type(error).__name__}: {error}")


class _Listener:
    """An object as the manager sees it: its events and nothing else, so that no property is read and equal objects stay two."""

    def __init__(self, name: str, listener: Any, guarded_by: Events | None) -> None:
        for event in (attribute for attribute in dir(type(listener)) if attribute.startswith("loraspec_")):
            method = getattr(listener, event)
            setattr(self, event, _guard(name, method, guarded_by) if guarded_by else method)


def _guard(name: str, method: Callable[..., Any], events: Events) -> Callable[..., Any]:
    @functools.wraps(method)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if name not in events.muted:
            try:
                return method(*args, **kwargs)
            except Exception as error:
                events.mute(name, error)
        return None

    return guarded
