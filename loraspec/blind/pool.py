"""The pictures that can be compared: those of several epochs at full weight, each prompt and seed drawn from the same noise."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from loraspec.errors import RunError, SpecError
from loraspec.finished import LARGEST, Finished, listed
from loraspec.picking import MANY, candidates
from loraspec.textfile import read_plain

INDEXES = ("grid/judged.json", "grid/index.json")  # what metrics looked at; else what the grid shows
CELLS = "grid/cells"
MOST = 200_000  # cells that an index may list
_CELL = re.compile(r"[0-9a-f]{64}\.png")
Place = tuple[int, str, int]  # epoch, prompt, seed


@frozen(eq=False)
class Pool:
    """Pictures to compare.

    Attributes:
        epochs: At least two, ascending.
        weight: That of all pictures: 1.0, or the nearest that was drawn.
        scenes: Prompt and seed of pictures that are drawn from the same noise.
        files: Where each picture is; not every epoch has every scene.
    """

    epochs: tuple[int, ...]
    weight: float
    scenes: tuple[tuple[str, int], ...]
    files: dict[Place, Path]


@frozen(eq=False)
class Drawn:
    """Every picture that an index lists and that is there: by weight, then by epoch, prompt and seed."""

    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    files: dict[float, dict[Place, Path]]

    def nearest(self, weight: float, epoch: int) -> float | None:
        """Return the drawn weight of an epoch that lies nearest to ``weight``; None when the epoch has no picture."""
        there = [one for one, files in self.files.items() if any(place[0] == epoch for place in files)]
        return min(there, key=lambda one: (abs(one - weight), one), default=None)


def drawn(folder: Path) -> Drawn:
    """Read which pictures a run has; the base without LoRA is epoch 0 at weight 0.0. What is odd is left out."""
    for name in INDEXES:
        try:
            found = _drawn(folder, json.loads(read_plain(folder / name, LARGEST)))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
        if found.files:
            return found
    return Drawn((), (), {})


def pool_of(run: Finished, epochs: Sequence[int] = ()) -> Pool:
    """Return what is compared.

    Args:
        run: The run.
        epochs: None named: the tie set of the ranking, or its best where that is one epoch (see ``candidates``); without a ranking all
            that were drawn, or ``MANY`` spread over them.

    Raises:
        RunError: There are no pictures of two epochs.
        SpecError: An epoch that was named has no pictures, or only one was named.
    """
    found = drawn(run.folder)
    there = sorted({place[0] for files in found.files.values() for place in files} - {0})
    if len(there) < 2:
        hint = f"loraspec resume {run.folder} draws what the spec asks for"
        raise RunError(f"{run.folder}: has pictures of {len(there)} epochs; two are needed\n    hint: {hint}").coded("E-RUN-UNJUDGED")
    wanted = sorted(set(epochs)) or [one.epoch for one in candidates(run) if one.epoch in there]
    if not epochs and len(wanted) < 2:
        wanted = there if len(there) <= MANY else [there[round(i * (len(there) - 1) / (MANY - 1))] for i in range(MANY)]
    if absent := [epoch for epoch in wanted if epoch not in there]:
        raise SpecError(f"{run.folder}: there are no pictures of epoch {listed(tuple(absent))}; there are of {listed(tuple(there))}")
    if len(wanted) < 2:
        raise SpecError(f"--epochs names epoch {wanted[0]} alone; two are needed")
    weight = min(found.files, key=lambda one: (abs(one - 1), one))
    files = {place: path for place, path in found.files[weight].items() if place[0] in wanted}
    scenes = tuple((prompt, seed) for prompt in found.prompts for seed in found.seeds)
    return Pool(tuple(wanted), weight, scenes, files)


def _drawn(folder: Path, raw: Any) -> Drawn:
    prompts = tuple(str(one) for one in raw["prompts"])
    seeds = tuple(one for one in raw["seeds"] if type(one) is int)
    cells, root = folder / CELLS, (folder / CELLS).resolve()
    files: dict[float, dict[Place, Path]] = {}
    if not root.is_relative_to(folder.resolve()):
        return Drawn(prompts, seeds, {})
    for row in raw["cells"][:MOST]:
        epoch, weight, prompt, seed, name = (row[key] for key in ("epoch", "weight", "prompt", "seed", "file"))
        if not all(type(one) is int and one >= 0 for one in (epoch, prompt, seed)) or prompt >= len(prompts) or seed >= len(seeds):
            continue
        if not isinstance(weight, int | float) or "failed" in row or not isinstance(name, str) or not _CELL.fullmatch(name):
            continue
        path = cells / name
        if path.is_file() and not path.is_symlink():
            files.setdefault(float(weight), {})[epoch, prompts[prompt], seeds[seed]] = path
    return Drawn(prompts, seeds, files)
