"""Adapters offered by the guide; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from attrs import frozen, validators

from loraspec.components import Component, option
from loraspec.errors import Problem, SpecError
from loraspec.values import AdapterFacts, ModelFacts, Target
from loraspec_guide.models.architecture import ATTENTION_LEAVES

if TYPE_CHECKING:
    from loraspec.contracts import Adapter
    from loraspec.plan import Plan


@frozen
class LoraOptions:
    """Options of ``lora``."""

    rank: int = option(default=64, help="Rank of the update of each module.", validator=[validators.ge(1), validators.le(4096)])
    alpha: float = option(default=32.0, help="The update is scaled by alpha / rank.", validator=validators.gt(0))
    dropout: float = option(default=0.0, help="Share of each adapted module's inputs that the adapter does not see in training.",
                            unit="fraction", validator=[validators.ge(0), validators.lt(1)])
    target_modules: Literal["transformer", "attention"] | tuple[str, ...] = option(
        default="transformer",
        help="transformer: every Linear and 1x1 convolution of the transformer blocks (the published set); "
        "attention: the attention projections; or endings of module names, such as to_k or attn2.to_v.",
    )
    text_encoder: bool = option(default=False, help="Adapt the text encoders too; captions are then encoded at every step.")


def chosen_targets(options: LoraOptions, targets: Sequence[Target]) -> tuple[Target, ...]:
    """Return those of ``targets`` that these options adapt, in the same order.

    Raises:
        SpecError: An ending fits no module.
    """
    offered = [one for one in targets if options.text_encoder or one.component == "unet"]
    if options.target_modules == "transformer":
        return tuple(offered)
    endings = ATTENTION_LEAVES if options.target_modules == "attention" else tuple(options.target_modules)

    def ends(target: Target, ending: str) -> bool:
        return target.name == ending or target.name.endswith("." + ending)

    idle = [] if options.target_modules == "attention" else [one for one in endings if not any(ends(target, one) for target in offered)]
    if idle or not endings:
        known = sorted({"to_out.0" if target.name.endswith(".0") else target.name.rpartition(".")[2] for target in offered})
        odd = ", ".join(map(repr, idle)) or "nothing"
        hint = f"endings are such as {', '.join(known)}"
        raise SpecError([Problem("adapter.target_modules", f"no module that can be adapted ends in {odd}", hint, code="E-ADAPTER-TARGETS")])
    return tuple(target for target in offered if any(ends(target, ending) for ending in endings))


def lora_facts(options: LoraOptions, *, model: ModelFacts) -> AdapterFacts:
    """Names and shapes of the trained tensors; 1x1 convolutions keep their two kernel sides in both tensors."""
    tensors: dict[str, tuple[int, ...]] = {}
    alphas: dict[str, float] = {}
    for target in chosen_targets(options, model.targets):
        module, kernel = f"{target.component}.{target.name}", (1, 1) if target.conv else ()
        tensors[f"{module}.lora_down.weight"] = (options.rank, target.in_features, *kernel)
        tensors[f"{module}.lora_up.weight"] = (target.out_features, options.rank, *kernel)
        alphas[module] = options.alpha
    return AdapterFacts("lora", dict(sorted(tensors.items())), dict(sorted(alphas.items())), options.rank)


def build_lora(options: LoraOptions) -> Adapter:
    """Low-rank adaptation (Hu et al. 2021) through PEFT."""
    from loraspec_guide.adapters.lora import Lora

    return Lora(options)


ADAPTERS = [Component("lora", LoraOptions, build_lora, ("torch", "peft"), lora_facts)]


def check_plan(plan: Plan) -> Iterable[Problem]:
    """Warn of a scale that is rarely meant."""
    stage: Any = plan.one("adapter")
    if stage is None or stage.entry.component not in ADAPTERS:
        return
    options: LoraOptions = stage.options
    if options.alpha > 2 * options.rank:
        scale = options.alpha / options.rank
        yield Problem("adapter.alpha", f"{options.alpha:g} is more than twice the rank ({options.rank}): the update is scaled by {scale:g}",
                      "the guide uses half the rank", severity="warning", code="W-ADAPTER-ALPHA")
