"""``dino-variety`` and ``timm-style``: features of any model of timm."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from loraspec.errors import EnvironmentMissing, did_you_mean
from loraspec.hub import file_of
from loraspec.metrics import Gallery, Metric, Shown
from loraspec_vision_metrics.pixels import batch, described, unit
from loraspec_vision_metrics.style import read

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from loraspec.sweetspot.measured import Axis
    from loraspec_vision_metrics.hooks import TimmOptions


class _Timm(Metric):
    """A model of timm, whose features a subclass takes."""

    def __init__(self, options: TimmOptions) -> None:
        self.options = options

    def prepare(self, gallery: Gallery) -> None:
        """Build the model and load its weights.

        Raises:
            EnvironmentMissing: The weights are not here, or are another model's.
        """
        run, options = gallery.run, self.options
        path = file_of(options.weights, revision=options.revision, sha256=options.sha256, context=run.plan.context)
        self._device = run.precision.device
        self._model = model_of(options.model, read(path), path, side=options.side).to(self._device).eval()
        settled = self._model.pretrained_cfg
        self._side = options.side or int(settled["input_size"][-1])
        self._norm = (settled["mean"], settled["std"])

    def values(self, pictures: Sequence[Shown]) -> NDArray[np.float64]:
        """Features ``[n, D]``."""
        return described(pictures, self.options.batch_size, self._see)

    def _see(self, pictures: Sequence[Shown]) -> torch.Tensor:
        return self._features(batch([shown.image for shown in pictures], self._side, self._norm).to(self._device))

    @abstractmethod
    def _features(self, pixels: torch.Tensor) -> torch.Tensor:
        """``[n, 3, H, W]`` -> ``[n, D]``."""


class TimmVariety(_Timm):
    """How much pictures of one prompt differ between seeds in what a model sees; DINOv2 (Oquab et al. 2023) by default."""

    axis: ClassVar[Axis] = "variety"
    cost = "one forward of the model a picture"
    validity = "2 seeds a prompt; 4 are better"

    def _features(self, pixels: torch.Tensor) -> torch.Tensor:
        return unit(self._model(pixels))


class TimmStyle(_Timm):
    """Style progress on channel means and deviations of a model's stages (after Huang and Belongie 2017)."""

    axis: ClassVar[Axis] = "style"
    cost = "one forward of the model a picture"
    validity = "16 pictures a cell; early stages see textures, late ones what is shown"

    def _features(self, pixels: torch.Tensor) -> torch.Tensor:
        stages = self._model.forward_intermediates(pixels, intermediates_only=True)  # [n, C, h, w] each
        flat = [stage.float().flatten(2) for stage in stages]
        return torch.cat([numbers for stage in flat for numbers in (stage.mean(2), stage.std(2))], 1)


def model_of(name: str, state: Mapping[str, torch.Tensor], path: Path, *, side: int) -> Any:
    """Return a model of timm without its classifier, with weights.

    Raises:
        EnvironmentMissing: timm knows no such model, or the weights do not fit it.
    """
    import timm

    if name not in (known := timm.list_models()):
        raise EnvironmentMissing(f"timm knows no model {name!r}", hint=did_you_mean(name, known))
    try:
        made: Any = timm.create_model(name, pretrained=False, **({"dynamic_img_size": True} if side else {}))
    except TypeError:  # a convolutional model takes any size
        made = timm.create_model(name, pretrained=False)
    own = made.state_dict()
    given = dict(state)
    head = tuple(f"{part}." for part in _classifiers(made))
    missing = [key for key in own if key not in given and not key.startswith(head)]
    foreign = [key for key in given if key not in own and not key.startswith(head)]
    wrong = [key for key in own if key in given and own[key].shape != given[key].shape and not key.startswith(head)]
    if missing or foreign or wrong:
        said = f"{len(missing)} tensors missing, {len(foreign)} unknown, {len(wrong)} of another shape: {(missing + foreign + wrong)[0]}"
        raise EnvironmentMissing(f"{path.name}: no weights of timm's {name}: {said}")
    made.load_state_dict({key: tensor for key, tensor in given.items() if key in own and not key.startswith(head)}, strict=False)
    made.reset_classifier(0)
    return made


def _classifiers(model: Any) -> tuple[str, ...]:
    named = model.pretrained_cfg.get("classifier") or ()
    return (named,) if isinstance(named, str) else tuple(named)
