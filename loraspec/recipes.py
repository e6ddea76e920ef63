"""What a cache entry is made of: a flat table of named parts. Its hash is the entry's name, so an entry can never be stale.

Everything that decides the numbers is a part; what does not (file names, times, folders) is none. Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from importlib import metadata
from typing import TYPE_CHECKING, Any

from attrs import frozen

from loraspec.values import Placement

if TYPE_CHECKING:
    from loraspec.choices import ResolvedStage

MEANING = {"latents": 2, "embeddings": 1}  # raise one when what its entries mean changes

Parts = Mapping[str, str | int]


@frozen(eq=False)
class Recipe:
    """The parts of one entry.

    Attributes:
        common: Parts that it shares with the other entries of a run: weights, versions, device.
        own: Parts of this entry alone.
    """

    common: Parts
    own: Parts

    @property
    def kind(self) -> str:
        """``latents`` or ``embeddings``."""
        return str(self.common["kind"])

    @cached_property
    def parts(self) -> dict[str, str | int]:
        """All parts by name."""
        return {**self.common, **self.own}

    @cached_property
    def key(self) -> str:
        """The entry's name: sha256 (hex) of all parts."""
        return table_sha256(self.parts)

    @cached_property
    def context(self) -> str:
        """The name of what it shares: entries of one context lie in one folder."""
        return table_sha256(self.common)[:16]


def table_sha256(parts: Parts) -> str:
    """Return the sha256 (hex) of a flat table's one JSON text."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")).hexdigest()


def latent_common(*, vae: str, transforms: Iterable[ResolvedStage], device: Mapping[str, Any]) -> dict[str, str | int]:
    """Return the parts that all latents of a run share.

    Args:
        vae: sha256 of the VAE, its dtype included (``ModelFamily.content``).
        transforms: The plan's image transforms.
        device: ``loraspec.engine.device.facts``.
    """
    return {
        "kind": "latents",
        "meaning": MEANING["latents"],
        "vae": vae,
        "dtype": "float32",
        "transforms": "; ".join(_transform(choice) for choice in transforms) or "none",
        **decoders(),
        **computed_by(device),
    }


def latent_recipe(common: Parts, *, image: str, placement: Placement) -> Recipe:
    """Return the recipe of one image's latents; ``image`` is the sha256 of its bytes."""
    own = {
        "image": image,
        "bucket": _pair(placement.width, placement.height),
        "resize": _pair(*placement.resize),
        "crop": f"from {placement.crop[0]}, {placement.crop[1]}",
    }
    return Recipe(common, own)


def embedding_common(*, text_encoders: str, batch: int, dtype: str, device: Mapping[str, Any]) -> dict[str, str | int]:
    """Return the parts that all prompt embeddings of a run share.

    Args:
        text_encoders: sha256 of the text encoders (``ModelFamily.content``).
        batch: Rows that go through the encoders at once: another number of rows rounds differently.
        dtype: dtype of the encoders' weights.
        device: ``loraspec.engine.device.facts``.
    """
    return {
        "kind": "embeddings",
        "meaning": MEANING["embeddings"],
        "text encoders": text_encoders,
        "dtype": dtype,
        "batch": batch,
        "transformers": _version("transformers"),
        **computed_by(device),
    }


def embedding_recipe(common: Parts, tokens: bytes, shape: tuple[int, ...]) -> Recipe:
    """Return the recipe of one prompt's embeddings; ``tokens`` are its int64 ids ``shape`` = [encoders, T] in memory order."""
    return Recipe(common, {"tokens": hashlib.sha256(f"{shape}\n".encode() + tokens).hexdigest()})


def computed_by(device: Mapping[str, Any]) -> dict[str, str | int]:
    """Return the parts that say which kernels computed: another torch, device or number of threads rounds differently."""
    name = str(device["name"])
    kernels = [name, f"threads {device['threads']}"] if device["device"] == "cpu" else [name]
    kernels += [f"{word} {device[word]}" for word in ("cuda", "cudnn") if device["device"] == "cuda" and device.get(word)]
    kernels += [words for field, words in (("allow_tf32", "TF32"), ("deterministic", "deterministic")) if device.get(field)]
    return {"torch": str(device["torch"]), "device": str(device["device"]), "kernels": ", ".join(kernels)}


@cache
def decoders() -> dict[str, str]:
    """Return Pillow's version and those of the libraries that decode for it: a new one may give other pixels."""
    import PIL
    from PIL import features

    turbo, ng = (name if features.check(name) else plain for name, plain in (("libjpeg_turbo", "jpg"), ("zlib_ng", "zlib")))
    libraries = {"libjpeg": turbo, "zlib": ng, "libwebp": "webp", "lcms": "littlecms2"}
    return {"pillow": PIL.__version__, **{name: str(features.version(known) or "none") for name, known in libraries.items()}}


def differing(one: Parts, other: Parts) -> list[str]:
    """Return the names of the parts that two entries do not share, in the order of the first."""
    return [name for name in (*one, *(name for name in other if name not in one)) if one.get(name) != other.get(name)]


def _transform(choice: ResolvedStage) -> str:
    entry = choice.entry
    return " ".join(filter(None, [entry.qualified, entry.version, entry.record_sha256[:16], repr(choice.options)]))


def _pair(width: int, height: int) -> str:
    return f"{width} x {height}"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"
