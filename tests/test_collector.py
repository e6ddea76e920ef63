"""Garbage is collected while a run works, and not while it starts."""

import gc
import weakref

import pytest

from loraspec import collector
from loraspec.engine.run import Run
from loraspec.testing import TINY_SPEC


class Cycle:
    """Refers to itself: only the collector frees it."""

    def __init__(self):
        self.me = self


def test_what_was_there_during_a_start_is_freed_after_it():
    """Nothing is collected in the block before ``go_on``; after the block all is as it was."""
    with collector.held_back():
        assert not gc.isenabled()
        gone = weakref.ref(Cycle())
        collector.go_on()
        assert gc.isenabled()
        gc.collect()
        assert gone() is not None
    assert gc.isenabled()
    gc.collect()
    assert gone() is None


def test_an_error_ends_it():
    """A start that fails leaves the collector on."""
    with pytest.raises(RuntimeError, match="no base"), collector.held_back():
        raise RuntimeError("no base")

    assert gc.isenabled()


def test_go_on_alone_changes_nothing():
    """A run that no command started keeps its objects under the collector."""
    frozen = gc.get_freeze_count()
    collector.go_on()

    assert gc.isenabled()
    assert gc.get_freeze_count() == frozen


@pytest.mark.usefixtures("tiny_plugin")
def test_a_run_collects_once_its_base_is_loaded(run_spec, monkeypatch):
    """Off while the base is loaded, on in every phase after it."""
    seen = {}

    def watched(name):
        original = getattr(Run, name)

        def method(self, *given, **named):
            seen.setdefault(name, gc.isenabled())
            return original(self, *given, **named)

        monkeypatch.setattr(Run, name, method)

    for name in ("load_model", "load_adapter", "after_step"):
        watched(name)
    run_spec(TINY_SPEC).assert_success()

    assert seen == {"load_model": False, "load_adapter": True, "after_step": True}
    assert gc.isenabled()
