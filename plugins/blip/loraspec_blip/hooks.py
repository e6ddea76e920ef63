"""Registers the captioners and checks where their weights lie; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from attrs import frozen, validators

from loraspec import Component, hookimpl, option
from loraspec.errors import Problem
from loraspec.hub import COMMIT, unsure


@frozen
class ModelOptions:
    """What both captioners know."""

    weights: str = option(help="A folder of transformers, relative to the spec, or hf:OWNER/NAME with `revision`.", place=True)
    revision: str = option(default="", help="Commit of a hub's repository, 40 hexadecimal digits; required with a hub id.",
                           validator=validators.matches_re(f"({COMMIT})?"))
    device: str = option(default="auto", help="auto: a GPU where there is one; or cpu, cuda, cuda:1, mps.",
                         validator=validators.matches_re(r"auto|cpu|mps|cuda(:\d+)?"))
    batch_size: int = option(default=4, help="Images at once.", validator=[validators.ge(1), validators.le(256)])
    num_beams: int = option(default=3, help="Beams of the search; 1: the likeliest word each time.",
                            validator=[validators.ge(1), validators.le(16)])


@frozen(kw_only=True)
class BlipOptions(ModelOptions):
    """Options of ``blip``."""

    prompt: str = option(default="", help="Words with which every caption begins; they are taken off again.")
    max_tokens: int = option(default=75, help="Longest caption, tokens.", validator=[validators.ge(5), validators.le(512)])


@frozen(kw_only=True)
class FlorenceOptions(ModelOptions):
    """Options of ``florence-2``."""

    detail: Literal["short", "detailed", "more-detailed"] = option(default="more-detailed", help="How much is told.")
    max_tokens: int = option(default=200, help="Longest answer, tokens.", validator=[validators.ge(5), validators.le(1024)])


def _blip(options: BlipOptions) -> Any:
    """Write captions with BLIP (Li et al. 2022), or another model of transformers that continues a text."""
    from loraspec_blip.captioners import Blip

    return Blip(options)


def _florence(options: FlorenceOptions) -> Any:
    """Write captions with Florence-2 (Xiao et al. 2024): a description, taken apart into descriptors."""
    from loraspec_blip.captioners import Florence

    return Florence(options)


@hookimpl
def loraspec_register_captioner() -> Iterable[Component]:
    """Offer the captioners."""
    libraries = ("torch", "transformers", "pillow")
    return [
        Component("blip", BlipOptions, _blip, libraries=libraries),
        Component("florence-2", FlorenceOptions, _florence, libraries=libraries),
    ]


@hookimpl
def loraspec_check_plan(plan: Any) -> Iterable[Problem]:
    """Weights that are not there, and hub ids that are not pinned, are told before anything starts."""
    choice = plan.one("captioner")
    if choice is None or not choice.entry.qualified.startswith("blip:"):
        return []
    return list(unsure(choice.options.weights, choice.options.revision, plan.context, choice.path))
