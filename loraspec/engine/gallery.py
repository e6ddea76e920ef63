"""The gallery of a run: the pictures that are judged, drawn when they are asked for, and the user's own beside them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from attrs import asdict

from loraspec.engine.cells import Cell, Cells, Drawn, read_png
from loraspec.engine.look import read_planned
from loraspec.images import decode
from loraspec.metrics import Shown
from loraspec.pixels import prepared_pixels

if TYPE_CHECKING:
    from PIL.Image import Image

    from loraspec.engine.run import Run
    from loraspec.plan import PlacedSample


class RunGallery:
    """``loraspec.metrics.Gallery`` of a run after training.

    Attributes:
        run: The run.
        cells: Its cells.
        epochs: Judged epochs, ascending: those of ``[grid]`` that are committed, or the last one when there is none of them.
        weights: Judged weights, ascending.
        prompts, seeds: Judged prompts and seeds.
        failed: Cells that could not be drawn, and why.
        kept: For metrics that share what they computed, by a name of their own.
    """

    def __init__(self, run: Run) -> None:
        plan = run.plan.grid
        self.run = run
        self.cells = Cells.of(run)
        self.epochs = tuple(epoch for epoch in plan.epochs if epoch in self.cells.hashes) or (max(self.cells.hashes),)
        self.weights = plan.judged_weights
        self.prompts = plan.judged_prompts
        self.seeds = plan.judged_seeds
        self.failed: dict[Cell, str] = {}
        self.kept: dict[str, Any] = {}
        self._seen: set[Cell] = set()

    # -- the user's own ------------------------------------------------------------------------------------------------

    @cached_property
    def training(self) -> tuple[Shown, ...]:
        """The pictures that were trained on, by key."""
        return self._own(self.run.data.images)

    @cached_property
    def heldout(self) -> tuple[Shown, ...]:
        """The pictures that were held out, by key."""
        return self._own(self.run.data.heldout)

    def _own(self, placed: Sequence[PlacedSample]) -> tuple[Shown, ...]:
        """Decode pictures as the run does.

        Raises:
            SpecError: A file is another than was planned with.
        """
        found = []
        for item in placed:
            self.run.check_interrupt()
            image = prepared_pixels(item, decode(read_planned(self.run, item)[0]), self.run.image_transforms)
            prompt = self.run.data.settled_caption(item.key) if item.sample.caption is not None else ""
            found.append(Shown(covered(image, self.cells.sampling.width, self.cells.sampling.height), prompt, key=item.key))
        return tuple(found)

    # -- generated -----------------------------------------------------------------------------------------------------

    def pictures(self, epoch: int, weight: float, *, prompts: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[Shown | None]:
        """The pictures of an epoch (0: the base without LoRA, weight 0.0), prompt by prompt, in each seed by seed.

        Other prompts and seeds than the judged ones may be asked for. None stands for a cell that could not be drawn.

        Raises:
            Stopped: A signal came; finished cells stay.
            RunError: No such epoch is committed.
        """
        wanted = self.block(epoch, weight, prompts=prompts, seeds=seeds)
        self.draw([cell for cell in wanted if cell not in self.failed and cell not in self._seen])
        return [None if cell in self.failed else Shown(read_png(self.cells.path(cell)), cell.prompt, cell.seed) for cell in wanted]

    def block(self, epoch: int, weight: float, *, prompts: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[Cell]:
        """Return the cells of an epoch and a weight, prompt by prompt, in each seed by seed."""
        based = not epoch or not weight
        at = (0, 0.0) if based else (epoch, float(weight))
        return [Cell(*at, prompt, seed) for prompt in prompts or self.prompts for seed in seeds or self.seeds]

    def judged(self, *, epochs: Sequence[int] = (), seeds: Sequence[int] = ()) -> list[Cell]:
        """Return every judged cell, the base's first, then epoch by epoch, in each weight by weight."""
        blocks = [(0, 0.0), *((epoch, weight) for epoch in epochs or self.epochs for weight in self.weights)]
        return [cell for block in blocks for cell in self.block(*block, seeds=seeds)]

    def draw(self, wanted: Sequence[Cell], *, phase: str = "judged") -> Drawn:
        """Draw the cells that are missing; those that cannot be drawn are kept in ``failed``.

        Raises:
            Stopped: A signal came; finished cells stay.
        """
        drawn = self.cells.draw(self.run, wanted, phase=phase)
        self.failed.update(drawn.failed)
        self._seen.update(cell for cell in wanted if cell not in drawn.failed)
        return drawn

    def plain(self) -> dict[str, Any]:
        """Return what ``grid/judged.json`` says: which cells are judged, and where each is."""
        rows = [
            {"epoch": cell.epoch, "weight": cell.weight, "prompt": self.prompts.index(cell.prompt), "seed": self.seeds.index(cell.seed),
             "file": self.cells.path(cell).name, **({"failed": self.failed[cell]} if cell in self.failed else {})}
            for cell in self.judged()
        ]  # fmt: skip
        axes = {name: list(getattr(self, name)) for name in ("epochs", "weights", "prompts", "seeds")}
        return {**axes, "negative": self.cells.negative, "sampling": asdict(self.cells.sampling), "cells": rows}


def covered(image: Image, width: int, height: int) -> Image:
    """Return a picture at another size (px): enlarged or reduced until it covers it, cropped to the middle."""
    from PIL.Image import Resampling

    if image.size == (width, height):
        return image
    scale = max(width / image.width, height / image.height)
    wide, high = max(width, round(image.width * scale)), max(height, round(image.height * scale))
    left, top = (wide - width) // 2, (high - height) // 2
    return image.resize((wide, high), Resampling.LANCZOS).crop((left, top, left + width, top + height))
