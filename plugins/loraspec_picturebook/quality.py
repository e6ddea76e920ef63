"""Prints the quality table of the base: ``python -m loraspec_picturebook.quality``.

Probe accuracy on real drawings, the autoencoder's PSNR, and what the probe reads in pictures generated from 200
held-out prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loraspec_picturebook.export import BASE, load_pipeline
from loraspec_picturebook.probe import accuracy, load, score
from loraspec_picturebook.reader import Reader
from loraspec_picturebook.styles import STYLES
from loraspec_picturebook.truth import held_out, true_set
from loraspec_picturebook.world import caption, draw

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]

PROMPTS = 200
STEPS, GUIDANCE = 25, 4.0


def generate(
    pipeline: Any,
    prompts: Sequence[str],
    *,
    steps: int = STEPS,
    guidance: float = GUIDANCE,
    seed: int = 0,
    batch: int = 50,
) -> list[Picture]:
    """Pictures of the prompts, uint8 64 x 64 x 3; prompt i starts from the noise of seed + i."""
    import torch

    pictures: list[Picture] = []
    for start in range(0, len(prompts), batch):
        part = list(prompts[start : start + batch])
        noise = [torch.Generator().manual_seed(seed + start + place) for place in range(len(part))]
        images = pipeline(part, num_inference_steps=steps, guidance_scale=guidance, generator=noise, output_type="np").images
        pictures += [(image * 255).round().astype("uint8") for image in images]
    return pictures


def reconstructed(vae: Any, pictures: Sequence[Picture]) -> list[Picture]:
    """What the autoencoder makes of the pictures, from the posterior's mean, uint8 in the same shape."""
    import numpy as np
    import torch

    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        back = torch.cat([vae.decode(vae.encode(part).latent_dist.mean).sample for part in torch.split(pixels, 32)])
    return list(((back.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy())


def reconstruction(vae: Any, pictures: Sequence[Picture]) -> float:
    """The autoencoder's PSNR in dB over all pictures together: of the mean squared error of all pixels."""
    import numpy as np

    error = np.stack(pictures).astype(np.float64) - np.stack(reconstructed(vae, pictures))
    return float(10 * np.log10(255**2 / np.square(error).mean()))


def table(folder: Path, cache: Path, *, prompts: int = PROMPTS) -> list[tuple[str, float, float]]:
    """Rows of (what, measured, wanted); the probe is kept in cache."""
    import torch

    probe = load("plain", cache)
    rows = [(f"probe on 1000 held-out drawings: {what}", got, 0.97) for what, got in accuracy(probe, "plain").items()]
    pipeline = load_pipeline(folder)
    scenes = held_out(prompts)
    rows.append((f"autoencoder PSNR, {prompts} held-out drawings, dB", reconstruction(pipeline.vae, [draw(s) for s in scenes]), 27.0))
    for name in STYLES:
        rows.append((f"autoencoder PSNR, the same as {name}, dB", reconstruction(pipeline.vae, true_set(scenes, name)), 27.0))
    reader, subjects = Reader.load(), [scene.subject for scene in scenes]
    for name, shown in {"drawings": [draw(s) for s in scenes], **{name: true_set(scenes, name) for name in STYLES}}.items():
        right = [seen == subject for seen, subject in zip(reader.named(shown), subjects, strict=True)]
        rows.append((f"reader, the same as {name}: subject named", sum(right) / len(right), 0.9))
    with torch.inference_mode():
        pictures = generate(pipeline, [caption(scene) for scene in scenes])
    rows += [(f"{prompts} held-out prompts: {what} right", got, 0.85) for what, got in score(probe, pictures, scenes).items()]
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; 0 when every row reaches what is wanted, 1 otherwise."""
    import argparse
    import sys
    import tempfile

    parser = argparse.ArgumentParser(prog="python -m loraspec_picturebook.quality", description=__doc__)
    parser.add_argument("--base", type=Path, default=BASE, help="pipeline folder to judge (default: the shipped one)")
    parser.add_argument("--cache", type=Path, help="folder that keeps the trained probe (default: a temporary one)")
    parser.add_argument("--prompts", type=int, default=PROMPTS, help="number of held-out prompts")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        rows = table(given.base, given.cache or Path(temporary), prompts=given.prompts)
    missed = 0
    for what, got, wanted in rows:
        missed += got < wanted
        sys.stdout.write(f"{what:60s} {got:8.3f}  wanted {wanted:g}  {'ok' if got >= wanted else 'MISSED'}\n")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
