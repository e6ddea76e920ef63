"""The training loop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import torch

from loraspec.engine.device import autocast
from loraspec.engine.feed import feed
from loraspec.engine.prepare import Latents
from loraspec.engine.text import Encodings, LiveEncodings
from loraspec.forecast import check_room
from loraspec.stream import Seen

if TYPE_CHECKING:
    from loraspec.contracts import Batch
    from loraspec.dataplan import Step
    from loraspec.engine.run import Run


def train(run: Run, latents: Mapping[str, Latents]) -> None:
    """Train the adapter of ``run`` until its epochs are done, a callback stops it, or it is interrupted."""
    encodings = LiveEncodings(run) if run.trains_text else Encodings(run)
    for epoch in range(run.epoch_of_next_step(), run.plan.spec.train.epochs + 1):
        check_room(run.plan, run.folder, epoch)
        steps = run.data.steps(epoch)
        run.hooks.loraspec_before_epoch(run=run, epoch=epoch)
        encodings.encode_epoch(steps)
        left = [step for step in steps if step.index > run.step]  # the others were done before the run was resumed
        run.watch.begin(epoch)
        for step, batches in feed(run, left, latents=latents, encodings=encodings):
            with run.watch.memory_told(f"step {step.index}"):
                train_step(run, step, batches)
            if run.logs_at(step.index):
                run.log()
            if run.checkpoints_at(step.index):
                run.checkpoint()
            run.check_interrupt(save=True)
            if run.stopped and step is not steps[-1]:
                return
        run.commit_epoch(epoch)
        run.hooks.loraspec_after_epoch(run=run, epoch=epoch)
        if run.stopped:
            return


def train_step(run: Run, step: Step, batches: Iterable[Batch]) -> None:
    """One optimizer step: every micro-batch forward and backward, each sample with equal weight."""
    samples = sum(len(visits) for visits in step.micro_batches)
    total, seen = torch.zeros((), device=run.precision.device), list[Seen]()
    for number, batch in enumerate(batches):
        if number == 0:
            run.hooks.loraspec_before_step(run=run, step=step.index, batch=batch)
        with autocast(run.precision):
            loss = run.objective(run.family, batch=batch)
        seen += batch.seen
        value = loss.per_sample.sum() / samples
        run.scaler.scale(value).backward()  # type: ignore[no-untyped-call]
        total += value.detach()  # stays on the device: reading it here would wait for every step
    run.hooks.loraspec_after_backward(run=run, step=step.index)
    run.scaler.unscale_(run.optimizer)
    norm = run.clip_gradients()
    run.scaler.step(run.optimizer)
    run.scaler.update()
    run.lr_scheduler.step()
    run.optimizer.zero_grad(set_to_none=True)
    run.watch.saw(step.index, seen)
    run.after_step(step.index, samples=samples, metrics={"loss": total, "grad_norm": norm, **loss.metrics})
