"""What ``[optimizer]`` and ``[lr_scheduler]`` offer; light, so that ``plan`` can read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import attrs
from attrs import frozen
from attrs.validators import and_, deep_iterable, ge, gt, le, lt, optional

from loraspec import Component, Problem, option

if TYPE_CHECKING:
    from loraspec.contracts import LRSchedulerFactory, OptimizerFactory

LEAST_ADAPTED_LR = 0.1


def _betas(default: tuple[float, float]) -> Any:
    return option(
        default=default,
        help="Decay of the running means of the gradient and of its square.",
        validator=deep_iterable(and_(ge(0.0), lt(1.0))),
    )


def _decay(default: float) -> Any:
    return option(default=default, help="Decoupled weight decay: every step takes this share times the learning rate.", validator=ge(0.0))


def _eps(default: float) -> Any:
    return option(default=default, help="Added to the denominator.", validator=gt(0.0))


@frozen
class DAdaptAdamWOptions:
    """Options of ``dadapt-adamw`` (Defazio and Mishchenko 2023)."""

    lr: float = option(
        default=1.0, help="Factor on the step size that D-Adaptation finds; 1.0 unless training is unstable.", validator=gt(0.0)
    )
    weight_decay: float = _decay(0.01)
    betas: tuple[float, float] = _betas((0.9, 0.999))
    eps: float = _eps(1e-8)
    d0: float = option(default=1e-6, help="First estimate of d; the search starts here and only grows.", validator=gt(0.0))
    growth_rate: float | None = option(
        default=None, help="Largest factor by which d grows in a step (1.02 acts as a warm-up); absent: no limit.",
        validator=optional(gt(1.0)),
    )
    use_bias_correction: bool = option(default=False, help="Correct the running means for their start at zero, as Adam does.")


@frozen
class AdamWOptions:
    """Options of ``adamw`` and ``adamw-8bit`` (Loshchilov and Hutter 2019; Dettmers et al. 2022)."""

    lr: float = option(default=1e-4, help="Learning rate.", validator=gt(0.0))
    weight_decay: float = _decay(0.01)
    betas: tuple[float, float] = _betas((0.9, 0.999))
    eps: float = _eps(1e-8)


@frozen
class AdafactorOptions:
    """Options of ``adafactor`` (Shazeer and Stern 2018), with a learning rate that is given, not relative."""

    lr: float = option(default=1e-3, help="Learning rate.", validator=gt(0.0))
    weight_decay: float = option(default=0.0, help="Decoupled weight decay.", validator=ge(0.0))
    scale_parameter: bool = option(
        default=False, help="Scale each tensor's step by its own size; a LoRA's up weights start at zero and then learn very slowly."
    )
    clip_threshold: float = option(default=1.0, help="Updates are scaled down to this root mean square.", validator=gt(0.0))
    decay_rate: float = option(
        default=-0.8, help="Exponent of the decay of the running mean of squares.", validator=and_(le(0.0), ge(-1.0))
    )


@frozen
class ScheduleOptions:
    """Options of every built-in lr scheduler."""

    warmup: float = option(
        default=0.0, help="Share of all steps in which the learning rate rises in a line to its full value.", unit="fraction",
        validator=and_(ge(0.0), le(1.0)),
    )


def _dadapt_adamw(options: DAdaptAdamWOptions) -> OptimizerFactory:
    """AdamW that finds its own step size (D-Adaptation), the guide's optimizer."""
    from loraspec_guide.optim import optimizers

    return optimizers.dadapt_adamw(options)


def _adamw(options: AdamWOptions) -> OptimizerFactory:
    """AdamW of torch, fused where the device allows it."""
    from loraspec_guide.optim import optimizers

    return optimizers.adamw(options)


def _adamw_8bit(options: AdamWOptions) -> OptimizerFactory:
    """AdamW with its state in 8 bits (bitsandbytes, extra ``adamw-8bit``)."""
    from loraspec_guide.optim import optimizers

    return optimizers.adamw_8bit(options)


def _adafactor(options: AdafactorOptions) -> OptimizerFactory:
    """Adafactor: keeps row and column means of squares instead of one value a weight."""
    from loraspec_guide.optim import optimizers

    return optimizers.adafactor(options)


OPTIMIZERS: list[Component] = [
    Component("dadapt-adamw", DAdaptAdamWOptions, _dadapt_adamw, libraries=("dadaptation", "numba", "torch")),
    Component("adamw", AdamWOptions, _adamw, libraries=("torch",)),
    Component("adamw-8bit", AdamWOptions, _adamw_8bit, libraries=("bitsandbytes", "torch")),
    Component("adafactor", AdafactorOptions, _adafactor, libraries=("transformers", "torch")),
]


def _scheduler(name: str) -> Callable[[ScheduleOptions], LRSchedulerFactory]:
    def build(options: ScheduleOptions) -> LRSchedulerFactory:
        from loraspec_guide.optim import schedulers

        return schedulers.scheduler(name, warmup=options.warmup)

    build.__doc__ = {
        "constant": "Full learning rate after the warm-up.",
        "cosine": "Half a cosine from the full learning rate to zero at the end of the run.",
        "linear": "A line from the full learning rate to zero at the end of the run.",
    }[name]
    return build


LR_SCHEDULERS: list[Component] = [
    Component(name, ScheduleOptions, _scheduler(name), libraries=("torch",)) for name in ("constant", "cosine", "linear")
]


def check_plan(plan: Any) -> Iterable[Problem]:
    """Refuse what D-Adaptation cannot do: small learning rates, and more than one.

    One ``d`` serves every parameter, so a second learning rate has no meaning; the library raises in the middle of the first step
    unless it equals the first or is 0 (frozen).
    """
    chosen = plan.one("optimizer")
    if chosen is None or chosen.entry.component.build is not _dadapt_adamw:
        return
    lr = chosen.options.lr
    if lr < LEAST_ADAPTED_LR:
        yield Problem(
            "optimizer.lr",
            f"{lr:g} is the learning rate of a plain optimizer; dadapt-adamw multiplies it with the step size that it finds itself, "
            f"and needs at least {LEAST_ADAPTED_LR}",
            hint='write lr = 1.0, or use = "adamw" to keep this learning rate',
            code="E-SPEC-CONFLICT",
        )
    adapter = plan.one("adapter")
    for name, value in _learning_rates(adapter.options if adapter is not None else None):
        if value not in (0, lr):
            yield Problem(
                f"adapter.{name}",
                f"a second learning rate ({value:g} beside {lr:g}): D-Adaptation finds one step size for all parameters",
                hint=f'remove {name}, or use = "adamw" with both learning rates',
                code="E-SPEC-CONFLICT",
            )


def _learning_rates(options: Any) -> list[tuple[str, float]]:
    """Options of an adapter that are learning rates by their name (``lr``, ``text_encoder_lr``, ``learning_rate``) and are set."""
    if options is None or not attrs.has(type(options)):
        return []
    found = ((field.name, getattr(options, field.name)) for field in attrs.fields(type(options)))
    return [
        (name, float(value))
        for name, value in found
        if (name == "lr" or name.endswith(("_lr", "learning_rate"))) and isinstance(value, int | float) and not isinstance(value, bool)
    ]
