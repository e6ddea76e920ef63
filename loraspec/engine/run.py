"""A run: a plan being carried out."""

from __future__ import annotations

import time
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from loraspec import collector
from loraspec.cachefolder import cache_root
from loraspec.contracts import Adapter, ModelFamily, Objective, Placement, built
from loraspec.engine import commit
from loraspec.engine.cache import Cache
from loraspec.engine.device import use_threads
from loraspec.engine.events import Events
from loraspec.engine.folder import RunFolder
from loraspec.engine.gallery import RunGallery
from loraspec.engine.interrupts import Interrupts
from loraspec.engine.store import read_tensors
from loraspec.engine.watch import Row, Watch
from loraspec.errors import Stopped
from loraspec.locking.outcome import FIRST
from loraspec.plan import Plan
from loraspec.randomness import Rng
from loraspec.values import AdapterState

NO_LIMIT = 1e30  # clip_grad_norm_ measures without changing when the limit is never reached


class Run:
    """The objects of a run and the small operations that its phases are made of.

    Attributes:
        plan: What is carried out.
        folder: The run's folder.
        precision: Device and dtypes.
        family, adapter, objective, optimizer, lr_scheduler: The stage objects.
        step: Optimizer steps done, 0 before the first.
        epoch_losses: Losses of the steps of this epoch that have been read from the device.
        taken_up: Step and digest of the weights that this process started from, until the next epoch.
        commit_seconds: Time spent on making things durable.
        manifest: Rows of ``manifest.jsonl`` once prepared.
        stopped: Why a callback ended training, or "".
    """

    def __init__(self, plan: Plan, folder: Path, *, precision: Any, interrupts: Interrupts) -> None:
        self.plan = plan
        self.folder = folder
        self.files = RunFolder(folder)
        self.precision = precision
        self.rng: Rng = plan.context.rng
        self.interrupts = interrupts
        self.events = Events(lambda text: self.say(text, severity="warning"))
        self.hooks = self.events.hook
        self.data = plan.data
        self.drafts: dict[str, str] = {}
        self.total_steps: int = plan.data.total_steps
        self.placements: dict[str, Placement] = {placed.sample.key: placed.placement for placed in plan.data.images}
        self.manifest: list[dict[str, Any]] = []
        self.metrics: dict[str, float] = {}
        self.stopped = ""
        self.step = 0
        self._pending: list[tuple[int, int, dict[str, Tensor], Any, float]] = []
        self._since = time.perf_counter()
        self.epoch_losses: list[float] = []
        self.watch = Watch(self)
        self.taken_up: tuple[int, str] | None = None
        self.commit_seconds = 0.0
        self._build()

    def _build(self) -> None:
        def make(stage: str, chosen: Any) -> Any:
            return built(stage, chosen.entry.qualified, chosen.entry.component, chosen.options) if chosen else None

        def one(stage: str) -> Any:
            return make(stage, self.plan.one(stage))

        self.family: ModelFamily = one("model_family")
        self.adapter: Adapter = one("adapter")
        self.objective: Objective = one("objective")
        self.captioner = one("captioner")
        self._optimizer_factory = one("optimizer")
        self._scheduler_factory = one("lr_scheduler")
        self.image_transforms = [make("image_transform", s) for s in self.plan.many("image_transform")]
        many = {
            stage: [(s.entry.qualified, make(stage, s)) for s in self.plan.many(stage)]
            for stage in ("callback", "tracker", "evaluator", "exporter")
        }
        self.exporters: list[Any] = [exporter for _, exporter in many["exporter"]]
        self.evaluators: list[tuple[str, Any]] = many["evaluator"]
        self.trackers: list[tuple[str, Any]] = many["tracker"]
        listeners = [
            (f"{stage} {index} {name}", item, stage == "tracker")
            for stage, items in many.items()
            for index, (name, item) in enumerate(items)
        ]
        alone = [("model family", self.family), ("adapter", self.adapter), ("objective", self.objective), ("captioner", self.captioner)]
        self.events.register([*((name, item, False) for name, item in alone if item is not None), *listeners])

    # -- words to the outside ------------------------------------------------------------------------------------------

    def record(self, kind: str, **fields: Any) -> None:
        """Append a line to ``events.jsonl``."""
        self.files.record(kind, **fields)

    def say(self, text: str, *, severity: str = "info") -> None:
        """Tell a person something, through whatever listens, and keep it."""
        self.record("message", severity=severity, text=text)
        self.hooks.loraspec_on_message(run=self, text=text, severity=severity)

    def progress(self, phase: str, done: int, total: int) -> None:
        """Tell how far a phase is."""
        self.hooks.loraspec_on_progress(run=self, phase=phase, done=done, total=total)

    def stop(self, reason: str) -> None:
        """End training after this step; epochs already committed are evaluated. For callbacks."""
        self.stopped = reason or "a callback asked for it"

    @property
    def stop_requested(self) -> bool:
        """Whether a signal asked the run to stop."""
        return bool(self.interrupts.reason)

    def check_interrupt(self, *, save: bool = False) -> None:
        """Raise ``Stopped`` when a signal came, after saving what resuming needs."""
        if self.interrupts.reason:
            if save:
                self.checkpoint()
            done = f"after step {self.step} of {self.total_steps}"
            raise Stopped(f"stopped by {self.interrupts.reason} {done}; go on with: loraspec resume {self.folder}")

    # -- phases --------------------------------------------------------------------------------------------------------

    def load_model(self) -> None:
        """Load the base on the host, frozen."""
        self.family.load(self.plan.context, precision=self.precision)
        collector.go_on()  # everything is imported now

    def load_adapter(self) -> None:
        """Inject the adapter, build optimizer and lr scheduler, and take up the last checkpoint if there is one."""
        train = self.plan.spec.train
        for part in ("denoiser", "text_encoders") if self.trains_text else ("denoiser",):  # what is adapted has its values
            self.family.place(part, device=self.precision.device)
        groups = self.adapter.inject(self.family, rng=self.rng)
        for module in self._trained_modules():
            module.train()
        if train.gradient_checkpointing:
            self.family.gradient_checkpointing(True)
        self.parameters = [parameter for group in groups for parameter in group["params"]]
        self.optimizer: torch.optim.Optimizer = self._optimizer_factory(groups)
        self.lr_scheduler = self._scheduler_factory(self.optimizer, total_steps=self.total_steps)
        self.scaler = torch.amp.GradScaler(self.precision.device.type, enabled=self.precision.compute is torch.float16)
        commit.take_up(self)

    @cached_property
    def cache(self) -> Cache:
        """Latents and embeddings of this and of other runs."""
        return Cache(cache_root(), lambda text: self.say(text, severity="warning"))

    @cached_property
    def content(self) -> dict[str, str]:
        """sha256 of every image's bytes by key, as they were read."""
        return {str(row["key"]): str(row["sha256"]) for row in self.manifest}

    @property
    def trains_text(self) -> bool:
        """Whether the adapter adapts a text encoder, so that prompts cannot be encoded ahead."""
        return any(name.startswith("text_encoder") for name in self.plan.adapter.tensors)

    def _trained_modules(self) -> list[torch.nn.Module]:
        return [self.family.denoiser, *(self.family.text_encoders.values() if self.trains_text else ())]

    # -- the loop's operations -----------------------------------------------------------------------------------------

    def epoch_of_next_step(self) -> int:
        """Return the epoch (from 1) to go on with: the last one again when its steps are done but it is not committed."""
        whole, rest = divmod(self.step, self.data.steps_per_epoch)
        return whole if whole and not rest and whole not in self.epochs_done else whole + 1

    def clip_gradients(self) -> Tensor:
        """Scale gradients down to ``max_grad_norm`` and return their norm before that, on the device."""
        return torch.nn.utils.clip_grad_norm_(self.parameters, self.plan.spec.train.max_grad_norm or NO_LIMIT)

    def after_step(self, step: int, *, samples: int, metrics: dict[str, Tensor]) -> None:
        """Count the step and hand its metrics out, still on the device."""
        self.step = step
        group = self.optimizer.param_groups[0]
        self._pending.append((step, samples, metrics, group.get("d"), float(group["lr"])))
        self.hooks.loraspec_after_step(run=self, step=step, metrics=metrics)

    def logs_at(self, step: int) -> bool:
        """Whether metrics are read after this step."""
        return step % self.plan.spec.train.log_every == 0 or step % self.data.steps_per_epoch == 0

    def log(self) -> None:
        """Read the metrics of the steps since the last call: the only wait for the device.

        Raises:
            RunError: A loss or a gradient is not finite.
        """
        pending, self._pending = self._pending, []
        if not pending:
            return
        names = [name for name, value in pending[-1][2].items() if value.numel() == 1]
        table = torch.stack([torch.stack([values[name].float().reshape(()) for name in names]) for _, _, values, *_ in pending]).cpu()
        losses, norms = table[:, names.index("loss")].tolist(), table[:, names.index("grad_norm")].tolist()
        group = self.optimizer.param_groups[0]
        self.watch.rows([
            Row(step, loss, norm, None if d is None else float(d), lr)
            for (step, _, _, d, lr), loss, norm in zip(pending, losses, norms, strict=True)
        ])
        self.epoch_losses += losses
        for (step, *_), loss in zip(pending, losses, strict=True):
            if step <= FIRST:
                self.record("first", step=step, loss=loss)
        now = time.perf_counter()
        seconds, self._since = now - self._since, now
        self.metrics = {
            **dict(zip(names, table.mean(dim=0).tolist(), strict=True)),
            "lr": float(group["lr"]),
            **commit.step_size(self.optimizer),
            "images_per_second": sum(samples for _, samples, *_ in pending) / max(seconds, 1e-9),
            "epoch": float((self.step - 1) // self.data.steps_per_epoch + 1),
        }
        for name, tracker in self.trackers:
            if name not in self.events.muted:
                try:
                    tracker.log(self.metrics, step=self.step)
                except Exception as error:
                    self.events.mute(name, error)
        self.hooks.loraspec_after_log(run=self, step=self.step, metrics=self.metrics)

    def checkpoints_at(self, step: int) -> bool:
        """Whether what resuming needs is saved after this step, besides every epoch's end."""
        every = self.plan.spec.train.checkpoint_every
        return bool(every) and step % every == 0

    def checkpoint(self) -> None:
        """Commit what resuming needs."""
        self.log()
        since = time.perf_counter()
        path = commit.save(self)
        self.files.journal.write("checkpoint", step=self.step, **commit.step_size(self.optimizer))
        self.commit_seconds += time.perf_counter() - since
        self.hooks.loraspec_after_checkpoint(run=self, step=self.step, path=path)
        self._since = time.perf_counter()

    def commit_epoch(self, epoch: int) -> None:
        """Commit the epoch's files, their index and the checkpoint, then announce it: an epoch that is announced is whole."""
        self.log()
        since = time.perf_counter()
        new = epoch not in self.epochs_done
        entry = commit.commit_epoch(self, epoch)
        self.commit_seconds += time.perf_counter() - since
        self.checkpoint()
        self.epoch_losses = []
        since = time.perf_counter()
        if new:
            self.files.journal.write("epoch", **entry)
        self.record("epoch", **{key: value for key, value in entry.items() if key != "files"})
        self.commit_seconds += time.perf_counter() - since

    # -- after training ------------------------------------------------------------------------------------------------

    @property
    def epochs_done(self) -> list[int]:
        """Numbers of the committed epochs."""
        return [int(entry["epoch"]) for entry in self.files.index]

    def use_epoch(self, epoch: int) -> AdapterState:
        """Put an epoch file's weights into the adapter, and return them: what a program that loads the file works with."""
        tensors, _ = read_tensors(self.files.epoch_file(epoch))
        state: AdapterState = self.exporters[0].read(tensors, model=self.plan.model, adapter=self.plan.adapter)
        self.adapter.load_state(state)
        return state

    @cached_property
    def gallery(self) -> RunGallery:
        """The judged pictures and the user's own, once training is over."""
        return RunGallery(self)

    def release_training(self) -> None:
        """Free what only training needs and bring the generating parts to the device."""
        for parameter in self.parameters:
            parameter.grad = None
        del self.optimizer, self.lr_scheduler
        self.family.gradient_checkpointing(False)
        self.to_generating()

    def to_generating(self) -> None:
        """Bring the generating parts to the device, in evaluation mode; on a CPU, ``grid.threads`` work from now on."""
        use_threads(self.plan.spec.grid.threads)
        for module in self._trained_modules():
            module.eval()
        for part in ("denoiser", "text_encoders", "vae"):
            self.family.place(part, device=self.precision.device)
