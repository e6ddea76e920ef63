"""Latents on disk, keyed by everything that decides them; shared between runs; checked at every read."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import torch
from torch import Tensor

from loraspec.contracts import Placement
from loraspec.engine.store import read_tensors, tensors_sha256, write_tensors
from loraspec.errors import RunError

LAYOUT = 1  # raise when what an entry means changes


def cache_root() -> Path:
    """Return the cache's folder: ``LORASPEC_CACHE``, else ``loraspec`` in the user's cache folder."""
    named = os.environ.get("LORASPEC_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "loraspec"


def latent_key(image_sha256: str, *, placement: Placement, vae: str, transforms: list[str], device: str) -> str:
    """Return the entry's name: sha256 over image bytes, geometry, VAE weights, transforms, device and decoder versions."""
    import PIL

    parts = {
        "layout": LAYOUT,
        "image": image_sha256,
        "bucket": [placement.width, placement.height],
        "resize": list(placement.resize),
        "crop": list(placement.crop),
        "vae": vae,
        "transforms": transforms,
        "device": device,
        "pillow": PIL.__version__,
        "torch": torch.__version__,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class LatentCache:
    """Posterior mean and std of placed images, float32 ``[C, h, w]`` each, one file per entry."""

    def __init__(self, root: Path) -> None:
        self.root = root / "latents"
        self.hits = 0
        self.rebuilt: list[str] = []

    def path(self, key: str) -> Path:
        """Return an entry's file."""
        return self.root / key[:2] / f"{key}.safetensors"

    def get(self, key: str) -> tuple[Tensor, Tensor] | None:
        """Return an entry, or None when it is absent or its bytes are not what was written."""
        path = self.path(key)
        if not path.exists():
            return None
        try:
            tensors, metadata = read_tensors(path)
            whole = metadata.get("sha256") == tensors_sha256(tensors) and {"mean", "std"} <= tensors.keys()
        except RunError:
            whole = False
        if not whole:
            self.rebuilt.append(key)
            return None
        self.hits += 1
        return tensors["mean"], tensors["std"]

    def put(self, key: str, mean: Tensor, std: Tensor) -> None:
        """Write an entry."""
        tensors = {"mean": mean.float().cpu(), "std": std.float().cpu()}
        write_tensors(self.path(key), tensors, {"sha256": tensors_sha256(tensors), "layout": str(LAYOUT)})
