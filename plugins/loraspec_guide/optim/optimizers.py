"""The optimizers: each function returns ``factory(parameter_groups) -> torch.optim.Optimizer``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import torch

from loraspec.errors import EnvironmentMissing

if TYPE_CHECKING:
    from loraspec.contracts import OptimizerFactory
    from loraspec_guide.optim.registry import AdafactorOptions, AdamWOptions, DAdaptAdamWOptions

Groups = list[dict[str, Any]]

FUSED_DEVICES = ("cuda", "cpu", "mps", "xpu")


def dadapt_adamw(options: DAdaptAdamWOptions) -> OptimizerFactory:
    """D-Adapted AdamW: ``dadaptation.DAdaptAdam`` over flat buffers, with decoupled weight decay (Defazio and Mishchenko 2023)."""
    from loraspec_guide.optim.dadapt import DAdaptAdam

    def factory(groups: Groups) -> torch.optim.Optimizer:
        made: torch.optim.Optimizer = DAdaptAdam(
            groups,
            lr=options.lr,
            betas=options.betas,
            eps=options.eps,
            weight_decay=options.weight_decay,
            d0=options.d0,
            # The library's own "no limit" is inf, which a JSON state cannot hold; the largest float limits nothing either.
            growth_rate=sys.float_info.max if options.growth_rate is None else options.growth_rate,
            use_bias_correction=options.use_bias_correction,
            decouple=False,
        )
        # The constructor prints when decouple is True; step() reads it from the groups, so setting it here is the same and is silent.
        made.defaults["decouple"] = True
        for group in made.param_groups:
            group["decouple"] = True
        return made

    return factory


def adamw(options: AdamWOptions) -> OptimizerFactory:
    """AdamW of torch (Loshchilov and Hutter 2019); one kernel for all tensors where the device has one."""

    def factory(groups: Groups) -> torch.optim.Optimizer:
        tensors = [tensor for group in groups for tensor in group["params"]]
        fused = bool(tensors) and all(t.device.type in FUSED_DEVICES and t.is_floating_point() for t in tensors)
        return torch.optim.AdamW(
            groups, lr=options.lr, betas=options.betas, eps=options.eps, weight_decay=options.weight_decay, fused=fused or None
        )

    return factory


def adamw_8bit(options: AdamWOptions) -> OptimizerFactory:
    """AdamW whose state is quantised in blocks to 8 bits (Dettmers et al. 2022).

    Raises:
        EnvironmentMissing: bitsandbytes is not installed, or does not load on this machine.
    """
    hint = "pip install 'loraspec[adamw-8bit]'"
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError as error:
        raise EnvironmentMissing("optimizer adamw-8bit needs the package bitsandbytes, which is not installed", hint=hint) from error
    except (OSError, RuntimeError) as error:
        raise EnvironmentMissing(f"optimizer adamw-8bit: bitsandbytes does not load here ({error})", hint=hint) from error

    def factory(groups: Groups) -> torch.optim.Optimizer:
        made: torch.optim.Optimizer = AdamW8bit(
            groups, lr=options.lr, betas=options.betas, eps=options.eps, weight_decay=options.weight_decay
        )
        return made

    return factory


def adafactor(options: AdafactorOptions) -> OptimizerFactory:
    """Adafactor (Shazeer and Stern 2018), from transformers.

    torch has one too, but always scales steps by the size of the tensor: the up weights of a LoRA start at zero and would hardly move.
    The relative learning rate is off, so that lr schedulers work as with every other optimizer.
    """
    from transformers.optimization import Adafactor

    def factory(groups: Groups) -> torch.optim.Optimizer:
        made: torch.optim.Optimizer = Adafactor(
            groups,
            lr=options.lr,
            clip_threshold=options.clip_threshold,
            decay_rate=options.decay_rate,
            weight_decay=options.weight_decay,
            scale_parameter=options.scale_parameter,
            relative_step=False,
            warmup_init=False,
        )
        return made

    return factory
