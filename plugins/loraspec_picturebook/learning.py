"""Judges a finished run on the embedded base against the truth: ``python -m loraspec_picturebook.learning RUN``.

For held-out scenes the true pictures in the run's style are known. Three sets of pictures from the same prompts and the
same noise are compared with them: the base without LoRA, the run's epoch file, and a second true set (the floor). The
measure is ``truth.distance``; the ``styled`` probe says whether the subject is still what the prompt asked for.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loraspec_picturebook.export import BASE, load_pipeline
from loraspec_picturebook.probe import accuracy, load, score
from loraspec_picturebook.quality import generate
from loraspec_picturebook.sets import style_caption
from loraspec_picturebook.styles import STYLES
from loraspec_picturebook.truth import distance, held_out, true_set, way

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]

SCENES = 100
PROBE_KIND = "styled"


def style_of(run: Path) -> str:
    """The style that a run's data source ``picturebook`` was asked for.

    Raises:
        ValueError: The run had no such source.
    """
    tables = tomllib.loads((run / "resolved.toml").read_text(encoding="utf-8"))
    for source in tables["data"]["sources"]:
        if "style" in source:
            return str(source["style"])
    raise ValueError(f"{run}: its spec has no data source with a style, so there is no truth to compare with")


def epoch_file(run: Path, epoch: int | None) -> Path:
    """The first file of an epoch, the last epoch when none is named."""
    index = json.loads((run / "epochs" / "index.json").read_text(encoding="utf-8"))["epochs"]
    chosen = index[-1] if epoch is None else next(entry for entry in index if entry["epoch"] == epoch)
    return run / "epochs" / str(chosen["files"][0]["path"])


def judge(
    run: Path, cache: Path, *, epoch: int | None = None, weight: float = 1.0, scenes: int = SCENES
) -> tuple[dict[str, Any], dict[str, list[Picture]]]:
    """Numbers and the sets of pictures that they come from.

    Args:
        run: Folder of a finished run.
        cache: Folder that keeps the trained probe.
        epoch: Epoch to judge; the last when None.
        weight: Weight of the LoRA.
        scenes: Number of held-out scenes.
    """
    import torch

    style = style_of(run)
    chosen = held_out(scenes)
    prompts = [style_caption(scene, STYLES[style]) for scene in chosen]
    probe = load(PROBE_KIND, cache)
    pipeline = load_pipeline(BASE)
    with torch.inference_mode():
        before = generate(pipeline, prompts)
    pipeline.load_lora_weights(str(epoch_file(run, epoch)), adapter_name="style")
    pipeline.set_adapters(["style"], [weight])
    with torch.inference_mode():
        after = generate(pipeline, prompts)
    truth, other = true_set(chosen, style), true_set(chosen, style, layout=1)
    start, now, floor = distance(before, truth), distance(after, truth), distance(other, truth)
    numbers = {
        "style": style,
        "file": epoch_file(run, epoch).name,
        "weight": weight,
        "scenes": scenes,
        "distance of the base without LoRA": start,
        "distance with LoRA": now,
        "distance of a second true set": floor,
        "share of the way": way(start, now, floor),
        "subject right with LoRA": score(probe, after, chosen)["subject"],
        "subject right without LoRA": score(probe, before, chosen)["subject"],
        "subject right on the true pictures": score(probe, truth, chosen)["subject"],
        "probe on its own held-out pictures": accuracy(probe, PROBE_KIND)["subject"],
    }
    return numbers, {"base without LoRA": before, f"epoch file at {weight:g}": after, "truth": truth}


def sheet(sets: dict[str, list[Picture]], path: Path, *, columns: int = 12, scale: int = 2) -> None:
    """Write the first pictures of each set as rows of one labelled sheet."""
    from PIL import Image, ImageDraw, ImageFont

    side = 64 * scale
    gap, margin = 4, 150
    font = ImageFont.load_default(15)
    made = Image.new("RGB", (margin + columns * (side + gap), len(sets) * (side + gap) + gap), "white")
    pen = ImageDraw.Draw(made)
    for row, (name, pictures) in enumerate(sets.items()):
        top = gap + row * (side + gap)
        pen.text((8, top + side // 2 - 10), name, fill="black", font=font)
        for column, picture in enumerate(pictures[:columns]):
            made.paste(Image.fromarray(picture).resize((side, side), Image.Resampling.NEAREST), (margin + column * (side + gap), top))
    made.save(path, optimize=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the numbers; 0 when at least 60 % of the way is done and 75 % of the subjects are right, 1 otherwise."""
    import argparse
    import sys
    import tempfile

    parser = argparse.ArgumentParser(prog="python -m loraspec_picturebook.learning", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--epoch", type=int, help="epoch to judge (default: the last)")
    parser.add_argument("--weight", type=float, default=1.0, help="weight of the LoRA")
    parser.add_argument("--scenes", type=int, default=SCENES, help="number of held-out scenes")
    parser.add_argument("--sheet", type=Path, help="write a sheet: without LoRA, with, truth")
    parser.add_argument("--cache", type=Path, help="folder that keeps the trained probe (default: a temporary one)")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        numbers, sets = judge(given.run, given.cache or Path(temporary), epoch=given.epoch, weight=given.weight, scenes=given.scenes)
    for name, value in numbers.items():
        sys.stdout.write(f"{name:40s} {value:.3f}\n" if isinstance(value, float) else f"{name:40s} {value}\n")
    if given.sheet:
        sheet(sets, given.sheet)
    return 0 if numbers["share of the way"] >= 0.6 and numbers["subject right with LoRA"] >= 0.75 else 1


if __name__ == "__main__":
    raise SystemExit(main())
