"""Tensors of the files that the exporters write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from loraspec.errors import RunError
from loraspec.values import AdapterState, ExportFile, ModelFacts
from loraspec_guide.exporters.header import diffusers_metadata, kohya_metadata
from loraspec_guide.exporters.names import diffusers_keys, kohya_keys

if TYPE_CHECKING:
    from loraspec_guide.exporters.registry import ExportOptions

DTYPE = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


class Kohya:
    """``<stem>.safetensors``: down, up and alpha of each module."""

    def __init__(self, options: ExportOptions) -> None:
        self._dtype = DTYPE[options.dtype]

    def files(self, state: AdapterState, *, model: ModelFacts, header: Mapping[str, str], stem: str) -> Iterable[ExportFile]:
        """Return the one file.

        Raises:
            RunError: The adapter is of another kind, or a weight does not fit the dtype.
        """
        _only_lora(state, "kohya")
        tensors = {key: _cast(name, state.tensors[name], self._dtype) for name, key in kohya_keys(state.tensors, model).items()}
        for name, key in kohya_keys((f"{module}.alpha" for module in state.alphas), model).items():
            tensors[key] = torch.tensor(state.alphas[name.removesuffix(".alpha")], dtype=self._dtype)
        yield ExportFile(f"{stem}.safetensors", dict(sorted(tensors.items())), kohya_metadata(header, model=model, rank=state.rank))


class Diffusers:
    """``diffusers/<stem>.safetensors``: what diffusers' ``save_lora_weights`` writes."""

    def __init__(self, options: ExportOptions) -> None:
        self._dtype = DTYPE[options.dtype]

    def files(self, state: AdapterState, *, model: ModelFacts, header: Mapping[str, str], stem: str) -> Iterable[ExportFile]:
        """Return the one file.

        Raises:
            RunError: The adapter is of another kind, or a weight does not fit the dtype.
        """
        _only_lora(state, "diffusers")
        tensors = {key: _cast(name, state.tensors[name], self._dtype) for name, key in diffusers_keys(state.tensors).items()}
        metadata = diffusers_metadata(header, model=model, alphas=state.alphas, rank=state.rank)
        yield ExportFile(f"diffusers/{stem}.safetensors", dict(sorted(tensors.items())), metadata)


def _only_lora(state: AdapterState, exporter: str) -> None:
    if state.kind != "lora":
        raise RunError(f"exporter {exporter!r} writes adapters of kind 'lora'; this one is a {state.kind!r}")


def _cast(name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    cast = tensor.detach().to("cpu", dtype).contiguous()
    if not bool(torch.isfinite(cast).all()):
        raise RunError(f"{name} does not fit {dtype}: it has values that are infinite, not numbers, or too large")
    return cast
