"""What both training steps share: a seeded, resumable trainer with averaged weights, and a log of JSON lines.

Several processes may train together, each on its share of every batch: their gradients are averaged, which is the
gradient of the whole batch. On two cores two processes of one thread each are faster than one of two threads.

A checkpoint is one safetensors file holding weights, averaged weights and both AdamW moments; it is written beside
the old one and renamed, so that a file that exists is whole. The data of a step depend on (seed, step) alone, so a
resumed training continues the same sequence.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


def learning_rate(step: int, steps: int, *, peak: float, warmup: int = 100, decay: float = 0.3) -> float:
    """Warm-up, a plateau at peak, and a linear fall over the last share (decay) of all steps, down to 2 % of peak."""
    fall = max(1, round(steps * decay))
    left = max(0.0, (steps - step) / fall)
    return peak * min(1.0, (step + 1) / warmup, max(0.02, left))


def place() -> tuple[int, int]:
    """This process's number and how many train together: (0, 1) for one that trains alone."""
    import torch.distributed as together

    if together.is_available() and together.is_initialized():
        return together.get_rank(), together.get_world_size()
    return 0, 1


def share(count: int) -> slice:
    """The part of a batch of count items that this process works on."""
    number, processes = place()
    if count % processes:
        raise ValueError(f"share: a batch of {count} cannot be split evenly over {processes} processes")
    return slice(number * count // processes, (number + 1) * count // processes)


def run_together(work: Callable[[], None], processes: int, folder: Path) -> None:
    """Runs work() in that many processes at once, with gradients averaged between them; in this one when it is 1."""
    if processes == 1:
        work()
        return
    from torch.multiprocessing.spawn import spawn

    folder.mkdir(parents=True, exist_ok=True)
    meeting = (folder / "meeting").resolve()
    meeting.unlink(missing_ok=True)
    spawn(_member, (work, processes, meeting.as_uri()), nprocs=processes)  # type: ignore[no-untyped-call]
    meeting.unlink(missing_ok=True)


def _member(number: int, work: Callable[[], None], processes: int, meeting: str) -> None:
    import torch
    import torch.distributed as together

    torch.set_num_threads(max(1, (os.cpu_count() or 1) // processes))
    together.init_process_group("gloo", init_method=meeting, rank=number, world_size=processes)
    work()
    together.barrier()
    together.destroy_process_group()


class Trainer:
    """AdamW over named modules, with averaged weights (EMA), checkpoints and a JSONL log."""

    def __init__(self, modules: Mapping[str, nn.Module], folder: Path, *, name: str, average: float = 0.999, decay: float = 0.01) -> None:
        """folder holds the checkpoint NAME.safetensors and the log NAME.jsonl; average is the EMA's decay a step."""
        import torch

        self.modules, self.folder, self.name, self.average = dict(modules), folder, name, average
        self.parameters = {f"{part}.{key}": value for part, module in modules.items() for key, value in module.named_parameters()}
        matrices = [value for value in self.parameters.values() if value.ndim > 1]
        others = [value for value in self.parameters.values() if value.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}],
            lr=0.0,
            betas=(0.9, 0.98),
            fused=True,
        )
        self.averaged = {key: value.detach().clone() for key, value in self.parameters.items()}
        self.step, self.seconds = 0, 0.0
        self._since = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)

    def update(self, loss: Tensor, *, lr: float, clip: float = 1.0) -> float:
        """One optimizer step on the loss; returns the gradient's norm before clipping."""
        import torch

        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._average_gradients()
        norm = torch.nn.utils.clip_grad_norm_(list(self.parameters.values()), clip)
        self.optimizer.step()
        self.step += 1
        share = min(self.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.averaged.values()), list(self.parameters.values()), 1 - share)
        return float(norm)

    def _average_gradients(self) -> None:
        import torch
        import torch.distributed as together

        _, processes = place()
        if processes == 1:
            return
        gradients = [value.grad for value in self.parameters.values() if value.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        together.all_reduce(flat)
        flat /= processes
        parts = flat.split([gradient.numel() for gradient in gradients])  # type: ignore[no-untyped-call]
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def log(self, **values: float) -> None:
        """Appends one line with the step and the seconds trained so far; values are those of the first process."""
        if place()[0]:
            return
        now = time.monotonic()
        self.seconds += now - self._since
        self._since = now
        line = {"step": self.step, "seconds": round(self.seconds, 1)}
        line |= {key: float(f"{value:.5g}") for key, value in values.items()}
        with (self.folder / f"{self.name}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    def save(self) -> None:
        """Writes the checkpoint, from the first process only."""
        if place()[0]:
            return
        from safetensors.torch import save_file

        tensors: dict[str, torch.Tensor] = {}
        for key, value in self.parameters.items():
            tensors[f"weights/{key}"] = value.detach()
            tensors[f"averaged/{key}"] = self.averaged[key]
            for moment in ("exp_avg", "exp_avg_sq"):
                if moment in self.optimizer.state[value]:
                    tensors[f"{moment}/{key}"] = self.optimizer.state[value][moment]
        path = self.folder / f"{self.name}.safetensors"
        fresh = path.with_suffix(".new")
        contiguous = {key: value.contiguous().clone() for key, value in tensors.items()}
        save_file(contiguous, fresh, metadata={"step": str(self.step), "seconds": str(self.seconds)})
        fresh.replace(path)

    def restore(self) -> bool:
        """Continues from the checkpoint; False when there is none."""
        import torch
        from safetensors import safe_open

        path = self.folder / f"{self.name}.safetensors"
        if not path.exists():
            return False
        with safe_open(path, framework="pt") as file:
            stored = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            facts = file.metadata()
        self.step, self.seconds = int(facts["step"]), float(facts["seconds"])
        with torch.no_grad():
            for key, value in self.parameters.items():
                value.copy_(stored[f"weights/{key}"])
                self.averaged[key].copy_(stored[f"averaged/{key}"])
                if f"exp_avg/{key}" in stored:
                    self.optimizer.state[value] = {
                        "step": torch.tensor(float(self.step)),
                        "exp_avg": stored[f"exp_avg/{key}"],
                        "exp_avg_sq": stored[f"exp_avg_sq/{key}"],
                    }
        return True

    def use_averaged(self) -> None:
        """Copies the averaged weights into the modules, for evaluation and export."""
        import torch

        with torch.no_grad():
            for key, value in self.parameters.items():
                value.copy_(self.averaged[key])
