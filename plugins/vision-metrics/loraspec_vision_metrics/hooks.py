"""Registers the metrics and checks where their weights lie; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from attrs import frozen, validators

from loraspec import Component, hookimpl, option
from loraspec.errors import Problem
from loraspec.hub import COMMIT, unsure

FILE = "A file, relative to the spec, or hf:OWNER/NAME/FILE with `revision`."
PINNED = "Commit of a hub's repository, 40 hexadecimal digits; required with a hub id."
DIGEST = "sha256 of the file, 64 hexadecimal digits: another file is refused. Empty: not compared."


class Located(Protocol):
    """What the options of every metric here have."""

    weights: str
    revision: str
    batch_size: int


def _commit() -> Any:
    return validators.matches_re(f"({COMMIT})?")


def _digest() -> Any:
    return validators.matches_re("([0-9a-f]{64})?")


def _side(least: int) -> Any:
    return [validators.ge(least), validators.le(1024)]


def _batch() -> Any:
    return option(default=16, help="Pictures at once.", validator=[validators.ge(1), validators.le(1024)])


@frozen
class ClipOptions:
    """Options of ``clip-margin``."""

    weights: str = option(help="A folder of transformers, relative to the spec, or hf:OWNER/NAME with `revision`.", place=True)
    revision: str = option(default="", help=PINNED, validator=_commit())
    batch_size: int = _batch()


@frozen
class CsdOptions:
    """Options of ``csd``."""

    weights: str = option(help=FILE, place=True)
    revision: str = option(default="", help=PINNED, validator=_commit())
    sha256: str = option(default="", help=DIGEST, validator=_digest())
    architecture: str = option(default="ViT-L-14-quickgelu", help="Name of the backbone in open_clip.")
    batch_size: int = _batch()


@frozen
class SscdOptions:
    """Options of ``sscd``."""

    weights: str = option(help="TorchScript: " + FILE[0].lower() + FILE[1:], place=True)
    revision: str = option(default="", help=PINNED, validator=_commit())
    sha256: str = option(default="", help=DIGEST, validator=_digest())
    side: int = option(default=288, help="Pictures are brought to a square of this side.", unit="px", validator=_side(32))
    batch_size: int = _batch()


@frozen
class TimmOptions:
    """Options of ``dino-variety`` and ``timm-style``."""

    weights: str = option(help=FILE, place=True)
    revision: str = option(default="", help=PINNED, validator=_commit())
    sha256: str = option(default="", help=DIGEST, validator=_digest())
    model: str = option(default="vit_small_patch14_dinov2", help="Name of the architecture in timm.")
    side: int = option(default=0, help="Side of the model's input; 0: its own.", unit="px", validator=_side(0))
    batch_size: int = _batch()


def _clip_margin(options: ClipOptions) -> Any:
    """Prompt: whether pictures fit their prompt better than others, by CLIP or SigLIP. Votes."""
    from loraspec_vision_metrics.margin import ClipMargin

    return ClipMargin(options)


def _csd(options: CsdOptions) -> Any:
    """Style: contrastive style descriptors (Somepalli et al. 2024). Votes."""
    from loraspec_vision_metrics.style import Csd

    return Csd(options)


def _sscd(options: SscdOptions) -> Any:
    """Originality: descriptors made for finding copies (Pizzi et al. 2022). Votes."""
    from loraspec_vision_metrics.copies import Sscd

    return Sscd(options)


def _dino_variety(options: TimmOptions) -> Any:
    """Variety: whether seeds differ in what DINOv2, or another model of timm, sees. Votes."""
    from loraspec_vision_metrics.features import TimmVariety

    return TimmVariety(options)


def _timm_style(options: TimmOptions) -> Any:
    """Style: channel statistics of a timm model's intermediate features. Votes."""
    from loraspec_vision_metrics.features import TimmStyle

    return TimmStyle(options)


@hookimpl
def loraspec_register_evaluator() -> Iterable[Component]:
    """Offer the metrics."""
    plain = ("torch", "numpy", "pillow")
    return [
        Component("clip-margin", ClipOptions, _clip_margin, libraries=(*plain, "transformers"), axis="prompt"),
        Component("csd", CsdOptions, _csd, libraries=(*plain, "open-clip-torch"), axis="style"),
        Component("sscd", SscdOptions, _sscd, libraries=plain, axis="originality"),
        Component("dino-variety", TimmOptions, _dino_variety, libraries=(*plain, "timm"), axis="variety"),
        Component("timm-style", TimmOptions, _timm_style, libraries=(*plain, "timm"), axis="style"),
    ]


@hookimpl
def loraspec_check_plan(plan: Any) -> Iterable[Problem]:
    """Weights that are not there, and hub ids that are not pinned, are told before anything starts."""
    return list(_problems(plan))


def _problems(plan: Any) -> Iterator[Problem]:
    for number, choice in enumerate(plan.many("evaluator")):
        if not choice.entry.qualified.startswith("vision-metrics:"):
            continue
        options: Located = choice.options
        yield from unsure(options.weights, options.revision, plan.context, f"evaluators[{number}]")
