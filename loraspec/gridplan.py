"""The grid of a plan: which epochs, weights, prompts and seeds it shows, what is judged, and how many cells that makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from loraspec.judgedprompts import judged_prompts
from loraspec.randomness import sort_key

if TYPE_CHECKING:
    from loraspec.plan import Plan

DEFAULT_PROMPTS = 3
WEIGHTS = (0.8, 0.9, 1.0)  # the guide's
SEEDS = 2
CONFIRMED = 8  # epochs of the tie set, the best ones, that are drawn anew


@frozen
class GridPlan:
    """What the grid shows, and what is judged.

    Attributes:
        epochs: Rows, ascending; metrics look at the same.
        weights: Columns in the order of the spec; 0 (the base without LoRA) is not among them.
        prompts: As written, or captions of the data (see ``grid_of``).
        seeds: As written.
        width, height: Size of a cell, px.
        judged_weights: Ascending, whatever the sheets show: the guide's, and the probe.
        judged_prompts, judged_seeds: What metrics look at.
        fresh_seeds: Seeds on which the tie set is confirmed.
        shown: False when the spec has no evaluator: nothing is generated.
        judged: Whether the spec has a metric.
    """

    epochs: tuple[int, ...]
    weights: tuple[float, ...]
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    width: int
    height: int
    judged_weights: tuple[float, ...] = WEIGHTS
    judged_prompts: tuple[str, ...] = ()
    judged_seeds: tuple[int, ...] = ()
    fresh_seeds: tuple[int, ...] = ()
    shown: bool = True
    judged: bool = False

    @property
    def cells(self) -> int:
        """Images to generate: epochs x weights x prompts x seeds, and one without LoRA for each prompt and seed."""
        return (len(self.epochs) * len(self.weights) + 1) * len(self.prompts) * len(self.seeds) if self.shown else 0

    @property
    def judged_cells(self) -> int:
        """Images that metrics look at: the same product, and the base again at seeds that are not judged."""
        one = (len(self.epochs) * len(self.judged_weights) + 1) * len(self.judged_seeds) + max(2, len(self.fresh_seeds))
        return one * len(self.judged_prompts) if self.judged else 0

    @property
    def fresh_cells(self) -> int:
        """At most so many more for the tie set."""
        epochs = min(CONFIRMED, len(self.epochs))
        return epochs * len(self.judged_weights) * len(self.judged_prompts) * len(self.fresh_seeds) if self.judged else 0


def grid_of(plan: Plan) -> GridPlan:
    """Return the plan's grid.

    Without ``grid.prompts`` it takes the captions of three images, after the caption transforms that draw nothing: held-out
    images where there are any, else training images, drawn by hash of the seed and the key. Equal captions count once.
    """
    grid, captions = plan.spec.grid, plan.spec.captions
    prompts = tuple(dict.fromkeys(grid.prompts)) or _captions(plan)
    epochs = range(1, plan.spec.train.epochs + 1) if grid.epochs == "all" else sorted(set(grid.epochs))
    wide, high = plan.model.default_size
    judged = tuple(dict.fromkeys(grid.judged_prompts)) or judged_prompts(
        plan.data, prompts=grid.prompts, style_tag=captions.style_tag, first_prefix=captions.first_prefix
    )
    return GridPlan(
        epochs=tuple(epochs),
        weights=tuple(weight for weight in dict.fromkeys(grid.weights) if weight != 0),
        prompts=prompts,
        seeds=tuple(dict.fromkeys(grid.seeds)),
        width=grid.width or wide,
        height=grid.height or high,
        judged_weights=(*WEIGHTS, *((grid.probe,) if grid.probe else ())),
        judged_prompts=judged,
        judged_seeds=judged_seeds(plan),
        fresh_seeds=_drawn(plan, grid.fresh_seeds),
        shown=bool(plan.many("evaluator")),
        judged=any(choice.entry.component.axis for choice in plan.many("evaluator")),
    )


def judged_seeds(plan: Plan) -> tuple[int, ...]:
    """Return the judged seeds: as written, or drawn."""
    return tuple(dict.fromkeys(plan.spec.grid.judged_seeds)) or _seeds(plan.spec.run.seed, SEEDS)


def other_seeds(plan: Plan) -> tuple[int, ...]:
    """Return seeds that are not judged, for the base against itself: the fresh ones, or two where there are fewer."""
    return _drawn(plan, max(2, plan.spec.grid.fresh_seeds))


def _drawn(plan: Plan, count: int) -> tuple[int, ...]:
    judged = set(judged_seeds(plan))
    every = _seeds(plan.spec.run.seed, SEEDS + len(judged) + count)[SEEDS:]
    return tuple(seed for seed in every if seed not in judged)[:count]


def _seeds(seed: int, count: int) -> tuple[int, ...]:
    """Draw seeds below 2**31, which every program takes."""
    return tuple(sort_key(seed, "judged seed", number) >> 33 for number in range(count))


def _captions(plan: Plan) -> tuple[str, ...]:
    data = plan.data
    keys = [item.key for item in (data.heldout or data.images) if item.sample.caption is not None]
    keys.sort(key=lambda key: (sort_key(data.seed, "grid", key), key))
    texts = dict.fromkeys(data.settled_caption(key) for key in keys)
    return tuple(text for text in texts if text)[:DEFAULT_PROMPTS]
