"""Registers the captioner and checks where its model lies; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from attrs import frozen, validators

from loraspec import Component, hookimpl, option
from loraspec.errors import Problem
from loraspec.hub import COMMIT, HUB, unsure

_SHARE = [validators.ge(0.0), validators.le(1.0)]
_TAGS = validators.deep_iterable(validators.min_len(1))


@frozen
class WD14Options:
    """Options of ``wd14``."""

    weights: str = option(help="Folder with model.onnx and selected_tags.csv, relative to the spec, or hf:OWNER/NAME with `revision`.",
                          place=True)
    revision: str = option(default="", help="Commit of a hub's repository, 40 hexadecimal digits; required with a hub id.",
                           validator=validators.matches_re(f"({COMMIT})?"))
    general: float = option(default=0.35, help="General tags from this confidence on.", validator=_SHARE)
    character: float = option(default=0.85, help="Characters from this confidence on; 1: none.", validator=_SHARE)
    rating: float = option(default=1.0, help="Ratings from this confidence on; 1: none.", validator=_SHARE)
    first: tuple[str, ...] = option(
        default=("1girl", "1boy", "1other", "?girls", "?boys", "?+girls", "?+boys", "no humans"), validator=_TAGS,
        help="Tags that come first, in this order, where they are seen; * and ? stand for anything and for one sign.",
    )
    exclude: tuple[str, ...] = option(default=(), validator=_TAGS, help="Tags that are never written; * and ? as in `first`.")
    order: Literal["confidence", "name", "table"] = option(default="confidence", help="Order of the other tags.")
    most: int = option(default=0, help="At most so many tags, the surest; 0: all.", validator=validators.ge(0))
    underscores: bool = option(default=False, help="Keep them: long_hair instead of long hair.")
    batch_size: int = option(default=4, help="Images at once.", validator=[validators.ge(1), validators.le(256)])
    provider: Literal["auto", "cpu", "cuda"] = option(default="auto", help="Where it computes; auto: a GPU where onnxruntime has one.")


def _wd14(options: WD14Options) -> Any:
    """Write Danbooru's tags, from the surest on, with an ONNX model of the WD14 family (SmilingWolf)."""
    from loraspec_wd14.tagger import Tagger

    return Tagger(options)


@hookimpl
def loraspec_register_captioner() -> Iterable[Component]:
    """Offer the captioner."""
    return [Component("wd14", WD14Options, _wd14, libraries=("onnxruntime", "numpy", "pillow"))]


@hookimpl
def loraspec_check_plan(plan: Any) -> Iterable[Problem]:
    """A model that is not there, and a hub id that is not pinned, are told before anything starts."""
    choice = plan.one("captioner")
    if choice is None or not choice.entry.qualified.startswith("wd14:"):
        return []
    text: str = choice.options.weights
    parts = text.removeprefix(HUB).split("/")
    if text.startswith(HUB) and len(parts) != 2:
        hint = "write hf:OWNER/NAME: the repository holds model.onnx and selected_tags.csv"
        return [Problem(choice.path, f"weights: {text} is no repository", hint, code="E-PLUGIN-WEIGHTS")]
    return list(unsure(text, choice.options.revision, plan.context, choice.path))
