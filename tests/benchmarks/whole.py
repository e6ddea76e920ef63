"""loraspec's own step, asked for one by one and timed in parts, beside the floor's."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from benchmarks.floor import Floor

PARTS = ("text", "data", "forward", "backward", "optimizer", "bookkeeping")


def clock() -> float:
    """CPU seconds on one thread, which other processes hardly change; seconds of the clock with more threads or on a GPU."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.process_time() if torch.get_num_threads() == 1 and not torch.cuda.is_available() else time.perf_counter()


class Stopwatch:
    """Adds up the seconds spent inside wrapped functions, each second counted once: by the innermost."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self._inner = [0.0]

    def around(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, timed."""

        @functools.wraps(function)  # torch's lr schedulers leave a mark on optimizer.step
        def timed(*args: Any, **names: Any) -> Any:
            since = clock()
            self._inner.append(0.0)
            try:
                return function(*args, **names)
            finally:
                spent = clock() - since
                self.seconds[part] += spent - self._inner.pop()
                self._inner[-1] += spent

        return timed


def opened(spec: Path) -> tuple[Any, Any]:
    """Return a run and its latents, before its first step."""
    from loraspec.engine import device
    from loraspec.engine.interrupts import Interrupts
    from loraspec.engine.prepare import prepare
    from loraspec.engine.run import Run
    from loraspec.plan import resolve

    plan = resolve(spec, profiles=(), sets=())
    target = device.check_device(plan.spec.train, plan.model)
    output = spec.parent / f"run-{spec.stem}"
    (output / "epochs").mkdir(parents=True)
    run = Run(plan, output, precision=device.setup(plan.spec.train, target), interrupts=Interrupts())
    run.load_model()
    return run, prepare(run)


def floor_of(run: Any, latents: Any, *, batch: int, checkpointing: bool = False) -> Floor:
    """Return the floor over a run's own U-Net, latents and embeddings; the run cannot train any more."""
    import torch

    device = run.precision.device
    run.family.place("denoiser", device=device)
    places = list(run.placements.values())
    tokens = torch.from_numpy(run.family.tokenize([f"picture {number}, noise" for number in range(len(places))]))
    with torch.no_grad():
        conditioning = run.family.condition(run.family.encode_tokens(tokens), placements=places)
    kept = {name: value.to(device, run.precision.weights) for name, value in conditioning.items()}
    stacked = torch.stack([one.mean for one in latents.values()]).to(device)
    targets = [target.name for target in run.plan.model.targets if target.component == "unet"]
    made = Floor(run.family.denoiser, latents=stacked, conditioning=kept, batch=batch, targets=targets, compute=run.precision.compute,
                 checkpointing=checkpointing)  # fmt: skip
    assert sum(weight.numel() for weight in made.parameters) == run.plan.adapter.parameters
    return made


class Whole:
    """A run of loraspec whose steps are asked for one by one, with everything that the engine's loop does around them.

    Attributes:
        run: The run.
        stopwatch: Seconds by part.
        encoding, epochs: Seconds of encoding captions ahead, and the epochs that it was done for.
        encoder_calls: Calls of a text encoder inside a step.
    """

    def __init__(self, run: Any, latents: Any, watch: pytest.MonkeyPatch) -> None:
        import torch

        from loraspec.engine import feed
        from loraspec.engine.text import Encodings

        run.load_adapter()
        self.run, self.latents, self.encodings, self.stopwatch = run, latents, Encodings(run), Stopwatch()
        around, self._watch = self.stopwatch.around, watch
        self.encodings.of = around("text", self.encodings.of)  # type: ignore[method-assign]
        run.objective = around("forward", run.objective)
        run.optimizer.step = around("optimizer", run.optimizer.step)
        self._patches = (feed, "make_batch", around("data", feed.make_batch)), (
            torch.autograd, "backward", around("backward", torch.autograd.backward))  # fmt: skip
        self.encoding, self.epochs, self.encoder_calls, self._inside = 0.0, 0, 0, False
        for encoder in run.family.text_encoders.values():
            encoder.register_forward_pre_hook(self._called)
        self._steps = self._all()

    def _called(self, *_: Any) -> None:
        self.encoder_calls += self._inside

    def _all(self) -> Iterator[Any]:
        for epoch in range(1, self.run.plan.spec.train.epochs + 1):
            since = clock()
            self.encodings.encode_epoch(self.run.data.steps(epoch))
            self.encoding, self.epochs = self.encoding + clock() - since, self.epochs + 1
            yield from self.run.data.steps(epoch)

    def prepare(self, count: int) -> list[Any]:
        """Take the coming steps; epochs that begin with them are encoded."""
        return [next(self._steps) for _ in range(count)]

    def step(self, step: Any) -> None:
        """The body of the loop of ``loraspec.engine.loop.train``."""
        from loraspec.engine.feed import feed
        from loraspec.engine.loop import train_step

        self.run.watch.begin(step.epoch)
        for one, batches in feed(self.run, [step], latents=self.latents, encodings=self.encodings):
            train_step(self.run, one, batches)
        if self.run.logs_at(step.index):
            self.run.log()
        self.run.check_interrupt(save=True)

    def steps(self, steps: list[Any]) -> None:
        """Several, timed in parts."""
        with self._patched():
            self.stopwatch.around("bookkeeping", lambda: [self.step(one) for one in steps])()

    @contextmanager
    def _patched(self) -> Iterator[None]:
        self._inside = True
        with self._watch.context() as patch:
            for owner, name, function in self._patches:
                patch.setattr(owner, name, function)
            yield
        self._inside = False

    @property
    def encoding_of_a_step(self) -> float:
        """Seconds of encoding captions ahead, shared out over the epoch's steps."""
        return self.encoding / max(1, self.epochs) / self.run.data.steps_per_epoch
