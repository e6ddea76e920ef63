"""The Prodigy optimizer for loraspec."""

from functools import partial

from attrs import frozen, validators

from loraspec import Component, hookimpl, option


@frozen
class ProdigyOptions:
    """Options of ``prodigy``."""

    lr: float = option(default=1.0, help="Multiplies the step size that Prodigy finds.", validator=validators.gt(0))
    weight_decay: float = option(default=0.01, help="Decoupled weight decay.", validator=validators.ge(0))


def prodigy(options: ProdigyOptions):
    """Prodigy: D-Adaptation whose step size grows faster (Mishchenko and Defazio 2023)."""
    from prodigyopt import Prodigy

    return partial(Prodigy, lr=options.lr, weight_decay=options.weight_decay)


@hookimpl
def loraspec_register_optimizer():
    """Offer ``prodigy``."""
    return [Component("prodigy", ProdigyOptions, prodigy, libraries=["prodigyopt", "torch"])]
