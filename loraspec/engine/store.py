"""Files that are whole or absent: staged, synced, renamed; tensors in canonical safetensors, never pickle."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from loraspec.engine.disk import write_file
from loraspec.engine.records import (
    SEAL,
    Writer,
    append_line,
    json_bytes,
    line_bytes,
    read_json,
    read_lines,
    read_sealed,
    sealed,
    write_json,
    write_lines,
)
from loraspec.errors import RunError
from loraspec.weights import WeightsError, header_bytes, read_header

__all__ = [
    "DTYPES", "NAMES", "SEAL", "Writer", "append_line", "json_bytes", "line_bytes", "read_json", "read_lines", "read_sealed",
    "read_tensors", "sealed", "tensor_chunks", "tensors_sha256", "write_bytes", "write_json", "write_lines", "write_tensors",
]  # fmt: skip

DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}
write_bytes = write_file  # the name that plugins know
NAMES = {dtype: name for name, dtype in DTYPES.items()}


def _raw(tensor: Tensor) -> memoryview:
    flat = tensor.detach().to("cpu").contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data


def tensor_chunks(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> list[bytes | memoryview]:
    """Return the bytes of a safetensors file, in pieces; they depend on its content alone."""
    ordered = dict(sorted(tensors.items()))
    shapes = {key: (NAMES[tensor.dtype], tuple(tensor.shape)) for key, tensor in ordered.items()}
    return [header_bytes(shapes, metadata), *(_raw(tensor) for tensor in ordered.values())]


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], *, write: Writer = write_file) -> str:
    """Write a safetensors file; return its sha256."""
    return write(path, *tensor_chunks(tensors, metadata))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file: tensors on the host, and the header's strings.

    The tensors are copies, which lie where torch puts new ones. Those of a mapped file lie at any multiple of their item's size, and some
    CPUs (seen with AVX2) sum such a tensor in another order: a resumed run would differ in its last bits from one that never stopped.

    Raises:
        RunError: The file is absent or broken.
    """
    from safetensors import SafetensorError, safe_open

    try:
        read_header(path, dtypes=DTYPES)
        with safe_open(str(path), framework="pt", device="cpu") as file:
            return {key: file.get_tensor(key).clone() for key in sorted(file.keys())}, dict(file.metadata() or {})
    except (OSError, WeightsError, SafetensorError) as error:
        raise RunError(f"{path}: cannot be read as safetensors: {error}").coded(getattr(error, "code", "")) from error


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """Return the sha256 over names, dtypes, shapes and bytes."""
    digest = hashlib.sha256()
    for key, tensor in sorted(tensors.items()):
        digest.update(f"{key} {NAMES[tensor.dtype]} {tuple(tensor.shape)}\n".encode())
        digest.update(_raw(tensor))
    return digest.hexdigest()
