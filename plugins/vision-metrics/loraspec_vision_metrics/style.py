"""``csd``: style descriptors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from loraspec.errors import EnvironmentMissing
from loraspec.hub import file_of
from loraspec.metrics import Gallery, Metric, Shown
from loraspec_vision_metrics.pixels import CLIP, batch, described, unit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from loraspec.sweetspot.measured import Axis
    from loraspec_vision_metrics.hooks import CsdOptions

HEAD = "last_layer_style"


class Csd(Metric):
    """Contrastive style descriptors (Somepalli et al. 2024): a CLIP vision tower and a projection trained to tell artists apart."""

    axis: ClassVar[Axis] = "style"
    cost = "one forward of ViT-L/14 a picture"
    validity = "16 pictures a cell; trained on paintings and illustrations"

    def __init__(self, options: CsdOptions) -> None:
        self.options = options

    def prepare(self, gallery: Gallery) -> None:
        """Build the tower and load its weights.

        Raises:
            EnvironmentMissing: The weights are not here, or are no descriptor's.
        """
        import open_clip

        run, options = gallery.run, self.options
        path = file_of(options.weights, revision=options.revision, sha256=options.sha256, context=run.plan.context)
        tower: Any = open_clip.create_model(options.architecture, pretrained=None).visual
        tower.proj = None
        body, head = _split(read(path), path)
        try:
            tower.load_state_dict(body)
        except RuntimeError as error:
            raise EnvironmentMissing(f"{path.name}: no {options.architecture} of open_clip: {str(error)[:300]}") from None
        self._device = run.precision.device
        self._tower, self._head = tower.to(self._device).eval(), head.to(self._device)
        side = tower.image_size
        self._side = int(side[0] if isinstance(side, tuple) else side)

    def values(self, pictures: Sequence[Shown]) -> NDArray[np.float64]:
        """Descriptors ``[n, D]`` of length 1."""
        return described(pictures, self.options.batch_size, self._see)

    def _see(self, pictures: Sequence[Shown]) -> torch.Tensor:
        seen: torch.Tensor = self._tower(batch([shown.image for shown in pictures], self._side, CLIP).to(self._device))
        return unit(seen @ self._head)


def read(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a .safetensors file; nothing else is read, for other files may hold programs.

    Raises:
        EnvironmentMissing: It is none.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(path)
    except SafetensorError as error:
        hint = "convert it once, in an environment that you trust, as the README of loraspec-vision-metrics shows"
        raise EnvironmentMissing(f"{path.name} is no .safetensors file: {error}", hint=hint) from None
    return {name.removeprefix("module."): tensor for name, tensor in found.items()}


def _split(state: dict[str, torch.Tensor], path: Path) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    if HEAD not in state:
        raise EnvironmentMissing(f"{path.name}: holds no {HEAD!r}, so it is no style descriptor")
    body = {name.removeprefix("backbone."): tensor.float() for name, tensor in state.items() if name.startswith("backbone.")}
    return body, state[HEAD].float()
