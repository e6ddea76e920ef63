"""``sscd``: descriptors made for finding copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from loraspec.errors import EnvironmentMissing
from loraspec.hub import file_of
from loraspec.metrics import Gallery, Metric, Shown
from loraspec_vision_metrics.pixels import batch, described, unit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from loraspec.sweetspot.measured import Axis
    from loraspec_vision_metrics.hooks import SscdOptions


class Sscd(Metric):
    """A self-supervised descriptor for image copy detection (Pizzi et al. 2022), as its authors publish it in TorchScript."""

    axis: ClassVar[Axis] = "originality"
    cost = "one forward of ResNet-50 a picture"
    validity = "16 pictures a cell, 4 training pictures; the threshold is the user's own pictures', not the paper's"

    def __init__(self, options: SscdOptions) -> None:
        self.options = options

    def prepare(self, gallery: Gallery) -> None:
        """Load the descriptor.

        Raises:
            EnvironmentMissing: The weights are not here, or are no TorchScript.
        """
        run, options = gallery.run, self.options
        path = file_of(options.weights, revision=options.revision, sha256=options.sha256, context=run.plan.context)
        self._device = run.precision.device
        try:
            self._model: Any = torch.jit.load(path, map_location=self._device).eval()  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise EnvironmentMissing(f"{path.name}: no TorchScript: {str(error)[:200]}", hint="use the file *.torchscript.pt") from None

    def values(self, pictures: Sequence[Shown]) -> NDArray[np.float64]:
        """Descriptors ``[n, D]`` of length 1."""
        return described(pictures, self.options.batch_size, self._see)

    def _see(self, pictures: Sequence[Shown]) -> torch.Tensor:
        return unit(self._model(batch([shown.image for shown in pictures], self.options.side).to(self._device)))
