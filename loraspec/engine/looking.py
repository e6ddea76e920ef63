"""A look at an epoch in the middle of training, after which training goes on as if nobody had looked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from loraspec.engine.run import Run


@contextmanager
def looking(run: Run) -> Iterator[None]:
    """Put the generating parts where they draw; afterwards weights, modes and places are what they were, to the bit.

    Between two epochs only: gradients are cleared then, and what was trained is committed, so that a signal may end the run at once.
    """
    modes = {module: module.training for one in (run.family.denoiser, *run.family.text_encoders.values()) for module in one.modules()}
    weights = run.adapter.state()
    threads = torch.get_num_threads()
    run.interrupts.at_once = True
    try:
        run.check_interrupt()
        run.family.gradient_checkpointing(False)
        run.to_generating()
        yield
    finally:
        run.interrupts.at_once = False
        torch.set_num_threads(threads)
        run.adapter.load_state(weights)
        run.family.gradient_checkpointing(run.plan.spec.train.gradient_checkpointing)
        host = torch.device("cpu")  # as training has them: latents and embeddings are there
        run.family.place("vae", device=host)
        if not run.trains_text:
            run.family.place("text_encoders", device=host)
        for module, training in modes.items():
            module.training = training
