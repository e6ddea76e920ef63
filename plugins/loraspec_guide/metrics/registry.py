"""The embedded metrics among what ``[[evaluators]]`` offers; imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from loraspec import Component

if TYPE_CHECKING:
    from loraspec.metrics import Metric
    from loraspec.sweetspot.measured import Axis

TORCH = ("torch", "diffusers", "peft", "numpy", "pillow")
PLAIN = ("numpy", "pillow")


@frozen
class NoOptions:
    """These metrics have no options: what they need to know is the user's own pictures."""


def _unet_progress(options: NoOptions) -> Metric:
    """Style: how far from the base to the artist, on the base U-Net's own features. Votes."""
    from loraspec_guide.metrics.denoiser import UnetProgress

    return UnetProgress()


def _texture_progress(options: NoOptions) -> Metric:
    """Style: how far from the base to the artist, on textures, colours and spectrum. Votes."""
    from loraspec_guide.metrics.pixels import TextureProgress

    return TextureProgress()


def _diffusion_margin(options: NoOptions) -> Metric:
    """Prompt: whether pictures still fit their prompt better than others, by the base as a classifier. Votes."""
    from loraspec_guide.metrics.denoiser import DiffusionMargin

    return DiffusionMargin()


def _copy_rate(options: NoOptions) -> Metric:
    """Originality: how many pictures lie nearer to a training picture than real works do to each other. Votes."""
    from loraspec_guide.metrics.pixels import CopyRate

    return CopyRate()


def _seed_variety(options: NoOptions) -> Metric:
    """Variety: whether seeds of one prompt still give different pictures. Votes."""
    from loraspec_guide.metrics.pixels import SeedVariety

    return SeedVariety()


def _artefacts(options: NoOptions) -> Metric:
    """Health: flat, clipped, over-saturated or noisy pictures, against the user's own and the base's. Votes."""
    from loraspec_guide.metrics.pixels import Artefacts

    return Artefacts()


def _heldout_loss(options: NoOptions) -> Metric:
    """Diagnostic: the loss of held-out pictures against the base's, by timestep. Shown, never votes."""
    from loraspec_guide.metrics.diagnostics import HeldoutLoss

    return HeldoutLoss()


def _member_auc(options: NoOptions) -> Metric:
    """Diagnostic: how well the loss tells training pictures from held-out ones. Shown, never votes."""
    from loraspec_guide.metrics.diagnostics import MemberAuc

    return MemberAuc()


def _prior_drift(options: NoOptions) -> Metric:
    """Diagnostic: how far pictures without the style's words are moved. A label and a tie-break, never votes."""
    from loraspec_guide.metrics.diagnostics import PriorDrift

    return PriorDrift()


def _metric(name: str, axis: Axis, build: Any, libraries: tuple[str, ...]) -> Component:
    return Component(name, NoOptions, build, libraries=libraries, axis=axis)


METRICS: list[Component] = [
    _metric("unet-progress", "style", _unet_progress, TORCH),
    _metric("texture-progress", "style", _texture_progress, PLAIN),
    _metric("diffusion-margin", "prompt", _diffusion_margin, TORCH),
    _metric("copy-rate", "originality", _copy_rate, PLAIN),
    _metric("seed-variety", "variety", _seed_variety, PLAIN),
    _metric("artefacts", "health", _artefacts, PLAIN),
    _metric("heldout-loss", "diagnostic", _heldout_loss, TORCH),
    _metric("member-auc", "diagnostic", _member_auc, TORCH),
    _metric("prior-drift", "diagnostic", _prior_drift, TORCH),
]
