"""Schedulers from a fixed list: the base's own noise schedule, and the samplers that a spec can name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from loraspec_guide.models.architecture import wrong_model

SAMPLERS: Final = {
    "euler": "EulerDiscreteScheduler",
    "euler-a": "EulerAncestralDiscreteScheduler",
    "ddim": "DDIMScheduler",
    "dpmpp-2m": "DPMSolverMultistepScheduler",
}
BASES: Final = frozenset({*SAMPLERS.values(), "PNDMScheduler", "DDPMScheduler", "LMSDiscreteScheduler", "HeunDiscreteScheduler",
                          "UniPCMultistepScheduler"})


def pipeline_class(name: str) -> Any:
    """Return a pipeline of diffusers.

    Importing one makes transformers announce that torchvision is not installed, for image processors that no pipeline here has.
    """
    import diffusers
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        return getattr(diffusers, name)
    finally:
        logging.set_verbosity(before)


def base_scheduler(config: Mapping[str, Any]) -> Any:
    """Make the scheduler that the base's folder describes.

    Raises:
        SpecError: Its class is none of the list.
    """
    import diffusers

    name = config.get("_class_name")
    if name not in BASES:
        raise wrong_model(f"its scheduler is a {name!r}; known are {', '.join(sorted(BASES))}")
    made = getattr(diffusers, str(name))
    return made.from_config({key: value for key, value in config.items() if not key.startswith("_")})


def sampler(name: str, base: Any) -> Any:
    """Make a fresh sampler as a person does: ``Sampler.from_config(pipeline.scheduler.config)``."""
    import diffusers

    return getattr(diffusers, SAMPLERS[name]).from_config(base.config)
