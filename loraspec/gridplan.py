"""The grid of a plan: which epochs, weights, prompts and seeds it shows, and how many cells that makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from loraspec.randomness import sort_key

if TYPE_CHECKING:
    from loraspec.plan import Plan

DEFAULT_PROMPTS = 3


@frozen
class GridPlan:
    """What the grid shows.

    Attributes:
        epochs: Rows, ascending.
        weights: Columns in the order of the spec; 0 (the base without LoRA) is not among them.
        prompts: As written, or captions of the data (see ``grid_of``).
        seeds: As written.
        width, height: Size of a cell, px.
        shown: False when the spec has no evaluator: nothing is generated.
    """

    epochs: tuple[int, ...]
    weights: tuple[float, ...]
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    width: int
    height: int
    shown: bool = True

    @property
    def judged_weights(self) -> tuple[float, ...]:
        """Weights that metrics look at, ascending, whatever the sheets show."""
        return (0.8, 0.9, 1.0, 1.15)

    @property
    def judged_prompts(self) -> tuple[str, ...]:
        """Prompts that metrics look at."""
        return self.prompts

    @property
    def judged_seeds(self) -> tuple[int, ...]:
        """Seeds that metrics look at."""
        return self.seeds

    @property
    def cells(self) -> int:
        """Images to generate: epochs x weights x prompts x seeds, and one without LoRA for each prompt and seed."""
        return (len(self.epochs) * len(self.weights) + 1) * len(self.prompts) * len(self.seeds) if self.shown else 0


def grid_of(plan: Plan) -> GridPlan:
    """Return the plan's grid.

    Without ``grid.prompts`` it takes the captions of three images, after the caption transforms that draw nothing: held-out
    images where there are any, else training images, drawn by hash of the seed and the key. Equal captions count once.
    """
    grid = plan.spec.grid
    prompts = tuple(dict.fromkeys(grid.prompts)) or _captions(plan)
    epochs = range(1, plan.spec.train.epochs + 1) if grid.epochs == "all" else sorted(set(grid.epochs))
    wide, high = plan.model.default_size
    return GridPlan(
        epochs=tuple(epochs),
        weights=tuple(weight for weight in dict.fromkeys(grid.weights) if weight != 0),
        prompts=prompts,
        seeds=tuple(dict.fromkeys(grid.seeds)),
        width=grid.width or wide,
        height=grid.height or high,
        shown=bool(plan.many("evaluator")),
    )


def _captions(plan: Plan) -> tuple[str, ...]:
    data = plan.data
    keys = [item.key for item in (data.heldout or data.images) if item.sample.caption is not None]
    keys.sort(key=lambda key: (sort_key(data.seed, "grid", key), key))
    texts = dict.fromkeys(data.settled_caption(key) for key in keys)
    return tuple(text for text in texts if text)[:DEFAULT_PROMPTS]
