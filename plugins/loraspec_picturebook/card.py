"""Draws the pictures of the base card: ``python -m loraspec_picturebook.card --target docs/img``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loraspec_picturebook.export import BASE, load_pipeline
from loraspec_picturebook.quality import generate, reconstructed
from loraspec_picturebook.styles import STYLES
from loraspec_picturebook.truth import held_out, true_set
from loraspec_picturebook.world import caption, draw

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    Picture = NDArray[np.uint8]

ZOOM = 2


def sheet(rows: Sequence[Sequence[Picture]], *, zoom: int = ZOOM, gap: int = 2) -> Image:
    """Rows of equally large pictures as one image, each enlarged zoom times, gap px apart."""
    import numpy as np
    from PIL import Image

    side = rows[0][0].shape[0] * zoom + gap
    canvas = np.full((side * len(rows) + gap, side * max(map(len, rows)) + gap, 3), 255, np.uint8)
    for top, row in enumerate(rows):
        for left, picture in enumerate(row):
            large = picture.repeat(zoom, 0).repeat(zoom, 1)
            y, x = top * side + gap, left * side + gap
            canvas[y : y + large.shape[0], x : x + large.shape[1]] = large
    return Image.fromarray(canvas)


def curves(base: Path) -> Image:
    """Both training logs: the autoencoder's squared error and the U-Net's loss against the step, log scale."""
    from PIL import Image, ImageDraw

    wide, high, edge = 420, 240, 34
    canvas = Image.new("RGB", (2 * wide, high), "white")
    brush = ImageDraw.Draw(canvas)
    for panel, (name, key, title) in enumerate(
        (("vae", "mse", "autoencoder: squared error of a batch"), ("unet", "loss", "U-Net: loss, mean of 50 steps"))
    ):
        lines = [json.loads(line) for line in (base / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
        last = max(line["step"] for line in lines)
        _panel(brush, (panel * wide + edge, 24, (panel + 1) * wide - 12, high - 24), lines, key, last)
        brush.text((panel * wide + edge, 6), title, fill="black")
    return canvas


def _panel(brush: Any, box: tuple[int, int, int, int], lines: list[dict[str, float]], key: str, last: float) -> None:
    import math

    left, top, right, bottom = box
    values = [math.log10(line[key]) for line in lines]
    low, high = min(values), max(values)
    points = [
        (left + (right - left) * line["step"] / last, bottom - (bottom - top) * (value - low) / (high - low))
        for line, value in zip(lines, values, strict=True)
    ]
    brush.rectangle(box, outline=(170, 170, 170))
    brush.line(points, fill=(40, 96, 216), width=2)
    brush.text((left, bottom + 4), "0", fill="black")
    brush.text((right - 60, bottom + 4), f"step {last:.0f}", fill="black")
    brush.text((left - 32, top), f"{10**high:.2g}", fill="black")
    brush.text((left - 32, bottom - 10), f"{10**low:.2g}", fill="black")


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes base-curves.png, base-samples.png and base-reconstructions.png."""
    import argparse

    parser = argparse.ArgumentParser(prog="python -m loraspec_picturebook.card", description=__doc__)
    parser.add_argument("--base", type=Path, default=BASE, help="pipeline folder (default: the shipped one)")
    parser.add_argument("--target", type=Path, required=True, help="folder for the pictures")
    given = parser.parse_args(arguments)
    given.target.mkdir(parents=True, exist_ok=True)
    pipeline = load_pipeline(given.base)
    scenes = held_out(36)
    made = generate(pipeline, [caption(scene) for scene in scenes])
    true = [draw(scene) for scene in scenes]
    rows = [part[start : start + 12] for start in (0, 12, 24) for part in (made, true)]
    sheet(rows).save(given.target / "base-samples.png")
    rows = []
    for name in STYLES:
        pictures = true_set(scenes[:12], name)
        rows += [pictures, reconstructed(pipeline.vae, pictures)]
    sheet(rows).save(given.target / "base-reconstructions.png")
    curves(given.base).save(given.target / "base-curves.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
