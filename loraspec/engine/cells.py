"""Cells: one generated image for an epoch, a weight, a prompt and a seed, kept under the hash of everything it depends on."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import asdict, field, frozen

from loraspec.engine.store import write_bytes
from loraspec.engine.watch import is_out_of_memory
from loraspec.errors import RunError
from loraspec.values import Picture, Sampling

if TYPE_CHECKING:
    from PIL.Image import Image

    from loraspec.contracts import Adapter
    from loraspec.engine.run import Run
    from loraspec.values import Precision

LIBRARIES = ("diffusers", "torch", "transformers", "peft")  # a change of these may change pixels
MOST = 64  # cells at once: a larger batch is no faster
PIXELS = 8 * 2**20  # px at once


@frozen
class Cell:
    """One generated image.

    Attributes:
        epoch: From 1; 0 for the base without LoRA.
        weight: Weight of the adapter; 0.0 for the base.
        prompt, seed: What it is asked for.
    """

    epoch: int
    weight: float
    prompt: str
    seed: int


@frozen
class Surroundings:
    """What every cell of a run depends on besides its place.

    Attributes:
        base: sha256 of the base's parts.
        sampling: Sampler, steps, guidance, size.
        device: Kind of device and dtypes: other kinds round differently.
        versions: Versions of the libraries that compute the pixels.
    """

    base: Mapping[str, str]
    sampling: Sampling
    device: str
    versions: Mapping[str, str]

    @classmethod
    def of(cls, base: Mapping[str, str], sampling: Sampling, precision: Precision) -> Surroundings:
        """Gather them from a run's family, sampling and precision."""
        found = {}
        for name in LIBRARIES:
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                found[name] = ""
        return cls(dict(base), sampling, f"{precision.device.type} {precision.weights} {precision.compute}", found)

    def key(self, picture: Picture, *, epoch_sha256: str, weight: float) -> str:
        """Return the sha256 (hex) that names a cell's file; the base has no epoch file and weight 0."""
        content = {
            "picture": asdict(picture),
            "epoch": epoch_sha256 if weight else "",
            "weight": weight,
            "sampling": asdict(self.sampling),
            "base": self.base,
            "device": self.device,
            "versions": self.versions,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@frozen(eq=False)
class Cells:
    """The cells of a run: where they are, and how those that are missing are drawn.

    Attributes:
        folder: ``grid/cells`` in the run's folder.
        sampling: How cells are generated.
        surroundings: What else decides the pixels.
        negative: Negative prompt of every cell.
        hashes: sha256 of each committed epoch's first file.
        batch_size: Cells that are generated at once.
    """

    folder: Path
    sampling: Sampling
    surroundings: Surroundings
    negative: str
    hashes: Mapping[int, str] = field(repr=False)
    batch_size: int = 8

    @classmethod
    def of(cls, run: Run, *, batch_size: int = 0) -> Cells:
        """Return the cells of a run as they are now; without a ``batch_size`` as many at once as eight megapixels hold, at most 64."""
        plan, table = run.plan.grid, run.plan.spec.grid
        sampling = Sampling(table.sampler, table.steps, table.guidance, plan.width, plan.height)
        surroundings = Surroundings.of(run.family.content(), sampling, run.precision)
        hashes = {int(entry["epoch"]): str(entry["files"][0]["sha256"]) for entry in run.files.index}
        size = batch_size or max(1, min(MOST, PIXELS // (plan.width * plan.height)))
        return cls(run.folder / "grid" / "cells", sampling, surroundings, table.negative, hashes, size)

    def picture(self, cell: Cell) -> Picture:
        """Return what the family is asked for."""
        return Picture(cell.prompt, cell.seed, self.negative)

    def path(self, cell: Cell) -> Path:
        """Return a cell's file, drawn or not.

        Raises:
            RunError: No such epoch is committed.
        """
        if cell.weight and cell.epoch not in self.hashes:
            there = ", ".join(map(str, sorted(self.hashes))) or "none"
            raise RunError(f"epoch {cell.epoch} is not committed, so no cell of it can be drawn; there are: {there}")
        key = self.surroundings.key(self.picture(cell), epoch_sha256=self.hashes[cell.epoch] if cell.weight else "", weight=cell.weight)
        return self.folder / f"{key}.png"

    def whole(self, cell: Cell) -> bool:
        """Whether a cell is there and can be read: one that was damaged is drawn again."""
        try:
            read_png(self.path(cell))
        except OSError:
            return False
        return True

    def draw(self, run: Run, wanted: Iterable[Cell], *, phase: str = "grid") -> Drawn:
        """Draw the cells that are missing: every epoch's file is loaded once, every weight set once, the base comes first.

        The adapter is left with the last epoch that was loaded, at weight 1.0.

        Args:
            run: After training, or between two epochs; the generating parts are on the device.
            wanted: Any cells, in any order.
            phase: What progress is told under.

        Raises:
            Stopped: A signal came; finished cells stay.
        """
        cells = list(dict.fromkeys(wanted))
        missing = [cell for cell in cells if not self.whole(cell)]
        groups: dict[tuple[int, float], list[Cell]] = {}
        for cell in missing:
            groups.setdefault((cell.epoch if cell.weight else 0, cell.weight), []).append(cell)
        failed: dict[Cell, str] = {}
        done, loaded = len(cells) - len(missing), 0
        for (epoch, weight), group in sorted(groups.items()):
            run.check_interrupt()
            if epoch not in (0, loaded):
                run.use_epoch(epoch)
                loaded = epoch
            with weighing(run.adapter, weight):
                for start in range(0, len(group), self.batch_size):
                    run.check_interrupt()
                    batch = group[start : start + self.batch_size]
                    for cell, image in self._generated(run, batch, failed):
                        save_png(self.path(cell), image, self._facts(cell))
                    done += len(batch)
                    run.progress(phase, done, len(cells))
        return Drawn(len(cells), len(missing) - len(failed), failed)

    def _generated(self, run: Run, batch: list[Cell], failed: dict[Cell, str]) -> Iterator[tuple[Cell, Image]]:
        """Yield the images of a batch; when memory runs out, of its halves, and a cell that is too much alone fails by itself."""
        try:
            yield from zip(batch, run.family.generate([self.picture(cell) for cell in batch], sampling=self.sampling), strict=True)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(batch) == 1:
                failed[batch[0]] = "out of memory"
                return
            half = len(batch) // 2
            parts = [batch[:half], batch[half:]]
        else:
            return
        for part in parts:  # outside the handler: the error holds on to what the failed attempt allocated
            yield from self._generated(run, part, failed)

    def _facts(self, cell: Cell) -> dict[str, Any]:
        return {
            **asdict(self.picture(cell)),
            **asdict(self.sampling),
            "epoch": cell.epoch,
            "weight": cell.weight,
            "epoch_file_sha256": self.hashes[cell.epoch] if cell.weight else "",
        }


@frozen
class Drawn:
    """What drawing came to: cells asked for, cells drawn now, and why cells failed."""

    cells: int
    drawn: int
    failed: Mapping[Cell, str]


@contextmanager
def weighing(adapter: Adapter, weight: float) -> Iterator[None]:
    """Hold the adapter at ``weight`` for looking, folded into the base where it can be (``Adapter.folded``), then back at 1."""
    folded = getattr(adapter, "folded", None)
    if folded is not None:
        with folded(weight):
            yield
        return
    adapter.set_weight(weight)
    try:
        yield
    finally:
        adapter.set_weight(1.0)


def save_png(path: Path, image: Image, facts: Mapping[str, Any]) -> None:
    """Write a PNG atomically, with ``facts`` as JSON in its text chunk ``loraspec``."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("loraspec", json.dumps(facts, sort_keys=True))  # ASCII, so that every reader shows it
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=info)
    write_bytes(path, buffer.getvalue())


def read_png(path: Path) -> Image:
    """Return a PNG's pixels in RGB.

    Raises:
        OSError: The file is absent or no whole PNG.
    """
    from PIL import Image as Images

    with Images.open(path, formats=("PNG",)) as image:
        return image.convert("RGB")
