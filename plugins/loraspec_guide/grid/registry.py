"""What ``[[evaluators]]`` offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen
from attrs.validators import gt

from loraspec import Component, option

if TYPE_CHECKING:
    from loraspec.contracts import Evaluator


@frozen
class GridOptions:
    """Options of ``grid``; what it shows is in the spec's ``[grid]``."""

    batch_size: int = option(default=8, help="Cells that are generated at once.", unit="images", validator=gt(0))


def _grid(options: GridOptions) -> Evaluator:
    """The X-Y plot of epochs and weights for each prompt and seed, as labelled sheets, and the report."""
    from loraspec_guide.grid.evaluator import Grid

    return Grid(batch_size=options.batch_size)


EVALUATORS: list[Component] = [Component("grid", GridOptions, _grid, libraries=("diffusers", "torch", "pillow"))]
