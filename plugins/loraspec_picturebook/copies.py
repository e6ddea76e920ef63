"""Whether a LoRA copies its training pictures: ``python -m loraspec_picturebook.copies EPOCH_FILE --images 4``.

Pictures are generated from the training captions. Each is compared with the training picture of its caption and with true
pictures of the same words in other layouts, which no training saw: by the root of the mean squared difference of pixels, after
mean and contrast of each picture are taken away, for guidance raises contrast. A LoRA that learned a style is no nearer to the
one than to the others; a picture counts as copied when its training picture is nearer than 0.8 of the distance to the nearest
of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from loraspec_picturebook.export import load_pipeline, with_lora
from loraspec_picturebook.judge import lora_parser
from loraspec_picturebook.quality import generate
from loraspec_picturebook.sets import set_picture, set_scenes, style_caption
from loraspec_picturebook.styles import STYLES, Style
from loraspec_picturebook.truth import same_words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]

OTHERS = 8
"""Layouts that each training picture is compared with."""
NEARER = 0.8


@frozen(eq=False)
class Copies:
    """Distances of generated pictures, 0 to 2: to their training picture, and to the nearest other picture of the same words."""

    own: tuple[float, ...]
    other: tuple[float, ...]
    generated: list[Picture]
    trained: list[Picture]

    @property
    def rate(self) -> float:
        """Share of generated pictures that are copies."""
        return sum(own < NEARER * other for own, other in zip(self.own, self.other, strict=True)) / len(self.own)


def apart(one: Picture, two: Picture) -> float:
    """Root of the mean squared difference of two equally large pictures of mean 0 and deviation 1: 0 to 2, 1.4 for unrelated ones."""
    import numpy as np

    def plain(picture: Picture) -> NDArray[np.float64]:
        centred = picture.astype(np.float64) - picture.mean()
        return centred / max(float(centred.std()), 1e-9)

    return float(np.sqrt(np.square(plain(one) - plain(two)).mean()))


def copies(
    pipeline: Any, weights: Path | None, style: Style, *, images: int, draws: int = 4, steps: int = 20, guidance: float = 2.5
) -> Copies:
    """Generate each training caption of a style set draws times and compare; without weights, what the base gives."""
    scenes = [scene for scene in set_scenes(images) for _ in range(draws)]
    with with_lora(pipeline, weights):
        made = generate(pipeline, [style_caption(scene, style) for scene in scenes], steps=steps, guidance=guidance, seed=77, batch=24)
    trained = [set_picture(scene, style) for scene in scenes]
    others = [[set_picture(same_words(scene, layout), style) for layout in range(1, OTHERS + 1)] for scene in scenes]
    return Copies(
        own=tuple(apart(picture, own) for picture, own in zip(made, trained, strict=True)),
        other=tuple(min(apart(picture, one) for one in group) for picture, group in zip(made, others, strict=True)),
        generated=made,
        trained=trained,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints distances and the share of copies; 0."""
    import sys

    import torch

    from loraspec_picturebook.card import sheet

    parser = lora_parser("copies", __doc__, guidance=2.5, sheet="generated above, trained below")
    parser.add_argument("--images", type=int, required=True, help="training pictures of the run: the first so many of the style set")
    parser.add_argument("--draws", type=int, default=4, help="pictures for each caption")
    given = parser.parse_args(arguments)
    with torch.inference_mode():
        pipeline = load_pipeline(given.base)
        style = STYLES[given.style]
        without = copies(pipeline, None, style, images=given.images, draws=given.draws, guidance=given.guidance)
        found = copies(pipeline, given.weights, style, images=given.images, draws=given.draws, guidance=given.guidance)
    for name, one in (("base without LoRA", without), ("with LoRA", found)):
        own, other = sum(one.own) / len(one.own), sum(one.other) / len(one.other)
        sys.stdout.write(f"{name:18s} to its training picture {own:5.2f}, to the nearest other {other:5.2f}, copies {one.rate:.0%}\n")
    if given.sheet:
        rows = [part[start : start + 12] for start in range(0, len(found.own), 12) for part in (found.generated, found.trained)]
        sheet(rows).save(given.sheet)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
