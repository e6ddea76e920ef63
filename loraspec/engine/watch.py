"""What a run watches while it trains: the stream of samples, numbers that must be finite, D-Adaptation's estimate, memory."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from attrs import frozen

from loraspec.engine.store import write_json
from loraspec.errors import RunError
from loraspec.randomness import scaled, uniform53
from loraspec.stream import Seen, Stream
from loraspec.values import AdapterState

if TYPE_CHECKING:
    from loraspec.engine.run import Run

KEPT = 20  # steps that a diagnosis shows before the bad one
STUCK_AFTER = 50  # steps with d = d0; the estimate grows within a few dozen when it works
JUMP, JUMP_STEPS = 100.0, 10  # d grown this much within so many steps
CEILING = 0.02  # d x lr; LoRAs learn at 1e-4 to 1e-3, and diverge well below this
SKIPPED = 50  # steps in a row whose gradients overflowed under loss scaling: the scale should have settled after about 20

STUCK = "D-Adaptation is stuck: d is still {d:.3g}, its start, after {step} steps"
STUCK_TRY = "try optimizer.d0 = {more:.0e} first, then no growth_rate, then more warmup or a larger batch"
JUMPED = "D-Adaptation jumped: d grew from {before:.3g} to {d:.3g} in {steps} steps (step {step})"
JUMPED_TRY = "try optimizer.growth_rate = 1.02 first, then a lower optimizer.lr (0.5), then lr_scheduler.warmup = 0.05"
HIGH = "d x lr is {value:.3g} at step {step}, above {ceiling}: the style will burn in, or the loss become NaN"
HIGH_TRY = "try optimizer.growth_rate = 1.02 first, then a lower optimizer.lr (0.5), then optimizer.weight_decay = 0.01"


@frozen
class Row:
    """One optimizer step as plain floats; ``d`` is None without D-Adaptation."""

    step: int
    loss: float
    grad_norm: float
    d: float | None
    lr: float


class Watch:
    """Keeps an eye on a run; everything it says names what to try first."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.stream = Stream(0)
        self._seen: dict[int, list[Seen]] = {}
        self._rows: deque[Row] = deque(maxlen=KEPT)
        self._told: set[str] = set()
        self._overflows = 0

    # -- the stream ----------------------------------------------------------------------------------------------------

    def begin(self, epoch: int) -> None:
        """Start an epoch's digest, unless a checkpoint in its middle was taken up."""
        if self.stream.epoch != epoch:
            self.stream = Stream(epoch)

    def saw(self, step: int, seen: list[Seen]) -> None:
        """Take what a step was trained on into the digest, and keep it until its numbers have been read."""
        self.stream.add(step, seen, self.run.rng)
        self._seen[step] = seen

    def check_stream(self, epoch: int) -> str:
        """Return the digest of an epoch that is done.

        Raises:
            RunError: It is not what the plan says: something between plan and loop changed samples, order, captions or crops.
        """
        planned = self.run.data.stream_digest(epoch)
        if self.stream.state != planned:
            said = f"epoch {epoch} was trained on another stream ({self.stream.state[:12]}) than planned ({planned[:12]})"
            raise RunError(f"{said}: an image, a caption or a plugin changed while the run went on").coded("E-RUN-STREAM")
        return planned

    # -- numbers -------------------------------------------------------------------------------------------------------

    def rows(self, rows: Sequence[Row]) -> None:
        """Look at steps whose numbers have just been read.

        Raises:
            RunError: A loss or a gradient is not finite; ``diagnosis.json`` says where and on what.
        """
        for row in rows:
            self._check_finite(row)
            self._check_estimate(row)
            self._rows.append(row)
            self._seen.pop(row.step, None)
        if remark := getattr(self.run.optimizer, "remark", ""):  # such as a slower way that it had to take
            self._say_once(remark, remark, "info")

    def _check_finite(self, row: Row) -> None:
        scaled = self.run.scaler.is_enabled()  # loss scaling meets overflows on purpose, and leaves those steps out
        if math.isfinite(row.loss) and (math.isfinite(row.grad_norm) or scaled):
            self._overflows = 0 if math.isfinite(row.grad_norm) else self._overflows + 1
            if self._overflows < SKIPPED:
                return
        what = f"the loss is {row.loss}" if not math.isfinite(row.loss) else f"the norm of the gradient is {row.grad_norm}"
        self._diagnose(row, what)
        remedy = 'try train.mixed_precision = "bf16" or "no", a smaller optimizer.lr, or (D-Adaptation) optimizer.growth_rate = 1.02'
        raise RunError(f"step {row.step}: {what}\n    hint: {remedy}; diagnosis.json names its samples").coded("E-RUN-NONFINITE")

    def _diagnose(self, row: Row, what: str) -> None:
        """Write ``diagnosis.json``: the step, its samples with captions and timesteps, d, and the steps before."""
        steps = len(self.run.family.schedule.alphas_cumprod)
        samples = [
            {
                "key": seen.visit.key, "repeat": seen.visit.repeat, "sha256": seen.content, "caption": seen.caption,
                "timestep": scaled(uniform53(self.run.rng("timestep", *seen.visit.index)), steps),
            }
            for seen in self._seen.get(row.step, [])
        ]
        before = [_plain(known) for known in self._rows]
        write_json(self.run.folder / "diagnosis.json", {"what": what, **_plain(row), "samples": samples, "before": before})

    def weights(self, state: AdapterState) -> AdapterState:
        """Return weights that are about to be committed.

        Raises:
            RunError: A tensor is not finite.
        """
        bad = [name for name, tensor in sorted(state.tensors.items()) if not torch.isfinite(tensor).all()]
        if bad:
            named = ", ".join(bad[:3]) + (f" and {len(bad) - 3} more" if len(bad) > 3 else "")
            last = self._rows[-1] if self._rows else Row(self.run.step, math.nan, math.nan, None, math.nan)
            self._diagnose(last, f"weights are not finite: {named}")
            said = f"step {self.run.step}: weights are not finite, so nothing is committed: {named}"
            raise RunError(f"{said}\n    hint: what was committed before is whole; try a smaller optimizer.lr").coded("E-RUN-NONFINITE")
        return state

    # -- D-Adaptation --------------------------------------------------------------------------------------------------

    def _check_estimate(self, row: Row) -> None:
        if row.d is None:
            return
        start = float(self.run.optimizer.param_groups[0].get("d0", math.nan))
        if row.step >= STUCK_AFTER and row.d == start:
            self._warn("W-D-STUCK", STUCK.format(d=row.d, step=row.step), STUCK_TRY.format(more=start * 10))
        earlier = [known for known in self._rows if known.d and known.step >= row.step - JUMP_STEPS]
        if earlier and earlier[0].d and row.d > JUMP * earlier[0].d:
            words = JUMPED.format(before=earlier[0].d, d=row.d, steps=row.step - earlier[0].step, step=row.step)
            self._warn("W-D-JUMP", words, JUMPED_TRY)
        if row.d * row.lr > CEILING:
            self._warn("W-D-CEILING", HIGH.format(value=row.d * row.lr, step=row.step, ceiling=CEILING), HIGH_TRY)

    def _warn(self, code: str, text: str, remedy: str) -> None:
        self._say_once(code, f"{text} [{code}]; {remedy}", "warning")

    def _say_once(self, what: str, text: str, severity: str) -> None:
        """Say it once in a run."""
        if what not in self._told:
            self._told.add(what)
            self.run.say(text, severity=severity)

    # -- memory --------------------------------------------------------------------------------------------------------

    @contextmanager
    def memory_told(self, doing: str) -> Iterator[None]:
        """Turn running out of memory into words: what was being done, and what to change.

        Raises:
            RunError: Instead of torch's error or ``MemoryError``; nothing is retried with other settings behind anybody's back.
        """
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            kept = f"{len(self.run.epochs_done)} committed epochs are whole"
            raise RunError(f"out of memory in {doing} ({_first(error)}); {kept}\n    hint: {self._smaller()}").coded("E-RUN-OOM") from error

    def _smaller(self) -> str:
        """Name the settings that need less memory and are not chosen yet, most useful first."""
        train = self.run.plan.spec.train
        ways = [
            "train.gradient_checkpointing = true" if not train.gradient_checkpointing else "",
            f"train.batch_size = {max(1, train.batch_size // 2)} with twice the train.gradient_accumulation_steps"
            if train.batch_size > 1 else "",
            'train.mixed_precision = "bf16"' if train.mixed_precision == "no" and self.run.precision.device.type != "cpu" else "",
            "a smaller adapter.rank", "a smaller data.resolution",
        ]
        return "try " + ", or ".join(way for way in ways if way)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory, of the device or of the host, is used up."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)


def _first(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _plain(row: Row) -> dict[str, Any]:
    """Return a row as JSON: what is no finite number is written as text."""
    table = {"step": row.step, "loss": row.loss, "grad_norm": row.grad_norm, "d": row.d, "lr": row.lr}
    return {key: value if value is None or math.isfinite(value) else str(value) for key, value in table.items()}
