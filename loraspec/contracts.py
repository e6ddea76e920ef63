"""One Protocol per stage: what ``build(options)`` must return.

Letters: B batch, C latent channels, H W pixels, h w latents, T tokens, D embedding width.
Images are ``PIL.Image`` in mode RGB unless said. Everything after the first argument is keyword-only.
Nothing here imports torch, numpy or PIL when it is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from loraspec.components import Component
from loraspec.errors import PluginError
from loraspec.randomness import Rng
from loraspec.values import (
    AdapterFacts,
    AdapterState,
    Batch,
    Context,
    ExportFacts,
    ExportFile,
    Loss,
    ModelFacts,
    NoiseSchedule,
    Picture,
    Placement,
    Precision,
    Rights,
    Sample,
    Sampling,
    Scan,
    Target,
    Visit,
)

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL.Image import Image
    from torch import Tensor, nn

    from loraspec.drafts import CaptionDraft, CaptionRequest

__all__ = [
    "Adapter",
    "AdapterFacts",
    "AdapterState",
    "Batch",
    "CaptionTransform",
    "Captioner",
    "Context",
    "DataSource",
    "Evaluator",
    "ExportFacts",
    "ExportFile",
    "Exporter",
    "ImageTransform",
    "LRSchedulerFactory",
    "Launcher",
    "Loss",
    "ModelFacts",
    "ModelFamily",
    "NoiseSchedule",
    "Objective",
    "OptimizerFactory",
    "Picture",
    "Placement",
    "Precision",
    "Rights",
    "Sample",
    "Sampling",
    "Scan",
    "Target",
    "Tracker",
    "Visit",
]


# -- contracts that serve plan and run ---------------------------------------------------------------------------------


@runtime_checkable
class DataSource(Protocol):
    """Finds images and their captions."""

    def scan(self, context: Context) -> Scan:
        """Return every image and every problem; reads headers, decodes nothing that it need not."""


@runtime_checkable
class ImageTransform(Protocol):
    """Changes a decoded image before it is placed in a bucket; deterministic, so that latents can be cached; called by several threads."""

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the size, px, that an image of this size will have."""
    def __call__(self, image: Image, *, sample: Sample) -> Image:
        """Return the changed image."""


@runtime_checkable
class CaptionTransform(Protocol):
    """Changes the descriptors of a caption; ``rng`` is this transform's own generator for this visit."""

    deterministic: bool

    def __call__(self, descriptors: tuple[str, ...], *, sample: Sample, rng: np.random.Generator) -> tuple[str, ...]:
        """Return the changed descriptors; the same for the same arguments."""


@runtime_checkable
class Captioner(Protocol):
    """Drafts captions.

    May have ``announce(requests) -> str``, what is told before it starts (where images go, what it costs), and ``consent``: True when
    a person is to be asked first. A run refuses captioners that have something to announce: ``loraspec captions draft`` is the way.
    ``begin(context)`` is called once before the first request, where it is there: places in its options are relative to the spec.
    """

    def caption(self, requests: Sequence[CaptionRequest]) -> Iterable[CaptionDraft]:
        """Yield a draft for each request, in any order, as soon as it is there; a draft that failed says so in ``problem``."""


# -- contracts of the run ------------------------------------------------------------------------------------------------


@runtime_checkable
class ModelFamily(Protocol):
    """A base model: loads, encodes, denoises, generates. ``facts(options, context=)`` gives its ``ModelFacts``."""

    denoiser: nn.Module
    text_encoders: Mapping[str, nn.Module]
    schedule: NoiseSchedule

    def load(self, context: Context, *, precision: Precision) -> None:
        """Load the frozen parts on the host; modules of parts that are neither placed nor used may be without values (meta device).

        Raises:
            EnvironmentMissing: Weights are not here and cannot be had.
        """
    def content(self) -> Mapping[str, str]:
        """sha256 by part (``vae``, ``text_encoders``, ``denoiser``): keys of the caches, and fields of the lock."""
    def encode_images(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, 3, H, W]`` in [-1, 1] -> posterior mean and std, both float32 ``[B, C, h, w]``, scaled for the denoiser."""
    def tokenize(self, prompts: Sequence[str]) -> np.ndarray[Any, Any]:
        """Prompts -> int64 ``[B, encoders, T]``, padded; longer prompts are cut."""
    def count_tokens(self, prompt: str) -> int:
        """Tokens of a prompt, start and end not counted, uncut."""
    def encode_tokens(self, tokens: Tensor) -> Mapping[str, Tensor]:
        """int64 ``[B, encoders, T]`` -> ``embeds`` [B, T, D] and, where the family has it, ``pooled`` [B, P]."""
    def condition(self, encoded: Mapping[str, Tensor], *, placements: Sequence[Placement]) -> Mapping[str, Tensor]:
        """Add what depends on geometry (SDXL's time ids) to encoded prompts."""
    def denoise(self, noisy: Tensor, *, timesteps: Tensor, conditioning: Mapping[str, Tensor]) -> Tensor:
        """``[B, C, h, w]``, int64 ``[B]`` -> the denoiser's prediction ``[B, C, h, w]``."""
    def place(self, part: Literal["vae", "text_encoders", "denoiser"], *, device: torch.device) -> None:
        """Move a part to a device: parts that are not needed leave the accelerator."""
    def gradient_checkpointing(self, on: bool) -> None:
        """Recompute activations in the backward pass, or keep them."""
    def generate(self, pictures: Sequence[Picture], *, sampling: Sampling) -> list[Image]:
        """The images that diffusers' own pipeline gives for these seeds (one CPU generator per picture)."""


@runtime_checkable
class Adapter(Protocol):
    """Trainable weights in a frozen model. ``facts(options, model=)`` gives its ``AdapterFacts``.

    An adapter may have ``folded(weight)``, a context in which it is part of the base's own weights, so that drawing costs what the base
    costs; the base must be the same to the bit afterwards.
    """

    def inject(self, family: ModelFamily, *, rng: Rng) -> list[dict[str, Any]]:
        """Freeze the family, add the weights (float32, initialised from ``rng("adapter", module)``), return parameter groups."""
    def state(self) -> AdapterState:
        """Return the weights, on the host."""
    def load_state(self, state: AdapterState) -> None:
        """Take weights over."""
    def set_weight(self, weight: float) -> None:
        """Scale the adapter's effect; 0 is the base, 1 is as trained."""


OptimizerFactory = Callable[[list[dict[str, Any]]], "torch.optim.Optimizer"]
"""Parameter groups to an optimizer; if that has a text ``remark``, a run says it once, after the first steps."""


class LRSchedulerFactory(Protocol):
    """``build(options)`` of an lr scheduler; ``total_steps`` counts optimizer steps of the whole run."""

    def __call__(self, optimizer: torch.optim.Optimizer, *, total_steps: int) -> torch.optim.lr_scheduler.LRScheduler:
        """Return the scheduler, stepped once after each optimizer step."""


class Objective(Protocol):
    """Noise, timesteps, target and weighting of the loss."""

    def __call__(self, family: ModelFamily, *, batch: Batch) -> Loss:
        """Return the loss of each sample, with gradient."""


class Exporter(Protocol):
    """Names weights for other programs; ``header`` is what the run says of itself, already free of paths and hosts."""

    def files(self, state: AdapterState, *, model: ModelFacts, header: Mapping[str, str], stem: str) -> Iterable[ExportFile]:
        """Return the files of one epoch; they match ``ExportFacts``."""
    def read(self, tensors: Mapping[str, Tensor], *, model: ModelFacts, adapter: AdapterFacts) -> AdapterState:
        """The inverse of ``files``: what a program that loads this file works with, as float32 neutral tensors."""


class Evaluator(Protocol):
    """Judges epochs; metrics subclass ``loraspec.metrics.Metric``. ``run`` is ``loraspec.engine.run.Run`` after training."""

    def evaluate(self, run: Any) -> Mapping[str, float]:
        """Return numbers to record; obey ``run.check_interrupt()`` between two items."""


@runtime_checkable
class Tracker(Protocol):
    """Records metrics; may carry event methods too. A failing tracker is warned about once and muted."""

    def log(self, metrics: Mapping[str, float], *, step: int) -> None:
        """Record plain floats at the logging cadence."""


class Launcher(Protocol):
    """Carries a run out: ``work`` does it in this process, ``command`` would do it in another. Returns the exit code."""

    def launch(self, work: Callable[[], int], *, command: Sequence[str]) -> int:
        """Return the exit code."""


_OF_STAGE: Mapping[str, type] = {
    "data_source": DataSource, "image_transform": ImageTransform, "captioner": Captioner, "caption_transform": CaptionTransform,
    "model_family": ModelFamily, "adapter": Adapter, "lr_scheduler": LRSchedulerFactory, "objective": Objective, "exporter": Exporter,
    "evaluator": Evaluator, "tracker": Tracker, "launcher": Launcher,
}  # fmt: skip


def built(stage: str, name: str, component: Component, options: Any) -> Any:
    """Return what a component builds, once it has the methods of its stage.

    Args:
        stage: The stage's name.
        name: ``plugin:component``, for the error.
        component: The component.
        options: Its options.

    Raises:
        PluginError: It built something else.
    """
    made = component.build(options)
    own = vars(_OF_STAGE[stage]) if stage in _OF_STAGE else {"__call__": made} if stage == "optimizer" else {}
    wanted = [key for key, value in own.items() if key == "__call__" or (callable(value) and not key.startswith("_"))]
    lacking = [key for key in wanted if not callable(getattr(made, key, None))]
    if lacking:
        words = f"{name!r} built a {type(made).__name__}, which is no {stage.replace('_', ' ')}: it has no {', '.join(lacking)}"
        raise PluginError(words).coded("E-PLUGIN-CONTRACT")
    return made
