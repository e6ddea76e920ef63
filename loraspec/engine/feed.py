"""Steps and their micro-batches for the loop, assembled in it or ahead of it by threads; either way the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from loraspec.engine.ahead import ahead
from loraspec.engine.batches import make_batch

if TYPE_CHECKING:
    from loraspec.contracts import Batch
    from loraspec.dataplan import Step
    from loraspec.engine.prepare import Latents
    from loraspec.engine.run import Run
    from loraspec.engine.text import Encodings


def feed(
    run: Run, steps: Sequence[Step], *, latents: Mapping[str, Latents], encodings: Encodings
) -> Iterator[tuple[Step, Iterator[Batch]]]:
    """Yield each step with its micro-batches, in order.

    With ``train.workers`` threads a few steps are assembled ahead; every draw is a function of its visit, so nothing depends on
    which thread comes first. Text encoders that are trained run in the loop: their prompts need gradients.
    """

    def assemble(step: Step) -> Iterator[Batch]:
        return (make_batch(run, visits, latents=latents, encodings=encodings) for visits in step.micro_batches)

    def whole(step: Step) -> list[Batch]:
        return list(assemble(step))

    workers = 0 if run.trains_text else run.plan.spec.train.workers
    if not workers:
        for step in steps:
            yield step, assemble(step)
        return
    for step, batches in zip(steps, ahead(whole, steps, workers=workers), strict=True):
        yield step, iter(batches)
