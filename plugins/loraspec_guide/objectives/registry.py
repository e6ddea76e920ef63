"""What ``[objective]`` offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen
from attrs.validators import ge, gt, optional

from loraspec import Component, option

if TYPE_CHECKING:
    from loraspec.contracts import Objective


@frozen
class DenoisingOptions:
    """Options of ``denoising``."""

    snr_gamma: float | None = option(
        default=None, help="Min-SNR weighting of the loss (Hang et al. 2023); 5.0 is usual; absent: every timestep counts the same.",
        validator=optional(gt(0.0)),
    )
    noise_offset: float = option(
        default=0.0, help="Adds this much noise that is constant over each channel, so that very dark and very bright pictures are learnt.",
        validator=ge(0.0),
    )


def _denoising(options: DenoisingOptions) -> Objective:
    """Mean squared error of the predicted noise or velocity at uniformly drawn timesteps."""
    from loraspec_guide.objectives.denoising import Denoising

    return Denoising(snr_gamma=options.snr_gamma, noise_offset=options.noise_offset)


OBJECTIVES: list[Component] = [Component("denoising", DenoisingOptions, _denoising, libraries=("torch", "numpy"))]
