"""The evaluator ``grid``: renders the missing cells, draws the sheets, writes the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import asdict, field, frozen

from loraspec.engine.store import write_json
from loraspec.values import Picture, Sampling
from loraspec_guide.grid.cells import Cell, Surroundings, read_png, save_png
from loraspec_guide.grid.folder import contact_weight, weight_words
from loraspec_guide.grid.sheets import Column, Row, Sheet, draw_sheet

if TYPE_CHECKING:
    from PIL.Image import Image

    from loraspec.engine.run import Run


@frozen(eq=False)
class Layout:
    """What the grid of a run shows.

    Attributes:
        epochs: Rows, ascending; committed epochs only.
        weights: Columns beside the base.
        prompts, seeds: As planned.
        negative: Negative prompt of every cell.
        sampling: How cells are generated.
        hashes: sha256 of each epoch's first file.
        surroundings: What else decides the pixels.
        folder: ``grid`` in the run's folder.
    """

    epochs: tuple[int, ...]
    weights: tuple[float, ...]
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    negative: str
    sampling: Sampling
    hashes: Mapping[int, str] = field(repr=False)
    surroundings: Surroundings = field(repr=False)
    folder: Path

    @classmethod
    def of(cls, run: Run) -> Layout:
        """Return the layout of a trained run; a run that ended early shows the epochs it has."""
        plan, table = run.plan.grid, run.plan.spec.grid
        hashes = {int(entry["epoch"]): str(entry["files"][0]["sha256"]) for entry in run.files.index}
        sampling = Sampling(table.sampler, table.steps, table.guidance, plan.width, plan.height)
        return cls(
            epochs=tuple(epoch for epoch in plan.epochs if epoch in hashes) or (max(hashes),),
            weights=plan.weights,
            prompts=plan.prompts,
            seeds=plan.seeds,
            negative=table.negative,
            sampling=sampling,
            hashes=hashes,
            surroundings=Surroundings.of(run.family.content(), sampling, run.precision),
            folder=run.folder / "grid",
        )

    def picture(self, cell: Cell) -> Picture:
        """Return what the family is asked for."""
        return Picture(self.prompts[cell.prompt], self.seeds[cell.seed], self.negative)

    def path(self, cell: Cell) -> Path:
        """Return the cell's file."""
        key = self.surroundings.key(self.picture(cell), epoch_sha256=self.hashes.get(cell.epoch, ""), weight=cell.weight)
        return self.folder / "cells" / f"{key}.png"

    def groups(self) -> Iterator[list[Cell]]:
        """Yield the cells that share an epoch and a weight: the base first, then epoch by epoch, so that files are loaded once."""
        for epoch, weight in [(0, 0.0), *((epoch, weight) for epoch in self.epochs for weight in self.weights)]:
            yield [Cell(epoch, weight, p, s) for p in range(len(self.prompts)) for s in range(len(self.seeds))]

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

        layout = Layout.of(run)
        failed: dict[Cell, str] = {}
        rendered = self._render(run, layout, failed) if layout.prompts else 0
        sheets = _sheets(layout)
        write_json(layout.folder / "index.json", _index(layout, sheets, failed))
        if failed:
            why = ", ".join(sorted(set(failed.values())))
            run.say(f"{len(failed)} of {layout.count} cells could not be drawn ({why}); every epoch's file is whole", severity="warning")
        report(run.folder)
        return {"cells": float(layout.count), "rendered": float(rendered), **({"failed": float(len(failed))} if failed else {})}

    def _render(self, run: Run, layout: Layout, failed: dict[Cell, str]) -> int:
        """Draw the cells that are missing; those that memory does not suffice for, even alone, go to ``failed``."""
        done = rendered = 0
        loaded = 0
        try:
            for group in layout.groups():
                missing = [cell for cell in group if not _whole(layout.path(cell))]
                done += len(group) - len(missing)
                if missing and missing[0].epoch not in (0, loaded):
                    loaded = missing[0].epoch
                    run.use_epoch(loaded)
                if missing:
                    run.adapter.set_weight(missing[0].weight)
                for start in range(0, len(missing), self.batch_size):
                    run.check_interrupt()
                    batch = missing[start : start + self.batch_size]
                    for cell, image in _generated(run, layout, batch, failed):
                        save_png(layout.path(cell), image, _facts(layout, cell))
                        rendered += 1
                    done += len(batch)
                    run.progress("grid", done, layout.count)
        finally:
            run.adapter.set_weight(1.0)
        return rendered


def _generated(run: Run, layout: Layout, batch: list[Cell], failed: dict[Cell, str]) -> Iterator[tuple[Cell, Image]]:
    """Yield the images of a batch; when memory runs out, of each cell alone, and a cell that is too much alone fails by itself."""
    from loraspec.engine.watch import is_out_of_memory

    try:
        yield from zip(batch, run.family.generate([layout.picture(cell) for cell in batch], sampling=layout.sampling), strict=True)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if len(batch) == 1:
            failed[batch[0]] = "out of memory"
            return
        parts = [[cell] for cell in batch]
    else:
        return
    for part in parts:  # outside the handler: the error holds on to what the failed attempt allocated
        yield from _generated(run, layout, part, failed)


def _whole(path: Path) -> bool:
    """Whether a cell is there and can be read: one that was damaged is rendered again."""
    try:
        read_png(path)
    except OSError:
        return False
    return True


def _facts(layout: Layout, cell: Cell) -> dict[str, Any]:
    return {
        **asdict(layout.picture(cell)),
        **asdict(layout.sampling),
        "epoch": cell.epoch,
        "weight": cell.weight,
        "epoch_file_sha256": layout.hashes.get(cell.epoch, ""),
    }


def _sheets(layout: Layout) -> list[dict[str, Any]]:
    """Draw a sheet for each prompt and seed, and the contact sheet; return what the index says of them."""
    made = []
    s = layout.sampling
    how = f"{s.sampler}, {s.steps} steps, guidance {s.guidance:g}, {s.width} x {s.height} px"
    columns = [Column("no LoRA", 0.0), *(Column(f"weight {weight_words(weight)}", weight) for weight in layout.weights)]
    for p, prompt in enumerate(layout.prompts):
        for number, seed in enumerate(layout.seeds):
            rows = [
                Row(f"epoch {epoch}", tuple(layout.path(Cell(epoch if c.weight else 0, c.weight, p, number)) for c in columns))
                for epoch in layout.epochs
            ]
            name = f"sheets/prompt-{p + 1}-seed-{seed}.png"
            sheet = Sheet(prompt, f"seed {seed} · {how}", tuple(c.label for c in columns), tuple(rows))
            save_png(layout.folder / name, draw_sheet(sheet), {"prompt": prompt, "seed": seed, **asdict(s)})
            made.append({"prompt": p, "seed": number, "file": name})
    if layout.prompts:
        _contact(layout, how)
    return made


def _contact(layout: Layout, how: str) -> None:
    """Draw all prompts and seeds against the epochs, at the weight nearest to 1: where a style appears, at a glance."""
    weight = contact_weight(layout.weights)
    rows = []
    for p in range(len(layout.prompts)):
        for number, seed in enumerate(layout.seeds):
            cells = [Cell(0, 0.0, p, number), *(Cell(epoch, weight, p, number) for epoch in layout.epochs if weight)]
            rows.append(Row(f"prompt {p + 1}\nseed {seed}", tuple(layout.path(cell) for cell in cells)))
    labels = ("no LoRA", *(f"epoch {epoch}" for epoch in layout.epochs if weight))
    legend = "   ".join(f"{p + 1}: {prompt}" for p, prompt in enumerate(layout.prompts))
    sheet = Sheet(f"Epochs at weight {weight_words(weight)}", f"{legend} · {how}", labels, tuple(rows))
    save_png(layout.folder / "contact.png", draw_sheet(sheet, largest=160), {"prompts": list(layout.prompts), "weight": weight})


def _index(layout: Layout, sheets: list[dict[str, Any]], failed: Mapping[Cell, str]) -> dict[str, Any]:
    every = [cell for group in layout.groups() for cell in group]
    cells = [{**asdict(cell), "file": layout.path(cell).name, **({"failed": failed[cell]} if cell in failed else {})} for cell in every]
    return {
        "epochs": list(layout.epochs),
        "weights": list(layout.weights),
        "prompts": list(layout.prompts),
        "seeds": list(layout.seeds),
        "negative": layout.negative,
        "sampling": asdict(layout.sampling),
        "cells": cells if layout.prompts else [],
        "sheets": sheets,
        "contact": "contact.png" if layout.prompts else "",
    }
