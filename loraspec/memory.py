"""How much memory of the device a run will need, before it is begun: by part, by phase, and what would make it less."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from loraspec.errors import LoraspecError

if TYPE_CHECKING:
    from loraspec.plan import Plan

FLOAT = 4  # bytes
OPTIMIZER = 12  # bytes for each trained number: three values, as D-Adaptation keeps; AdamW keeps two
UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


@frozen
class MemoryAsked:
    """What a forecast of the device's memory depends on besides the base.

    Attributes:
        width, height, batch: Of the largest batch; px.
        rank: Of the adapter; 0 for one without.
        half: Whether the forward pass computes in half precision.
        half_weights: Whether the base is kept in it.
    """

    width: int
    height: int
    batch: int
    rank: int
    half: bool
    half_weights: bool


@frozen
class MemoryParts:
    """Bytes that a base takes on the device.

    Attributes:
        weights: The denoiser's.
        activations, checkpointed: What a forward pass keeps for the backward pass, without and with gradient checkpointing.
        text_encoders: Their weights, while prompts are encoded.
        vae: Its weights and what it works with, while one image is encoded.
    """

    weights: int
    activations: int
    checkpointed: int
    text_encoders: int
    vae: int


@frozen
class DeviceMemory:
    """Bytes on the device; what the driver takes for itself (0.3 to 0.8 GB with CUDA) is not among them.

    Attributes:
        weights: The denoiser's.
        adapter, gradients, optimizer: Of what is trained: float32.
        activations: Kept of the forward pass, as the spec has it.
        without_checkpointing, with_checkpointing: The same either way.
        text: While prompts are encoded: the text encoders.
        vae: While images are encoded: the VAE and what it works with.
    """

    weights: int
    adapter: int
    gradients: int
    optimizer: int
    activations: int
    without_checkpointing: int
    with_checkpointing: int
    text: int
    vae: int

    @property
    def training(self) -> int:
        """While it trains."""
        return self.weights + self.adapter + self.gradients + self.optimizer + self.activations

    @property
    def peak(self) -> int:
        """The most of the phases up to the last step: what one needs leaves the device before the next.

        Drawing is not among them: it takes as many pictures at once as fit.
        """
        return max(self.training, self.text, self.vae)


def device_memory(plan: Plan, *, data: Plan | None = None) -> DeviceMemory | None:
    """Return the forecast of a plan, with the buckets of another one that has the same data; None where the family has none."""
    if plan.model.memory is None:
        return None
    train, adapter = plan.spec.train, plan.adapter
    largest = max((data or plan).data.buckets, key=lambda bucket: bucket.width * bucket.height)
    half = train.mixed_precision != "no"
    parts = plan.model.memory(
        MemoryAsked(largest.width, largest.height, train.batch_size, adapter.rank, half=half, half_weights=half and train.device != "cpu")
    )
    return DeviceMemory(
        weights=parts.weights,
        adapter=FLOAT * adapter.parameters,
        gradients=FLOAT * adapter.parameters,
        optimizer=OPTIMIZER * adapter.parameters,
        activations=parts.checkpointed if train.gradient_checkpointing else parts.activations,
        without_checkpointing=parts.activations,
        with_checkpointing=parts.checkpointed,
        text=parts.text_encoders,
        vae=parts.vae,
    )


def bytes_of(text: str) -> int:
    """Read ``12GB``, ``11.5 GiB`` or a number of bytes.

    Raises:
        ValueError: It is none of them.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMG]?I?B?)\s*", text.upper())
    unit = found[2] if found else "?"
    unit = unit if unit in UNITS else unit + "B"
    if found is None or unit not in UNITS:
        raise ValueError(f"{text!r} is no size; write one such as 12GB or 11.5GiB")
    return round(float(found[1]) * UNITS[unit])


def advice(plan: Plan, spec: Path, limit: int) -> Iterator[tuple[str, int]]:
    """Yield ways to the recipe of ``spec`` in less memory that fit ``limit`` bytes, each with its peak: words to add to the command.

    First what changes nothing but time, then less precise weights, then the spec's other profiles, in their order.
    """
    from loraspec.plan import resolve

    less, narrow = "train.gradient_checkpointing=true", "model.unet_dtype=float8"
    ways = [(plan.profiles, [*plan.sets, *more], " ".join(f"--set {one}" for one in more)) for more in ([less], [narrow], [less, narrow])]
    others = [name for name in plan.document.tables.get("profiles", {}) if name not in plan.profiles]
    ways += [((*plan.profiles, name), [*plan.sets], f"--profile {name}") for name in others]
    for profiles, given, words in ways:
        try:
            other = resolve(spec, profiles=profiles, sets=given)
            found = device_memory(other, data=plan if other.spec.data == plan.spec.data else None)
        except LoraspecError:
            continue  # another family without the option, or data that is not here
        if found is not None and found.peak <= limit:
            yield words, found.peak
