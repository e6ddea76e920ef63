"""What a metric is to its author: a few lines that turn pictures into numbers; cells, scales, gates and ranking are loraspec's.

A metric is an evaluator of ``[[evaluators]]``. Subclass ``Metric``, say the axis, and write ``values``::

    class Darkness(Metric):
        axis = "style"
        cost = "a millisecond a picture"
        validity = "8 pictures a cell"

        def values(self, pictures):
            return np.array([[np.asarray(shown.image).mean()] for shown in pictures])

Nothing here imports torch, numpy or PIL when it is imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from attrs import frozen

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from loraspec.sweetspot.measured import Axis


@frozen(eq=False)
class Shown:
    """A picture and what it was asked for.

    Attributes:
        image: RGB, of the grid's size; the user's own pictures are brought to it (covered, cropped to the middle).
        prompt: Its prompt; the caption of one of the user's own pictures, "" without one.
        seed: Its seed; 0 for the user's own.
        key: The sample's key for the user's own pictures, "" for generated ones.
    """

    image: Image
    prompt: str
    seed: int = 0
    key: str = ""


class Gallery(Protocol):
    """The judged pictures of a run, rendered when they are asked for and kept by content.

    Attributes:
        run: ``loraspec.engine.run.Run`` after training; ``run.family`` is on the device, in evaluation mode.
        epochs, weights: Judged epochs and weights, ascending.
        prompts, seeds: Judged prompts and seeds.
    """

    run: Any
    epochs: tuple[int, ...]
    weights: tuple[float, ...]
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]

    @property
    def training(self) -> Sequence[Shown]:
        """The user's own pictures that were trained on."""

    @property
    def heldout(self) -> Sequence[Shown]:
        """The user's own pictures that were not."""

    def pictures(self, epoch: int, weight: float, *, prompts: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[Shown | None]:
        """The pictures of an epoch (0: the base without LoRA, weight 0.0), prompt by prompt, in each seed by seed.

        Other prompts and seeds than the judged ones may be asked for. None stands for a cell that could not be drawn.

        Raises:
            Stopped: A signal came; finished cells stay.
        """


class Metric:
    """Base class of the metrics that vote, and of those that only report.

    Attributes:
        axis: What it speaks of; decides what ``values`` returns and how the numbers are read.
        cost: For people: what a picture costs.
        validity: For people: how many pictures a cell needs, and what is known against it.
        notes: Sentences about what ``prepare`` found, printed beside the numbers.
    """

    axis: ClassVar[Axis]
    cost: ClassVar[str]
    validity: ClassVar[str]
    notes: tuple[str, ...] = ()

    def content(self) -> str:
        """Return what its numbers depend on beside code and options, the sha256 of weights: other content is measured anew."""
        return ""

    def prepare(self, gallery: Gallery) -> None:
        """Take what ``values`` will need (the base's U-Net, the prompts); called once in a run, before ``values``."""

    def values(self, pictures: Sequence[Shown]) -> NDArray[np.float64]:
        """Measure n pictures; the same picture gives the same numbers, whatever stands beside it.

        ============================ ============================================================================
        axis                         returns
        ============================ ============================================================================
        style, originality, variety  features ``[n, D]``, compared by a style axis or by Euclidean distance
        prompt                       how well each picture fits its own prompt (last column) and each of
                                     ``gallery.prompts``, ``[n, P + 1]``, higher is better; NaN where not measured
        health                       ``[n]``: 1 sound, 0 not
        ============================ ============================================================================
        """
        raise NotImplementedError

    def evaluate(self, run: Any) -> Mapping[str, float]:
        """Measure every judged cell of a run, keep the numbers in ``scores/``, return means at weight 1.0 of the last epoch."""
        from loraspec.engine.judging import measure

        found: Mapping[str, float] = measure(run, self)
        return found
