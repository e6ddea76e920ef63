"""Registers the built-ins through the same hooks that every plugin uses; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from loraspec import Component, Problem, hookimpl
from loraspec_guide.adapters import registry as adapters
from loraspec_guide.captioners import registry as captioners
from loraspec_guide.captions import registry as captions
from loraspec_guide.data import registry as data
from loraspec_guide.exporters import registry as exporters
from loraspec_guide.grid import registry as grid
from loraspec_guide.launchers import registry as launchers
from loraspec_guide.metrics import registry as metrics
from loraspec_guide.models import registry as models
from loraspec_guide.objectives import registry as objectives
from loraspec_guide.optim import registry as optim
from loraspec_guide.trackers import registry as trackers

if TYPE_CHECKING:
    from loraspec.plan import Plan


@hookimpl
def loraspec_register_model_family() -> Iterable[Component]:
    """Offer ``sdxl`` and ``sd15``."""
    return models.MODEL_FAMILIES


@hookimpl
def loraspec_register_data_source() -> Iterable[Component]:
    """Offer ``folder`` and ``imagefolder``."""
    return data.DATA_SOURCES


@hookimpl
def loraspec_register_captioner() -> Iterable[Component]:
    """Offer ``sidecar``, ``template``, ``command`` and ``openai-chat``."""
    return captioners.CAPTIONERS


@hookimpl
def loraspec_register_caption_transform() -> Iterable[Component]:
    """Offer ``tidy``, ``ensure``, ``shuffle`` and ``dropout``."""
    return captions.CAPTION_TRANSFORMS


@hookimpl
def loraspec_register_adapter() -> Iterable[Component]:
    """Offer ``lora``."""
    return adapters.ADAPTERS


@hookimpl
def loraspec_register_optimizer() -> Iterable[Component]:
    """Offer ``dadapt-adamw``, ``adamw``, ``adamw-8bit`` and ``adafactor``."""
    return optim.OPTIMIZERS


@hookimpl
def loraspec_register_lr_scheduler() -> Iterable[Component]:
    """Offer ``constant``, ``cosine`` and ``linear``."""
    return optim.LR_SCHEDULERS


@hookimpl
def loraspec_register_objective() -> Iterable[Component]:
    """Offer ``denoising``."""
    return objectives.OBJECTIVES


@hookimpl
def loraspec_register_evaluator() -> Iterable[Component]:
    """Offer ``grid`` and the embedded metrics."""
    return [*grid.EVALUATORS, *metrics.METRICS]


@hookimpl
def loraspec_register_exporter() -> Iterable[Component]:
    """Offer ``kohya`` and ``diffusers``."""
    return exporters.EXPORTERS


@hookimpl
def loraspec_register_tracker() -> Iterable[Component]:
    """Offer ``jsonl``, ``console`` and ``tensorboard``."""
    return trackers.TRACKERS


@hookimpl
def loraspec_register_launcher() -> Iterable[Component]:
    """Offer ``local``."""
    return launchers.LAUNCHERS


@hookimpl
def loraspec_check_plan(plan: Plan) -> Iterable[Problem]:
    """Check what the built-ins know about each other: optimizers, exporters, sides of buckets."""
    checks: list[Any] = [captions, models, adapters, exporters, optim, objectives, grid]
    return [problem for part in checks if hasattr(part, "check_plan") for problem in part.check_plan(plan)]
