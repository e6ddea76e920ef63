"""How much of a style a LoRA has learned: ``python -m loraspec_picturebook.judge EPOCH_FILE --style lithograph``.

Pictures of held-out scenes are generated without and with the LoRA, from the same prompts and noise, and compared with
the true pictures of the same scenes (``truth.distance``). ``way`` is how much of the distance between "base without
LoRA" and "two different true sets" is gone; the styled probe says whether the subject is still the one of the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from loraspec_picturebook.export import BASE, load_pipeline, with_lora
from loraspec_picturebook.quality import generate
from loraspec_picturebook.sets import style_caption
from loraspec_picturebook.styles import STYLES, Style
from loraspec_picturebook.truth import distance, held_out, true_set, way

if TYPE_CHECKING:
    from argparse import ArgumentParser

    import numpy as np
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]


@frozen(eq=False)
class Verdict:
    """The distances to the true set, and the pictures they were measured on.

    start is the base without LoRA, now with it, floor a second true set of the same words.
    """

    start: float
    now: float
    floor: float
    before: list[Picture]
    after: list[Picture]
    true: list[Picture]

    @property
    def way(self) -> float:
        """How much of the way from start to floor is done, 1 is all of it."""
        return way(self.start, self.now, self.floor)


def judge(
    pipeline: Any,
    weights: Path,
    style: Style,
    *,
    count: int = 48,
    weight: float = 1.0,
    steps: int = 20,
    guidance: float = 4.0,
    seed: int = 0,
) -> Verdict:
    """Generates count held-out scenes without and with the LoRA in the file weights, at the given adapter weight.

    Each seed has scenes and noise of its own: an epoch that was chosen on one is judged without bias on another.
    """
    scenes = held_out(count, seed=seed)
    noise = seed * 1_000_003
    prompts = [style_caption(scene, style) for scene in scenes]
    true = true_set(scenes, style)
    before = generate(pipeline, prompts, steps=steps, guidance=guidance, seed=noise, batch=24)
    with with_lora(pipeline, weights, weight):
        after = generate(pipeline, prompts, steps=steps, guidance=guidance, seed=noise, batch=24)
    return Verdict(
        start=distance(before, true),
        now=distance(after, true),
        floor=distance(true_set(scenes, style, layout=1), true),
        before=before,
        after=after,
        true=true,
    )


def lora_parser(name: str, text: str | None, *, guidance: float, sheet: str) -> ArgumentParser:
    """Return a parser of what every command that looks at a LoRA on this base asks for: file, style, base, guidance, sheet."""
    import argparse

    parser = argparse.ArgumentParser(prog=f"python -m loraspec_picturebook.{name}", description=text)
    parser.add_argument("weights", type=Path, help="an epoch file, published or diffusers key names")
    parser.add_argument("--style", default="lithograph", choices=sorted(STYLES))
    parser.add_argument("--base", type=Path, default=BASE, help="pipeline folder (default: the shipped one)")
    parser.add_argument("--guidance", type=float, default=guidance)
    parser.add_argument("--sheet", type=Path, help=f"write a picture here: {sheet}")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the verdict; 0 when the style is learned (60 % of the way) and the subject stays (75 %), 1 otherwise."""
    import sys

    import torch

    from loraspec_picturebook.card import sheet
    from loraspec_picturebook.probe import load, score

    parser = lora_parser("judge", __doc__, guidance=4.0, sheet="before, after, truth")
    parser.add_argument("--weight", type=float, default=1.0, help="weight of the adapter")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--count", type=int, default=48, help="held-out scenes")
    parser.add_argument("--seed", type=int, default=0, help="which held-out scenes, and their noise (default: 0, the docs' own)")
    parser.add_argument(
        "--cache", type=Path, default=Path("build/picturebook"), help="folder that keeps the probe, trained there once"
    )
    given = parser.parse_args(arguments)
    with torch.inference_mode():
        verdict = judge(
            load_pipeline(given.base),
            given.weights,
            STYLES[given.style],
            count=given.count,
            weight=given.weight,
            steps=given.steps,
            guidance=given.guidance,
            seed=given.seed,
        )
    subject = score(load("styled", given.cache), verdict.after, held_out(given.count, seed=given.seed))["subject"]
    sys.stdout.write(
        f"distance to the true set: base without LoRA {verdict.start:.3f}, with LoRA {verdict.now:.3f}, "
        f"another true set {verdict.floor:.3f}\n"
        f"way done     {verdict.way:.1%}  wanted 60%\n"
        f"subject      {subject:.1%}  wanted 75%\n"
    )
    if given.sheet:
        rows = [part[start : start + 12] for start in (0, 12) for part in (verdict.before, verdict.after, verdict.true)]
        sheet(rows).save(given.sheet)
    return 0 if verdict.way >= 0.6 and subject >= 0.75 else 1


if __name__ == "__main__":
    raise SystemExit(main())
