"""What a training step costs beside the smallest honest torch loop on the same U-Net; read the ratios.

The floor holds latents and prompt embeddings in memory, adapts the same modules with PEFT and does forward, backward, AdamW.
loraspec's step is the engine's own: draws, caption, batch, objective, clipping, lr scheduler, events, logging. Both kinds take turns in
one process, and the median of the rounds is printed. Nothing here fails on time.
"""

from __future__ import annotations

import functools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loraspec.randomness import generator
from loraspec.testing.pipelines import build_tiny

BATCH, RANK, IMAGES, SIDE = 4, 16, 16, 64
SPEC = """\
loraspec = 1
evaluators = []
[run]
name = "bench"
[model]
use = "sdxl"
checkpoint = "{base}"
[data]
repeats = 10
resolution = 64
buckets = {{ step = 64, min = 64, max = 64 }}
expect = {{ images = [1, 99], min_side = 64 }}
[[data.sources]]
use = "folder"
path = "images"
rights = "own"
[[captions.transforms]]
use = "tidy"
[[captions.transforms]]
use = "shuffle"
keep = 1
[adapter]
rank = 16
alpha = 16
[optimizer]
use = "{optimizer}"
{rate}
[lr_scheduler]
use = "cosine"
[train]
epochs = 20
batch_size = 4
mixed_precision = "no"
device = "cpu"
[[trackers]]
use = "jsonl"
"""
PARTS = ("text", "data", "forward", "backward", "optimizer", "bookkeeping")


def clock() -> float:
    """CPU seconds on one thread, which other processes hardly change; seconds of the clock with more threads."""
    import torch

    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


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


class Floor:
    """The smallest honest loop: one U-Net, PEFT, AdamW, everything else in memory."""

    def __init__(self, run: Any, latents: Any) -> None:
        import torch
        from peft import LoraConfig, inject_adapter_in_model

        run.load_model()
        self.unet, self.alphas = run.family.denoiser, run.family.schedule.alphas_cumprod
        names = [target.name for target in run.plan.model.targets if target.component == "unet"]
        inject_adapter_in_model(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=names), self.unet)
        self.unet.train()
        self.parameters = [weight for name, weight in self.unet.named_parameters() if "lora_" in name]
        assert sum(weight.numel() for weight in self.parameters) == run.plan.adapter.parameters
        assert all(weight.requires_grad for weight in self.parameters)
        self.optimizer = torch.optim.AdamW(self.parameters, lr=1e-4)
        places = list(run.placements.values())
        self.latents = torch.stack([one.mean for one in latents.values()])
        tokens = torch.from_numpy(run.family.tokenize([f"picture {number}, noise" for number in range(len(places))]))
        with torch.no_grad():
            self.conditioning = run.family.condition(run.family.encode_tokens(tokens), placements=places)
        self.random = torch.Generator().manual_seed(0)
        self.number = 0

    def step(self) -> None:
        """One step."""
        import torch

        rows = (torch.arange(BATCH) + self.number) % len(self.latents)
        self.number += BATCH
        clean, known = self.latents[rows], {name: value[rows] for name, value in self.conditioning.items()}
        noise = torch.randn(clean.shape, generator=self.random)
        steps = torch.randint(len(self.alphas), (BATCH,), generator=self.random)
        alpha = self.alphas[steps].view(-1, 1, 1, 1)
        noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
        added = {"text_embeds": known["pooled"], "time_ids": known["time_ids"]}
        predicted = self.unet(noisy, steps, known["embeds"], added_cond_kwargs=added, return_dict=False)[0]
        torch.nn.functional.mse_loss(predicted, noise).backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


class Whole:
    """A run of loraspec, prepared, whose steps are asked for one by one."""

    def __init__(self, run: Any, latents: Any, watch: pytest.MonkeyPatch) -> None:
        import torch

        from loraspec.engine import feed
        from loraspec.engine.text import Encodings

        run.load_model()
        run.load_adapter()
        self.run, self.latents, self.encodings, self.stopwatch = run, latents, Encodings(run), Stopwatch()
        around, self._watch = self.stopwatch.around, watch
        self.encodings.of = around("text", self.encodings.of)  # type: ignore[method-assign]
        run.objective = around("forward", run.objective)
        run.optimizer.step = around("optimizer", run.optimizer.step)
        self._patches = (feed, "make_batch", around("data", feed.make_batch)), (
            torch.autograd, "backward", around("backward", torch.autograd.backward))  # fmt: skip
        self._steps = self._all()
        self.encoding, self.epochs = 0.0, 0

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
        with self._watch.context() as patch:
            for owner, name, function in self._patches:
                patch.setattr(owner, name, function)
            self.stopwatch.around("bookkeeping", lambda: [self.step(one) for one in steps])()

    @property
    def encoding_of_a_step(self) -> float:
        """Seconds of encoding captions ahead, shared out over the epoch's steps."""
        return self.encoding / max(1, self.epochs) / self.run.data.steps_per_epoch


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    """The embedded base where the checkout has it, else a tiny pipeline with random weights; and the images."""
    from PIL import Image

    (tmp_path / "images").mkdir()
    for number in range(IMAGES):
        pixels = generator(0, "bench", number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number:02}.png")
        (tmp_path / "images" / f"{number:02}.txt").write_text(f"picture {number}, noise, in colour, by Nobody", encoding="utf-8")
    found = find_spec("loraspec_picturebook")
    if found is not None and found.origin and (Path(found.origin).parent / "base" / "model_index.json").is_file():
        return "package:loraspec_picturebook/base"
    build_tiny(tmp_path / "base", "sdxl-small")
    return "base"


def prepared(folder: Path, checkpoint: str, optimizer: str, rate: str) -> tuple[Any, Any]:
    """A run with its latents."""
    from loraspec.engine import device
    from loraspec.engine.interrupts import Interrupts
    from loraspec.engine.prepare import prepare
    from loraspec.engine.run import Run
    from loraspec.plan import resolve

    path = folder / f"{optimizer}.toml"
    path.write_text(SPEC.format(base=checkpoint, optimizer=optimizer, rate=rate), encoding="utf-8")
    plan = resolve(path, profiles=(), sets=())
    target = device.check_device(plan.spec.train, plan.model)
    output = folder / f"run-{optimizer}"
    (output / "epochs").mkdir(parents=True)
    run = Run(plan, output, precision=device.setup(plan.spec.train, target), interrupts=Interrupts())
    run.load_model()
    return run, prepare(run)


def test_step_against_the_floor(
    benchmark: Any, checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Median seconds of a step: floor, loraspec with AdamW, loraspec with its default optimizer."""
    import torch

    rounds, count = (1, 1) if benchmark.disabled else (7, 5)
    wholes = {name: Whole(*prepared(tmp_path, checkpoint, name, rate), monkeypatch)
              for name, rate in (("adamw", "lr = 1e-4"), ("dadapt-adamw", ""))}  # fmt: skip
    floor = Floor(*prepared(tmp_path, checkpoint, "adafactor", "lr = 1e-4"))
    seconds: dict[str, list[float]] = {"floor": [], **{name: [] for name in wholes}}

    def turn() -> None:
        """Each kind in turn: what disturbs one disturbs all."""
        steps = {name: whole.prepare(count) for name, whole in wholes.items()}
        since = clock()
        for _ in range(count):
            floor.step()
        seconds["floor"].append((clock() - since) / count)
        for name, whole in wholes.items():
            since = clock()
            whole.steps(steps[name])
            seconds[name].append((clock() - since) / count)

    for _ in range(0 if benchmark.disabled else 1):  # first steps build what later ones keep
        turn()
    for taken in seconds.values():
        taken.clear()
    for whole in wholes.values():
        whole.stopwatch.seconds.update(dict.fromkeys(PARTS, 0.0))
    benchmark.pedantic(turn, rounds=rounds)

    least = statistics.median(seconds["floor"])
    lines = [f"{checkpoint}, batch {BATCH}, {torch.get_num_threads()} threads; floor {least * 1e3:.1f} ms a step"]
    for name, whole in wholes.items():
        ahead = whole.encoding_of_a_step
        ratio = statistics.median((taken + ahead) / low for taken, low in zip(seconds[name], seconds["floor"], strict=True))
        share = {part: value / rounds / count * 1e3 for part, value in whole.stopwatch.seconds.items()}
        told = ", ".join(f"{part} {value:.1f}" for part, value in share.items())
        lines.append(f"{name}: {ratio:.2f} x the floor ({told}, encoding ahead {ahead * 1e3:.1f} ms)")
        benchmark.extra_info[name] = {"ratio": ratio, "encoding_ahead_ms": ahead * 1e3, **share}
        assert whole.run.step > 0
        assert all(share[part] > 0 for part in PARTS)
    if not benchmark.disabled:
        with capsys.disabled():
            sys.stdout.write("\n" + "\n".join(lines) + "\n")
