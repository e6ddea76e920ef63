"""What is true of a cell, known because the style is a program: nothing here is known to a metric, a rule or a user.

S*, the style: 1 less the energy distance of the cell's pictures to 512 true pictures of the judged prompts (64 layouts of each, all unseen)
over that of the base's pictures (``loraspec_picturebook.truth``: random filters, which no metric uses). F*, the subject: the share of
pictures in which a classifier, trained on true pictures, sees the right subject. c*, copying: the share of pictures that lie nearer to a
training picture, in reduced pixels without their mean and contrast, than all but a twentieth of the true pictures of their prompt do; what
chance alone gives is taken off. U* = S* x F* x (1 - c*).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from attrs import frozen

from loraspec_picturebook.experiment.cases import Case, plugin_styles, scenes_of, style_of, training_scenes
from loraspec_picturebook.experiment.train import folder_of
from loraspec_picturebook.probe import load, read
from loraspec_picturebook.sets import set_picture
from loraspec_picturebook.styles import STYLES, Style
from loraspec_picturebook.truth import features, true_set

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Picture = NDArray[np.uint8]

LAYOUTS: Final = 64
TAIL: Final = 5.0  # % of true pictures that lie as near to a training picture by chance
REDUCED: Final = 16  # px


@frozen(eq=False)
class Truth:
    """The truth of a case: ``[E, W]`` each; epochs and weights ascending.

    Attributes:
        style, subject, copies, utility: S*, F*, c* and U*.
        base: S* (0 by definition), F* and c* of the base without LoRA.
    """

    style: Floats
    subject: Floats
    copies: Floats
    base: tuple[float, float, float]

    @property
    def utility(self) -> Floats:
        """U*."""
        found: Floats = self.style * self.subject * (1 - self.copies)
        return found


def truth_of(case: Case, target: Path, root: Path, *, cache: Path) -> Truth:
    """Return the truth of a drawn case.

    Args:
        case: Which.
        target: The experiment's folder.
        root: The project's folder.
        cache: Keeps the classifier, which is trained there once.

    Raises:
        OSError: The case was not drawn yet.
    """
    style, scenes, folder = style_of(case.style, root), scenes_of(case), folder_of(case, target)
    true = [picture for layout in range(LAYOUTS) for picture in true_set(scenes, style, layout=layout)]
    near = Near.of(_trained(case, folder, style), true, len(scenes))
    measure = Distance.of(true)
    probe = load("styled", cache, styles=[*STYLES.values(), *plugin_styles(root)])
    epochs, weights, pictures = drawn(folder)
    subjects = [scene.subject for scene in scenes for _ in range(len(pictures[0, 0.0]) // len(scenes))]

    def right(cell: list[Picture]) -> float:
        return float(np.mean([seen["subject"] == subject for seen, subject in zip(read(probe, cell), subjects, strict=True)]))

    base = pictures[0, 0.0]
    start = measure.to(base)
    rows = [[pictures[epoch, weight] for weight in weights] for epoch in epochs]
    return Truth(
        style=np.array([[np.clip(1 - measure.to(cell) / start, 0, 1) for cell in row] for row in rows]),
        subject=np.array([[right(cell) for cell in row] for row in rows]),
        copies=np.array([[near.share(cell) for cell in row] for row in rows]),
        base=(0.0, right(base), near.share(base)),
    )


def drawn(folder: Path) -> tuple[list[int], list[float], dict[tuple[int, float], list[Picture]]]:
    """Return epochs, weights and the pictures of every cell, prompt by prompt, in each seed by seed; (0, 0.0) is the base.

    The grid's prompts and seeds are the judged ones.

    Raises:
        OSError: They are not there.
    """
    from loraspec.engine.cells import read_png

    index = json.loads((folder / "grid/index.json").read_text(encoding="utf-8"))
    found: dict[tuple[int, float], list[Picture]] = {}
    rows = sorted(index["cells"], key=lambda row: (row["epoch"], row["weight"], row["prompt"], row["seed"]))
    for row in rows:
        found.setdefault((row["epoch"], row["weight"]), []).append(np.asarray(read_png(folder / "grid/cells" / row["file"])))
    return index["epochs"], index["weights"], found


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


# -- measures ------------------------------------------------------------------------------------------------------------


@frozen(eq=False)
class Distance:
    """Energy distance to one set of true pictures, whose own part is computed once."""

    rows: Floats
    within: float

    @classmethod
    def of(cls, true: list[Picture]) -> Distance:
        """Take the set."""
        rows = features(true).astype(np.float64)
        return cls(rows, _within(rows))

    def to(self, pictures: list[Picture]) -> float:
        """0 on average for pictures of the same source."""
        ours = features(pictures).astype(np.float64)
        return float(2 * _apart(ours, self.rows).mean() - _within(ours) - self.within)


@frozen(eq=False)
class Near:
    """How near true pictures of each prompt lie to the training pictures: what is nearer is a copy."""

    trained: Floats
    limits: Floats

    @classmethod
    def of(cls, trained: list[Picture], true: list[Picture], prompts: int) -> Near:
        """Take the limit of each prompt, ``[P]``, from its true pictures, of which every P-th is one."""
        rows = np.stack([shape_of(picture) for picture in trained])
        apart = _apart(np.stack([shape_of(picture) for picture in true]), rows).min(1).reshape(-1, prompts)
        return cls(rows, np.percentile(apart, TAIL, axis=0))

    def share(self, pictures: list[Picture]) -> float:
        """Share of copies, less what chance gives, 0..1; pictures stand prompt by prompt."""
        apart = _apart(np.stack([shape_of(picture) for picture in pictures]), self.trained).min(1)
        limits = np.repeat(self.limits, len(pictures) // len(self.limits))
        chance = TAIL / 100
        return float(((apart < limits).mean() - chance).clip(0) / (1 - chance))


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


def _within(rows: Floats) -> float:
    return float(_apart(rows, rows).sum() / (len(rows) * (len(rows) - 1)))
