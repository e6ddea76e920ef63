"""Progress for a person: a bar on a terminal, few plain lines elsewhere."""

from __future__ import annotations

import atexit
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, field
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from loraspec import hookimpl
from loraspec.escape import escaped

PHASES = {
    "caption": "drafting captions", "prepare": "reading images", "encode": "encoding captions", "train": "training",
    "sample": "drawing the epochs so far", "grid": "drawing the grid", "judged": "drawing to judge", "confirm": "drawing to confirm",
}  # fmt: skip
DOING = {"measure": "measuring", "confirm": "confirming"}  # of phases that name a metric
SHOWN = (("loss", "loss", "{:.4f}"), ("d_lr", "d*lr", "{:.2e}"), ("images_per_second", "images/s", "{:.2f}"))
TITLE, COUNT, BAR = 18, 11, 28  # cells of a terminal
ASIDE = 59  # what is said of training beside its bar, which gives way to it, down to 8


def duration(seconds: float) -> str:
    """Return a time as a person reads it: ``42 s``, ``3:07``, ``2:15:00``."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{rest:02d}"
    return f"{minutes}:{rest:02d}" if minutes else f"{rest} s"


def title(phase: str) -> str:
    """Return a phase as a person reads it: ``reading images``, ``measuring unet-progress``."""
    word, _, metric = phase.partition(" ")
    return f"{DOING[word]} {metric}" if metric and word in DOING else PHASES.get(phase, phase)


def metric_words(metrics: Mapping[str, float]) -> list[str]:
    """Return ``loss 0.0812``, ``d*lr 3.10e-04``, ``images/s 12.40`` for the metrics that are there."""
    return [f"{word} {form.format(metrics[key])}" for key, word, form in SHOWN if key in metrics]


def fitting(parts: Sequence[str], room: int) -> str:
    """Join as many parts, the first ones, as fit ``room``: none is cut."""
    while parts and len(" · ".join(parts)) > room:
        parts = parts[:-1]
    return " · ".join(parts)


@define
class _Phase:
    """How far one phase is, and since when."""

    done: int = 0
    total: int = 0
    first: int = 0
    began: float = 0.0
    told: float = 0.0

    def left(self, now: float) -> str:
        """Time left at the pace so far, or "" before there is one."""
        made = self.done - self.first
        if made <= 0 or self.done >= self.total:
            return ""
        return f"{duration((now - self.began) / made * (self.total - self.done))} left"


@define(eq=False)
class ConsoleTracker:
    """Shows epoch, step, loss, d*lr, images/s and time left; outside a run, as where a grid is drawn of one, a bar of each phase alone.

    Attributes:
        every: Seconds between two plain lines of one phase, where the output is no terminal; the end of an epoch always has its line.
        console: Where to write; standard output when absent.
        clock: Seconds that only grow.
    """

    every: float = 30.0
    console: Console = field(factory=lambda: Console(highlight=False))
    clock: Callable[[], float] = time.monotonic
    _phases: dict[str, _Phase] = field(factory=dict)
    _progress: Progress | None = None  # only on a terminal
    _running: bool = False
    _room: int = 0  # beside a bar
    _tasks: dict[str, TaskID] = field(factory=dict)
    _metrics: dict[str, float] = field(factory=dict)
    _epoch: int = 0
    _epochs: int = 0

    # -- what the run tells ---------------------------------------------------------------------------------------

    @hookimpl
    def loraspec_before_run(self, run: Any) -> None:
        """Open the bar."""
        self._epochs = run.plan.spec.train.epochs
        self._running = True
        self._open()

    def _open(self) -> None:
        if self.console.is_terminal and self._progress is None:
            bar = min(BAR, max(8, self.console.width - TITLE - COUNT - 3 - ASIDE))
            self._room = self.console.width - TITLE - COUNT - 3 - bar
            self._progress = Progress(
                TextColumn(f"{{task.description:<{TITLE}}}", table_column=Column(no_wrap=True)), BarColumn(bar_width=bar),
                TextColumn("{task.completed:>5.0f}/{task.total:<5.0f}", table_column=Column(no_wrap=True)),
                TextColumn("{task.fields[words]}", markup=False, table_column=Column(no_wrap=True, ratio=1)),
                console=self.console, refresh_per_second=5, expand=True,
            )
            self._progress.start()
            atexit.register(self._progress.stop)  # an error outside a run must not leave a terminal without its cursor

    @hookimpl
    def loraspec_on_progress(self, run: Any, phase: str, done: int, total: int) -> None:
        """Move the bar of a phase."""
        self._move(phase, done, total)

    @hookimpl
    def loraspec_on_message(self, run: Any, text: str, severity: str) -> None:
        """Show what a person should read, above the bar."""
        mark = "warning: " if severity == "warning" else ""
        self._say(mark + escaped(text, keep="\n"), style="yellow" if severity == "warning" else "")

    @hookimpl
    def loraspec_before_epoch(self, run: Any, epoch: int) -> None:
        """Remember the epoch."""
        self._epoch = epoch

    @hookimpl
    def loraspec_after_step(self, run: Any, step: int, metrics: Mapping[str, Any]) -> None:
        """Move the training bar; metrics are on the device and stay there."""
        self._move("train", step, run.total_steps)

    def log(self, metrics: Mapping[str, float], *, step: int) -> None:
        """Take plain metrics; they are shown with the next movement."""
        self._metrics = dict(metrics)
        if self._progress is not None and "train" in self._tasks:
            self._progress.update(self._tasks["train"], words=self._words("train"))

    @hookimpl
    def loraspec_after_epoch(self, run: Any, epoch: int) -> None:
        """Say that an epoch's file is there."""
        if self._progress is None:
            phase = self._phases.get("train", _Phase())
            phase.told = self.clock()
            self._say(f"epoch {epoch}/{self._epochs} saved · step {phase.done}/{phase.total}{self._tail('train')}")

    @hookimpl
    def loraspec_after_run(self, run: Any, outcome: str) -> None:
        """Close the bar."""
        self._running = False
        self._close()

    def _close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            atexit.unregister(self._progress.stop)
            self._progress = None
            self._tasks.clear()

    # -- how it is shown ------------------------------------------------------------------------------------------

    def _move(self, phase: str, done: int, total: int) -> None:
        now = self.clock()
        state = self._phases.get(phase)
        if state is None or done < state.done or total != state.total:  # a phase begins, or begins again (encode, every epoch)
            state = self._phases[phase] = _Phase(done, total, done, now, state.told if state else now - self.every)
        state.done = done
        if not self._running:
            self._open()
        if self._progress is not None:
            self._draw(phase, state)
            if done >= total and not self._running:
                self._close()
        elif now - state.told >= self.every or (done == total and phase not in ("train", "encode")):
            state.told = now
            self._say(f"{title(phase)} {done}/{total}{self._tail(phase)}")

    def _draw(self, phase: str, state: _Phase) -> None:
        assert self._progress is not None
        if phase not in self._tasks:
            self._tasks[phase] = self._progress.add_task(title(phase), total=state.total, words="")
        words = f"epoch {self._epoch}/{self._epochs}" if phase == "train" else title(phase)
        passing = phase == "encode" or " " in phase  # comes back every epoch, or is one of many: shown only while it works
        finished = passing and state.done >= state.total
        self._progress.update(
            self._tasks[phase], completed=state.done, total=state.total, description=words, words=self._words(phase), visible=not finished
        )

    def _parts(self, phase: str) -> list[str]:
        """Time left, then the metrics: what matters most first."""
        left = self._phases[phase].left(self.clock()) if phase in self._phases else ""
        return [*([left] if left else []), *(metric_words(self._metrics) if phase == "train" else [])]

    def _words(self, phase: str) -> str:
        return fitting(self._parts(phase), self._room)

    def _tail(self, phase: str) -> str:
        return "".join(f" · {part}" for part in self._parts(phase))

    def _say(self, text: str, *, style: str = "") -> None:
        self.console.print(Text(text, style=style), soft_wrap=not self.console.is_terminal)
