"""Signals."""

import os
import signal
import time

import pytest

from loraspec.engine.interrupts import Interrupts, Now, listening, shielded
from loraspec.errors import Stopped


def send(number):
    """Send a signal to this process, and let it arrive."""
    os.kill(os.getpid(), number)
    time.sleep(0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_before_there_is_a_run_stops_the_command(number):
    """It leaves a sleep at once, with exit code 4 and a word of what to do; handlers are put back."""
    before = signal.getsignal(number)

    def wait():
        send(number)
        time.sleep(60)

    with pytest.raises(Stopped, match=f"stopped by {signal.Signals(number).name} before the run went on") as told, listening():
        wait()

    assert told.value.exit_code == 4
    assert signal.getsignal(number) is before


def test_an_operation_on_the_disk_ends_first():
    """The shield puts leaving off until the operation is whole."""
    done = []

    def work():
        with shielded():
            send(signal.SIGTERM)
            done.append("whole")
        done.append("not reached")

    with pytest.raises(Stopped), listening():
        work()

    assert done == ["whole"]


def test_a_second_ctrl_c_leaves_at_once():
    """Even where the first is waited for; a SIGTERM after it changes nothing."""
    with Interrupts() as interrupts:
        send(signal.SIGINT)
        send(signal.SIGTERM)
        assert interrupts.reason == "SIGINT"
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


def test_inner_listener_is_the_outer_one():
    """A run inside a command goes on with the command's listener, so a signal is never lost between the two."""
    with listening() as outer:
        outer.at_once = False
        send(signal.SIGTERM)
        with listening() as inner:
            assert inner is outer
            assert inner.reason == "SIGTERM"


def test_nobody_takes_it_for_a_failure():
    """Code that catches every ``Exception`` does not catch it."""
    assert not issubclass(Now, Exception)
