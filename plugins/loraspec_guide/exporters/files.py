"""Tensors of the files that the exporters write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from loraspec.errors import RunError
from loraspec.values import AdapterFacts, AdapterState, ExportFile, ModelFacts
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

    def read(self, tensors: Mapping[str, Tensor], *, model: ModelFacts, adapter: AdapterFacts) -> AdapterState:
        """What a program that loads this file works with: float32 weights, and the alphas that the file states.

        Raises:
            RunError: The file holds other keys than this adapter writes.
        """
        keys = kohya_keys(adapter.tensors, model)
        alphas = kohya_keys((f"{module}.alpha" for module in adapter.alphas), model)
        _same_shapes({key: adapter.tensors[name] for name, key in keys.items()} | dict.fromkeys(alphas.values(), ()), tensors)
        said = {name.removesuffix(".alpha"): float(tensors[key]) for name, key in alphas.items()}
        return AdapterState(adapter.kind, {name: tensors[key].float() for name, key in keys.items()}, said, adapter.rank)


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

    def read(self, tensors: Mapping[str, Tensor], *, model: ModelFacts, adapter: AdapterFacts) -> AdapterState:
        """What a program that loads this file works with: float32 weights; alphas stand in the header, as planned.

        Raises:
            RunError: The file holds other keys than this adapter writes.
        """
        keys = diffusers_keys(adapter.tensors)
        _same_shapes({key: adapter.tensors[name] for name, key in keys.items()}, tensors)
        return AdapterState(adapter.kind, {name: tensors[key].float() for name, key in keys.items()}, adapter.alphas, adapter.rank)


def _same_shapes(wanted: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor]) -> None:
    odd = sorted({*wanted} ^ {*tensors})
    if odd:
        raise RunError(f"the file holds other keys than this adapter writes: {', '.join(odd[:3])}").coded("E-ADAPTER-SHAPE")
    odd = sorted(key for key, shape in wanted.items() if tuple(tensors[key].shape) != tuple(shape))
    if odd:
        told = "; ".join(f"{key} is {list(tensors[key].shape)}, {list(wanted[key])} here" for key in odd[:3])
        raise RunError(f"the file is of an adapter with another rank or other targets: {told}").coded("E-ADAPTER-SHAPE")


def _only_lora(state: AdapterState, exporter: str) -> None:
    if state.kind != "lora":
        raise RunError(f"exporter {exporter!r} writes adapters of kind 'lora'; this one is a {state.kind!r}")


def _cast(name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    cast = tensor.detach().to("cpu", dtype).contiguous()
    if not bool(torch.isfinite(cast).all()):
        raise RunError(f"{name} does not fit {dtype}: it has values that are infinite, not numbers, or too large")
    return cast
