"""What a person sees of a run."""

from __future__ import annotations

import io
import re
from types import SimpleNamespace
from typing import Any

import pytest
from loraspec_guide.trackers.console import ConsoleTracker, duration, metric_words
from rich.console import Console

from loraspec.engine.events import Events

RUN: Any = SimpleNamespace(plan=SimpleNamespace(spec=SimpleNamespace(train=SimpleNamespace(epochs=2))), total_steps=20)
METRICS = {"loss": 0.08123, "d_lr": 3.1e-4, "lr": 1.0, "images_per_second": 12.4, "epoch": 1.0}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def play(tracker: ConsoleTracker, clock: Clock) -> None:
    """A run of two epochs of ten steps, a second each, as the engine tells it."""
    hooks = listen(tracker)
    hooks.loraspec_before_run(run=RUN)
    for done in range(1, 5):
        clock.now += 0.1
        hooks.loraspec_on_progress(run=RUN, phase="prepare", done=done, total=4)
    for epoch in (1, 2):
        hooks.loraspec_before_epoch(run=RUN, epoch=epoch)
        for done in (16, 32):
            hooks.loraspec_on_progress(run=RUN, phase="encode", done=done, total=32)
        for step in range(10 * epoch - 9, 10 * epoch + 1):
            clock.now += 1
            hooks.loraspec_after_step(run=RUN, step=step, metrics={"loss": object()})
            if step % 5 == 0:
                tracker.log(METRICS, step=step)
        hooks.loraspec_after_epoch(run=RUN, epoch=epoch)
    hooks.loraspec_on_message(run=RUN, text="2 captions [are] long", severity="warning")
    for done in range(1, 4):
        clock.now += 1
        hooks.loraspec_on_progress(run=RUN, phase="grid", done=done, total=3)
    hooks.loraspec_after_run(run=RUN, outcome="done")


def listen(tracker: ConsoleTracker) -> Any:
    """Register as the engine does: shielded, where any failure would mute it."""
    complaints: list[str] = []
    events = Events(complaints.append)
    events.register([("console", tracker, True)])
    assert not complaints
    return events.hook


def output(every: float, *, terminal: bool) -> tuple[str, ConsoleTracker]:
    clock = Clock()
    console = Console(file=io.StringIO(), force_terminal=terminal, width=140, highlight=False, color_system=None)
    tracker = ConsoleTracker(every=every, console=console, clock=clock)
    play(tracker, clock)
    return console.file.getvalue(), tracker  # type: ignore[attr-defined]


def test_plain_lines_are_few_and_say_everything() -> None:
    """No terminal: one line when a phase begins and ends, one an epoch, metrics and time left in it."""
    lines = output(60.0, terminal=False)[0].splitlines()
    assert lines == [
        "reading images 1/4",
        "reading images 4/4",
        "encoding captions 16/32",
        "training 1/20",
        "epoch 1/2 saved · step 10/20 · 10 s left · loss 0.0812 · d*lr 3.10e-04 · images/s 12.40",
        "epoch 2/2 saved · step 20/20 · loss 0.0812 · d*lr 3.10e-04 · images/s 12.40",
        "warning: 2 captions [are] long",
        "drawing the grid 1/3",
        "drawing the grid 3/3",
    ]


def test_plain_lines_keep_their_distance() -> None:
    """With a line every four seconds, training has about five, not twenty, and none twice."""
    lines = output(4.0, terminal=False)[0].splitlines()
    training = [line for line in lines if line.startswith("training")]
    assert 4 <= len(training) <= 5
    assert len(set(training)) == len(training)


def test_a_terminal_gets_a_bar() -> None:
    """Epoch, step, loss, d*lr and images/s stand beside the bar; messages pass above it, untouched by markup."""
    shown, tracker = output(60.0, terminal=True)
    for part in ("epoch 2/2", "20/20", "loss 0.0812", "d*lr 3.10e-04", "images/s 12.40", "drawing the grid", "2 captions [are] long"):
        assert part in shown
    assert tracker._progress is None


def test_a_phase_outside_a_run_has_a_bar_too() -> None:
    """Open while it works, closed at its end, and again for the next one; as ``loraspec grid`` draws."""
    clock = Clock()
    console = Console(file=io.StringIO(), force_terminal=True, width=80, highlight=False, color_system=None)
    tracker = ConsoleTracker(console=console, clock=clock)
    hooks = listen(tracker)
    for phase, words in (("grid", "drawing the grid"), ("judged", "drawing to judge")):
        for done in (1, 2):
            clock.now += 1
            hooks.loraspec_on_progress(run=RUN, phase=phase, done=done, total=2)
            assert (tracker._progress is None) == (done == 2)
        shown = console.file.getvalue()  # type: ignore[attr-defined]
        assert re.search(rf"{words} +━+ +2/2", shown)
        assert shown.endswith("\x1b[?25h")  # the cursor is there again


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_a_bar_and_whole_words_at_any_width(width: int) -> None:
    """Title, bar and count are never cut; beside them as many whole parts as fit, time left first."""
    clock = Clock()
    console = Console(file=io.StringIO(), force_terminal=True, width=width, highlight=False, color_system=None)
    play(ConsoleTracker(console=console, clock=clock), clock)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    lines = [line.rstrip() for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", shown).replace("\r", "\n").splitlines()]
    training = [line for line in lines if line.startswith("epoch 2/2")]
    assert training
    assert "…" not in shown
    assert max(map(len, lines)) <= width
    for line in training:
        assert line[len("epoch 2/2"):].lstrip(" ").startswith("━" * 4)
        assert re.search(r" \d+/20( |$)", line)
    beside = {60: "", 80: "loss 0.0812 · d*lr 3.10e-04"}.get(width, "loss 0.0812 · d*lr 3.10e-04 · images/s 12.40")
    assert training[-1].endswith(beside)


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (42, "42 s"), (187, "3:07"), (8100, "2:15:00"), (-1, "0 s")])
def test_duration_reads_well(seconds: float, text: str) -> None:
    """Seconds, minutes, hours."""
    assert duration(seconds) == text


def test_metric_words_show_what_is_there() -> None:
    """A metric that an objective or engine does not give is left out."""
    assert metric_words({"loss": 0.5}) == ["loss 0.5000"]
    assert metric_words({}) == []


def test_messages_cannot_move_the_cursor() -> None:
    """Escape sequences, links, returns and bidirectional marks in a message are shown as they are written."""
    import io

    from loraspec_guide.trackers.console import ConsoleTracker
    from rich.console import Console

    out = io.StringIO()
    tracker = ConsoleTracker(console=Console(file=out, highlight=False))
    tracker.loraspec_on_message(run=None, text="a\x1b[2J\x1b]8;;http://x\x07b\rc\u202ed", severity="info")

    assert out.getvalue().strip().isprintable()
    assert "\\u001b[2J" in out.getvalue()
