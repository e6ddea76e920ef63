"""Cells: one generated image for an epoch, a weight, a prompt and a seed, kept under the hash of everything it depends on."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import asdict, frozen

from loraspec.engine.store import write_bytes
from loraspec.values import Picture, Sampling

if TYPE_CHECKING:
    from PIL.Image import Image

    from loraspec.values import Precision

LIBRARIES = ("diffusers", "torch", "transformers", "peft")  # a change of these may change pixels


@frozen
class Cell:
    """A place in the grid.

    Attributes:
        epoch: From 1; 0 for the base without LoRA.
        weight: Weight of the adapter; 0.0 for the base.
        prompt, seed: Numbers into the grid's prompts and seeds, from 0.
    """

    epoch: int
    weight: float
    prompt: int
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
