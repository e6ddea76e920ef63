"""The per-run plugin manager."""

import pytest
from attrs import define

from loraspec.engine.events import Events
from loraspec.errors import PluginError
from loraspec.hookspecs import hookimpl


@define(eq=False)
class Listener:
    """Writes down what it hears."""

    name: str
    heard: list
    fail: bool = False

    @hookimpl
    def loraspec_after_log(self, step, metrics):
        """Hear a log."""
        if self.fail:
            raise OSError("disk is gone")
        self.heard.append((self.name, step, metrics))


def test_events_reach_listeners_in_spec_order():
    """Listeners are called in the order of the spec, with the arguments that they ask for."""
    heard = []
    events = Events(lambda text: None)
    events.register([("a", Listener("a", heard), False), ("b", Listener("b", heard), True), ("c", Listener("c", heard), False)])

    events.hook.loraspec_after_log(run=None, step=3, metrics={"loss": 1.0})

    assert heard == [("a", 3, {"loss": 1.0}), ("b", 3, {"loss": 1.0}), ("c", 3, {"loss": 1.0})]


def test_failing_tracker_is_muted_after_one_warning():
    """A tracker that fails is warned about once; the others go on."""
    heard, warnings = [], []
    events = Events(warnings.append)
    events.register([("bad", Listener("bad", heard, fail=True), True), ("good", Listener("good", heard), True)])

    for step in (1, 2):
        events.hook.loraspec_after_log(run=None, step=step, metrics={})

    assert [name for name, _, _ in heard] == ["good", "good"]
    assert warnings == ["tracker 'bad' failed and is muted: OSError: disk is gone"]


def test_failing_callback_fails():
    """A callback's error is the run's error."""
    events = Events(lambda text: None)
    events.register([("bad", Listener("bad", [], fail=True), False)])

    with pytest.raises(OSError, match="disk is gone"):
        events.hook.loraspec_after_log(run=None, step=1, metrics={})


def test_misspelt_event_is_an_error():
    """An event that does not exist is found when the run begins."""

    class Wrong:
        @hookimpl
        def loraspec_after_stepp(self):
            """Never called."""

    with pytest.raises(PluginError, match="loraspec_after_stepp"):
        Events(lambda text: None).register([("wrong", Wrong(), False)])


def test_equal_listeners_are_both_called():
    """Two listeners that compare equal are two."""

    @define
    class Equal:
        heard: list

        @hookimpl
        def loraspec_after_epoch(self, epoch):
            """Hear an epoch."""
            self.heard.append(epoch)

    heard = []
    events = Events(lambda text: None)
    events.register([("a", Equal(heard), False), ("b", Equal(heard), False)])

    events.hook.loraspec_after_epoch(run=None, epoch=2)

    assert heard == [2, 2]


def test_properties_of_listeners_are_not_read():
    """Registering an object runs none of its code."""

    class Lazy:
        @property
        def weights(self):
            """Not loaded yet."""
            raise RuntimeError("not loaded")

        @hookimpl
        def loraspec_before_step(self, step):
            """Hear a step."""
            self.step = step

    lazy, events = Lazy(), Events(lambda text: None)
    events.register([("lazy", lazy, False)])

    events.hook.loraspec_before_step(run=None, step=7, batch=None)

    assert lazy.step == 7
