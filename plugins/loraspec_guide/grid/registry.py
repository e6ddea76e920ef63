"""What ``[[evaluators]]`` offers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from attrs import frozen
from attrs.validators import gt

from loraspec import Component, Problem, option
from loraspec.errors import EnvironmentMissing

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


def check_plan(plan: Any) -> Iterable[Problem]:
    """Refuse cells whose sides the base cannot generate."""
    grid = plan.spec.grid
    if not (grid.width or grid.height) or not plan.many("evaluator"):
        return
    try:
        scale = plan.model.latent_scale
    except EnvironmentMissing:  # the base is not here yet: told elsewhere, once
        return
    for name, side in (("width", grid.width), ("height", grid.height)):
        if side % scale:
            near = max(scale, round(side / scale) * scale)
            yield Problem(f"grid.{name}", f"{side} px: the base generates multiples of {scale} px", hint=f"write {name} = {near}")
