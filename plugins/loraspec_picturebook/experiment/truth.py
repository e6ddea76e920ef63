"""What is true of a cell, known because the style is a program: nothing here is known to a metric, a rule or a user.

S*, the style: 1 less the energy distance of the cell's pictures to 512 true pictures of the judged prompts (64 layouts of each, all
unseen) over that of the base's pictures (``loraspec_picturebook.truth``: random filters, which no metric uses). F*, the subject: the
share of pictures in which a classifier of its own (``eye``) sees the right one. c*, copying: how far pictures lie on the way from the
middle between the nearest training picture and the nearest other picture of the same words, on which nobody trained (0), to the
training picture (1), in reduced pixels without their mean and contrast. (A third sample, as Meehan et al. 2020 ask for. What pulls a
picture off that way counts in both distances, so that a blurred copy stays a copy, and a picture that has lost its subject is none. A
limit by the distances of true pictures, as it was before, calls blurred copies none and lost subjects copies, and what is taken off for
chance is that of all prompts together.)

U* = S* x F* x (1 - c*). Epochs are compared at full weight by pictures of other seeds, which no metric saw, and four times as many as
the metrics screened by; resampling them says which epochs the truth itself can tell apart. The cells of the whole grid are compared by
the judged pictures themselves.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import frozen

from loraspec.engine.cells import read_png
from loraspec.sweetspot.axes import Draws
from loraspec_picturebook.experiment.cases import Case, plugin_styles, scenes_of, style_of, training_scenes
from loraspec_picturebook.experiment.eye import load, named
from loraspec_picturebook.experiment.train import MORE, folder_of
from loraspec_picturebook.sets import set_picture
from loraspec_picturebook.styles import STYLES, Style
from loraspec_picturebook.truth import features, same_words, true_set

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Picture = NDArray[np.uint8]

LAYOUTS: Final = 64
CONTROL: Final = 2000  # the first layout of the control sets; no true picture has it
CONTROLS: Final = 19  # other layouts of every training picture's words
REDUCED: Final = 16  # px
DRAWS: Final = 200


@frozen(eq=False)
class Stars:
    """S*, F* and c* of some cells, in arrays of one shape."""

    style: Floats
    subject: Floats
    copies: Floats

    @property
    def utility(self) -> Floats:
        """U*."""
        found: Floats = self.style * self.subject * (1 - self.copies)
        return found


@frozen(eq=False)
class Truth:
    """The truth of a case; epochs and weights ascending.

    Attributes:
        full: ``[E]``: of the epochs at full weight, by pictures that no metric saw.
        grid: ``[E, W]``: of every cell, by the very pictures that were judged.
        drawn: ``[B, E]``: U* of the epochs at full weight for every resampling of prompts and of seeds within them, the same for all
            epochs; row 0 is no resampling.
        halves: ``[2, E]``: U* by every other seed: what the truth thinks of itself.
        pictures: How many there are of each epoch in ``full``.
    """

    full: Stars
    grid: Stars
    drawn: Floats
    halves: Floats
    pictures: int


def truth_of(case: Case, target: Path, style_file: Path, *, cache: Path) -> Truth:
    """Return the truth of a drawn case: of epochs by pictures that no metric saw, of cells by those that were judged.

    A metric's luck with its own pictures must not count as truth where an epoch is chosen, or the choice would seem better than it is. A
    grid is of one set of pictures: two sets, one at full weight and one elsewhere, have two bases to be counted from, and so a step
    between their columns that is no truth.

    Args:
        case: Which.
        target: The experiment's folder.
        style_file: The plugin file of the styles that are not built in.
        cache: Keeps the eye, which is trained there once.

    Raises:
        OSError: The case was not drawn yet, or not for the truth.
    """
    style, scenes, folder = style_of(case.style, style_file), scenes_of(case), folder_of(case, target)
    true = [picture for layout in range(LAYOUTS) for picture in true_set(scenes, style, layout=layout)]
    near = Near.of(_trained(case, folder, style), _controls(case, style))
    measure = Distance.of(true)
    eye = load(cache, [*STYLES.values(), *plugin_styles(style_file)])
    epochs, weights, judged, unseen = drawn(folder)

    def known(cell: list[Picture]) -> Cell:
        subjects = [scene.subject for scene in scenes for _ in range(len(cell) // len(scenes))]
        right = [seen == subject for seen, subject in zip(named(eye, cell), subjects, strict=True)]
        ours = features(cell).astype(np.float64)
        return Cell(_apart(ours, measure.rows).mean(1), _apart(ours, ours), np.array(right, float), near.copies(cell))

    cells = {place: known(pictures) for place, pictures in judged.items()}
    other = {epoch: known(pictures) for epoch, pictures in unseen.items()}
    count = len(unseen[0])
    draws = Draws.make(len(scenes), count // len(scenes), count=DRAWS, seed=case.seed).pictures
    turn = np.tile(np.arange(count // len(scenes)) % 2, len(scenes))
    full = [other[epoch] for epoch in epochs]
    grid = _stars([cells[epoch, weight] for epoch in epochs for weight in weights], cells[0, 0.0], measure)
    shape = (len(epochs), len(weights))
    return Truth(
        full=_stars(full, other[0], measure),
        grid=Stars(grid.style.reshape(shape), grid.subject.reshape(shape), grid.copies.reshape(shape)),
        drawn=np.array([_stars(full, other[0], measure, draw).utility for draw in draws]),
        halves=np.array([_stars(full, other[0], measure, 1.0 * (turn == half)).utility for half in (0, 1)]),
        pictures=count,
    )


def drawn(folder: Path) -> tuple[list[int], list[float], dict[tuple[int, float], list[Picture]], dict[int, list[Picture]]]:
    """Return epochs, weights, the judged pictures of every cell, (0, 0.0) the base, and by epoch those of the truth alone, 0 the base.

    Pictures are prompt by prompt, in each seed by seed.

    Raises:
        OSError: The grid is not there, or what is drawn for the truth is not.
    """
    judged, other = (json.loads((folder / part / "index.json").read_text(encoding="utf-8")) for part in ("grid", MORE))
    if other["prompts"] != judged["prompts"]:
        raise ValueError(f"{folder}: the truth's pictures are of other prompts than the judged ones")

    def pictures(index: Any) -> dict[tuple[int, float], list[Picture]]:
        rows = [(row["epoch"], row["weight"], row["prompt"], row["seed"], row["file"]) for row in index["cells"]]
        found: dict[tuple[int, float], list[Picture]] = {}
        for epoch, weight, *_, file in sorted(rows):
            found.setdefault((epoch, weight), []).append(np.asarray(read_png(folder / "grid/cells" / file)))
        return found

    return judged["epochs"], judged["weights"], pictures(judged), {epoch: cell for (epoch, _), cell in pictures(other).items()}


def _trained(case: Case, folder: Path, style: Style) -> list[Picture]:
    """Return the training pictures, after a look at what the run says it trained on.

    Raises:
        ValueError: The run trained on others.
    """
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    scenes = training_scenes(case)
    if (told := {row["key"] for row in rows if not row.get("heldout")}) != set(scenes):
        raise ValueError(f"{folder}: trained on {sorted(told)}; {sorted(scenes)} were expected")
    return [set_picture(scene, style) for scene in scenes.values()]


def _controls(case: Case, style: Style) -> list[list[Picture]]:
    """Return sets of pictures that nobody trained on, with the words of the training pictures."""
    scenes = training_scenes(case).values()
    return [[set_picture(same_words(scene, CONTROL + number), style) for scene in scenes] for number in range(CONTROLS)]


# -- measures ------------------------------------------------------------------------------------------------------------


@frozen(eq=False)
class Distance:
    """One set of true pictures, ``[n, D]``, and the part of the energy distance that is its own."""

    rows: Floats
    within: float

    @classmethod
    def of(cls, true: list[Picture]) -> Distance:
        """Take the set."""
        rows = features(true).astype(np.float64)
        return cls(rows, float(_apart(rows, rows).sum() / (len(rows) * (len(rows) - 1))))


@frozen(eq=False)
class Cell:
    """A cell's n pictures: how far each is from the true ones on average, and from each other; which are right, and how much each
    copies."""

    away: Floats
    apart: Floats
    right: Floats
    copied: Floats

    def distance(self, true: Distance, weights: Floats | None = None) -> float:
        """Energy distance, 0 on average for pictures of the same source; with ``weights`` ``[n]`` each picture counts so often.

        A picture that counts twice is no pair with itself.
        """
        each = np.ones(len(self.away)) if weights is None else weights
        pairs = np.outer(each, each)
        np.fill_diagonal(pairs, 0)
        return float(2 * (each @ self.away) / each.sum() - (pairs * self.apart).sum() / pairs.sum() - true.within)


@frozen(eq=False)
class Near:
    """What a picture may lie near to.

    Attributes:
        trained: Shapes of the training pictures, ``[T, D]``.
        others: Of other pictures of their words, ``[M, D]``.
    """

    trained: Floats
    others: Floats

    @classmethod
    def of(cls, trained: list[Picture], controls: list[list[Picture]]) -> Near:
        """Take the training pictures, and sets of others."""
        return cls(_shapes(trained), np.concatenate([_shapes(pictures) for pictures in controls]))

    def copies(self, pictures: list[Picture]) -> Floats:
        """How far each lies on the way from the middle between its nearest other picture and its nearest training picture to the latter.

        ``[n]`` in 0..1. Of a training picture that is drawn with its contrast weakened by noise, the share that is left of it.
        """
        shapes = _shapes(pictures)
        own, other = _apart(shapes, self.trained), _apart(shapes, self.others)
        step = ((self.trained[own.argmin(1)] - self.others[other.argmin(1)]) ** 2).sum(1)
        found: Floats = ((other.min(1) ** 2 - own.min(1) ** 2) / np.maximum(step, 1e-12)).clip(0, 1)
        return found


def _stars(cells: list[Cell], base: Cell, true: Distance, weights: Floats | None = None) -> Stars:
    """S*, F* and c* of cells, ``[n]``, counted from the base's pictures of the same prompts and seeds.

    With ``weights`` every cell's pictures, and the base's, count so often.
    """
    start = base.distance(true, weights)
    each = np.ones(len(base.away)) if weights is None else weights
    share = each / each.sum()
    return Stars(
        np.array([_style(cell.distance(true, weights), start) for cell in cells]),
        np.array([share @ cell.right for cell in cells]),
        np.array([share @ cell.copied for cell in cells]),
    )


def _style(distance: float, start: float) -> float:
    return min(max(1 - distance / start, 0.0), 1.0)


def _shapes(pictures: list[Picture]) -> Floats:
    return np.stack([shape_of(picture) for picture in pictures])


def shape_of(picture: Picture) -> Floats:
    """A picture at 16 px without its mean and contrast, channel by channel, of unit length: guidance changes contrast, not composition."""
    from PIL import Image

    small = np.asarray(Image.fromarray(picture).resize((REDUCED, REDUCED), Image.Resampling.BOX), np.float64).reshape(-1, 3)
    centred = small - small.mean(0)
    scaled = (centred / np.maximum(centred.std(0), 4.0)).ravel()  # a channel that hardly moves is no evidence
    unit: Floats = scaled / max(float(np.linalg.norm(scaled)), 1e-9)
    return unit


def _apart(left: Floats, right: Floats) -> Floats:
    squared = (left**2).sum(1)[:, None] + (right**2).sum(1)[None] - 2 * left @ right.T
    found: Floats = np.sqrt(squared.clip(0))
    return found
