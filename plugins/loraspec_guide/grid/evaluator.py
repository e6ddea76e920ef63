"""The evaluator ``grid``: renders the missing cells, draws the sheets, writes the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import asdict, evolve, field, frozen

from loraspec import hookimpl
from loraspec.engine.cells import Cell as Asked
from loraspec.engine.cells import Cells, save_png
from loraspec.engine.store import write_json
from loraspec_guide.grid.folder import contact_weight, weight_words
from loraspec_guide.grid.sheets import Column, Row, Sheet, draw_sheet

if TYPE_CHECKING:
    from loraspec.engine.run import Run


@frozen
class Cell:
    """A place in the grid.

    Attributes:
        epoch: From 1; 0 for the base without LoRA.
        weight: Weight of the adapter; 0.0 for the base.
        prompt, seed: Numbers into the grid's prompts and seeds, from 0.
    """

    epoch: int
    weight: float
    prompt: int
    seed: int


@frozen(eq=False)
class Layout:
    """What the grid of a run shows.

    Attributes:
        epochs: Rows, ascending; committed epochs only.
        weights: Columns beside the base.
        prompts, seeds: As planned.
        cells: The run's cells.
        folder: ``grid`` in the run's folder.
    """

    epochs: tuple[int, ...]
    weights: tuple[float, ...]
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    cells: Cells = field(repr=False)
    folder: Path

    @classmethod
    def of(cls, run: Run, *, batch_size: int = 0) -> Layout:
        """Return the layout of a trained run; a run that ended early shows the epochs it has."""
        plan, cells = run.plan.grid, Cells.of(run, batch_size=batch_size)
        return cls(
            epochs=tuple(epoch for epoch in plan.epochs if epoch in cells.hashes) or (max(cells.hashes),),
            weights=plan.weights,
            prompts=plan.prompts,
            seeds=plan.seeds,
            cells=cells,
            folder=run.folder / "grid",
        )

    def asked(self, cell: Cell) -> Asked:
        """Return what a place shows."""
        return Asked(cell.epoch, cell.weight, self.prompts[cell.prompt], self.seeds[cell.seed])

    def path(self, cell: Cell) -> Path:
        """Return the cell's file."""
        return self.cells.path(self.asked(cell))

    def groups(self) -> Iterator[list[Cell]]:
        """Yield the cells that share an epoch and a weight: the base first, then epoch by epoch."""
        for epoch, weight in [(0, 0.0), *((epoch, weight) for epoch in self.epochs for weight in self.weights)]:
            yield [Cell(epoch, weight, p, s) for p in range(len(self.prompts)) for s in range(len(self.seeds))]

    @property
    def how(self) -> str:
        """How cells are made, for people."""
        s = self.cells.sampling
        return f"{s.sampler}, {s.steps} steps, guidance {s.guidance:g}, {s.width} x {s.height} px"

    @property
    def count(self) -> int:
        """Number of cells."""
        return sum(len(group) for group in self.groups())


@frozen(eq=False)
class Grid:
    """The evaluator.

    Attributes:
        batch_size: Cells that are generated at once.
    """

    batch_size: int = 8

    def evaluate(self, run: Run) -> Mapping[str, float]:
        """Render what is missing, write sheets, index and report.

        A cell that is there is never rendered again, so a grid that was interrupted goes on where it was.

        Raises:
            Stopped: A signal came; finished cells stay.
        """
        from loraspec_guide.grid.report import report

        found = _drawn(run, Layout.of(run, batch_size=self.batch_size))
        report(run.folder)
        return found

    def part(
        self, run: Run, folder: Path, *, epochs: Sequence[int] = (), weights: Sequence[float] = (), prompts: Sequence[str] = (),
        seeds: Sequence[int] = (),
    ) -> Mapping[str, float]:  # fmt: skip
        """Draw another grid into a folder: what is not given is as in the run's own; cells are shared with it.

        Raises:
            Stopped: A signal came; finished cells stay.
        """
        whole = Layout.of(run, batch_size=self.batch_size)
        return _drawn(
            run,
            evolve(
                whole,
                epochs=tuple(epochs) or whole.epochs,
                weights=tuple(weights) or whole.weights,
                prompts=tuple(prompts) or whole.prompts,
                seeds=tuple(seeds) or whole.seeds,
                folder=folder,
            ),
        )

    @hookimpl
    def loraspec_after_epoch(self, run: Run, epoch: int) -> None:
        """Draw the grid's prompts for every epoch so far, with ``[grid] every = "epoch"``: cells of the grid, only earlier.

        What fails here is told and costs nothing: the grid is drawn again at the end.

        Raises:
            Stopped: A signal came; the epoch is committed.
        """
        if run.plan.spec.grid.every != "epoch" or not run.plan.grid.prompts or epoch not in run.plan.grid.epochs:
            return
        from loraspec.engine.looking import looking
        from loraspec.errors import Stopped

        try:
            with looking(run):
                _early(run, Layout.of(run, batch_size=self.batch_size))
        except (Stopped, OSError):
            raise
        except Exception as error:
            run.say(f"epoch {epoch} could not be drawn yet ({type(error).__name__}: {error}); training goes on", severity="warning")

    @hookimpl
    def loraspec_after_ranking(self, run: Run, ranking: Any) -> None:
        """Frame the recommended cell, add what the ranking shows, and write the report again, with the verdict."""
        if ranking is not None and (run.folder / "grid" / "index.json").is_file():
            from loraspec_guide.grid.ranked import after_ranking
            from loraspec_guide.grid.report import report

            layout = Layout.of(run, batch_size=self.batch_size)
            _sheets(layout, best=(ranking.epoch, ranking.weight))
            after_ranking(run.gallery, ranking, layout.folder)
            report(run.folder)


def _early(run: Run, layout: Layout) -> None:
    """Draw the first seed of every prompt at the weight nearest to 1, and the sheet of the epochs so far."""
    first = evolve(layout, seeds=layout.seeds[:1])
    weight = contact_weight(layout.weights)
    places = [(0, 0.0), *((epoch, weight) for epoch in layout.epochs if weight)]
    cells = [Cell(epoch, at, prompt, 0) for epoch, at in places for prompt in range(len(layout.prompts))]
    layout.cells.draw(run, map(first.asked, cells), phase="sample")
    _contact(first, name="progress.png")


def _drawn(run: Run, layout: Layout) -> dict[str, float]:
    """Draw what is missing, sheets and index; return how many cells there are, were drawn, and failed."""
    every = [cell for group in layout.groups() for cell in group] if layout.prompts else []
    drawn = layout.cells.draw(run, map(layout.asked, every))
    failed = {cell: drawn.failed[layout.asked(cell)] for cell in every if layout.asked(cell) in drawn.failed}
    sheets = _sheets(layout)
    if layout.prompts:
        _contact(layout)
    write_json(layout.folder / "index.json", _index(layout, sheets, failed))
    if failed:
        why = ", ".join(sorted(set(failed.values())))
        run.say(f"{len(failed)} of {layout.count} cells could not be drawn ({why}); every epoch's file is whole", severity="warning")
    return {"cells": float(layout.count), "rendered": float(drawn.drawn), **({"failed": float(len(failed))} if failed else {})}


def _sheets(layout: Layout, *, best: tuple[int, float] = (0, 0.0)) -> list[dict[str, Any]]:
    """Draw a sheet for each prompt and seed; return what the index says of them.

    ``best`` (epoch, weight) is framed where it is shown.
    """
    made = []
    epoch, weight = best
    shown = epoch in layout.epochs and weight in layout.weights
    frame = (layout.epochs.index(epoch), 1 + layout.weights.index(weight)) if shown else None
    columns = [Column("no LoRA", 0.0), *(Column(f"weight {weight_words(weight)}", weight) for weight in layout.weights)]
    for p, prompt in enumerate(layout.prompts):
        for number, seed in enumerate(layout.seeds):
            rows = [
                Row(f"epoch {epoch}", tuple(layout.path(Cell(epoch if c.weight else 0, c.weight, p, number)) for c in columns))
                for epoch in layout.epochs
            ]
            name = f"sheets/prompt-{p + 1}-seed-{seed}.png"
            sheet = Sheet(prompt, f"seed {seed} · {layout.how}", tuple(c.label for c in columns), tuple(rows), frame)
            save_png(layout.folder / name, draw_sheet(sheet), {"prompt": prompt, "seed": seed, **asdict(layout.cells.sampling)})
            made.append({"prompt": p, "seed": number, "file": name})
    return made


def _contact(layout: Layout, *, name: str = "contact.png") -> None:
    """Draw all prompts and seeds against the epochs, at the weight nearest to 1: where a style appears, at a glance."""
    weight = contact_weight(layout.weights)
    rows = []
    for p in range(len(layout.prompts)):
        for number, seed in enumerate(layout.seeds):
            cells = [Cell(0, 0.0, p, number), *(Cell(epoch, weight, p, number) for epoch in layout.epochs if weight)]
            rows.append(Row(f"prompt {p + 1}\nseed {seed}", tuple(layout.path(cell) for cell in cells)))
    labels = ("no LoRA", *(f"epoch {epoch}" for epoch in layout.epochs if weight))
    legend = "; ".join(f"{p + 1}: {prompt}" for p, prompt in enumerate(layout.prompts))
    sheet = Sheet(f"Epochs at weight {weight_words(weight)}", f"{legend} · {layout.how}", labels, tuple(rows))
    save_png(layout.folder / name, draw_sheet(sheet, largest=160), {"prompts": list(layout.prompts), "weight": weight})


def _index(layout: Layout, sheets: list[dict[str, Any]], failed: Mapping[Cell, str]) -> dict[str, Any]:
    every = [cell for group in layout.groups() for cell in group]
    cells = [{**asdict(cell), "file": layout.path(cell).name, **({"failed": failed[cell]} if cell in failed else {})} for cell in every]
    return {
        "epochs": list(layout.epochs),
        "weights": list(layout.weights),
        "prompts": list(layout.prompts),
        "seeds": list(layout.seeds),
        "negative": layout.cells.negative,
        "sampling": asdict(layout.cells.sampling),
        "cells": cells if layout.prompts else [],
        "sheets": sheets,
        "contact": "contact.png" if layout.prompts else "",
    }
