"""The spec and the pictures that the cases spoil."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from loraspec.randomness import generator

SPEC = """\
loraspec = 1
# top

[run]
name = "case"

[model]
use = "tiny:tiny"

[data]
repeats = 1
resolution = 32
buckets = { step = 8, min = 16, max = 64 }
expect = { images = [0, 1000] }

[[data.sources]]
use = "folder"
path = "images"
rights = "own"

[captions]
style_tag = "by Tiny"

[optimizer]
use = "dadapt-adamw"

[adapter]
rank = 2
alpha = 2.0

[train]
epochs = 1
batch_size = 1
mixed_precision = "no"
device = "cpu"

[grid]
prompts = ["square, by Tiny"]
weights = [1.0]
sampler = "ddim"
steps = 2
guidance = 1.0

[[evaluators]]
use = "grid"
"""
CAPTION = "a square, ink, by Tiny"


def spec_text(*changes: str) -> str:
    """The spec with (old, new) pairs of texts replaced; each old one must be there."""
    text = SPEC
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert old in text, f"{old!r} is not in the spec"
        text = text.replace(old, new)
    return text


def write_spec(folder: Path, *changes: str) -> Path:
    """Write ``spec.toml``; see ``spec_text``."""
    path = folder / "spec.toml"
    path.write_text(spec_text(*changes), encoding="utf-8", newline="")
    return path


def noise(width: int = 32, height: int = 32, *, seed: int = 0) -> Image.Image:
    """A picture that nothing compresses away; another for each seed."""
    return Image.fromarray(generator(seed, "corpus", width, height).integers(0, 256, (height, width, 3), dtype=np.uint8))


def write_images(folder: Path, count: int = 2) -> Path:
    """Write ``images/good-N.png`` with captions, and return the folder of images."""
    images = folder / "images"
    images.mkdir(mode=0o755, exist_ok=True)
    for number in range(count):
        noise(seed=number).save(images / f"good-{number}.png")
        (images / f"good-{number}.txt").write_text(CAPTION, encoding="utf-8")
    return images


def write_good(folder: Path) -> Path:
    """Write the spec and its images, and return the folder of images."""
    write_spec(folder)
    return write_images(folder)
