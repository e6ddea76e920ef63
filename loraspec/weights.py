"""The safetensors container without torch: a canonical header, exact file sizes, and a reader that trusts nothing.

Layout (huggingface/safetensors, README "Format"): 8 bytes little-endian length N, N bytes of JSON, then the tensors.
Ours is canonical: keys sorted, compact ASCII JSON, padded with spaces to a multiple of 8, tensors in key order without gaps.
The library's own writer orders metadata at random, so equal weights would give unequal files.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from attrs import frozen

from loraspec.errors import LoraspecError

BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
    "I32": 4, "U32": 4, "F32": 4, "F64": 8, "I64": 8, "U64": 8,
}  # fmt: skip
METADATA = "__metadata__"
MAX_HEADER = 100_000_000  # bytes; the library's own limit

Shapes = Mapping[str, tuple[str, tuple[int, ...]]]


class WeightsError(LoraspecError):
    """A file is not a whole safetensors file."""


@frozen
class Header:
    """What a safetensors file says of itself.

    Attributes:
        tensors: dtype and shape by key.
        offsets: (first, past last) byte of each tensor, counted from ``data_start``.
        metadata: The header's strings.
        data_start: Byte at which the tensors begin.
    """

    tensors: Mapping[str, tuple[str, tuple[int, ...]]]
    offsets: Mapping[str, tuple[int, int]]
    metadata: Mapping[str, str]
    data_start: int


def tensor_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    """Return the size of one tensor in bytes.

    Raises:
        ValueError: The dtype is not one of safetensors', or a side is negative.
    """
    if dtype not in BYTES:
        raise ValueError(f"dtype {dtype!r} is none of {', '.join(sorted(BYTES))}")
    size = BYTES[dtype]
    for side in shape:
        if side < 0:
            raise ValueError(f"shape {list(shape)} has a negative side")
        size *= side
    return size


def header_bytes(tensors: Shapes, metadata: Mapping[str, str]) -> bytes:
    """Return the canonical length and header; the tensors follow it in sorted key order, back to back.

    Args:
        tensors: dtype (``F32``, ``F16``, ``BF16`` ...) and shape by key.
        metadata: Strings only.

    Raises:
        ValueError: A key is reserved, a dtype is unknown or a metadata value is not a string.
    """
    if METADATA in tensors:
        raise ValueError(f"a tensor cannot be called {METADATA!r}")
    header: dict[str, Any] = {}
    if metadata:
        wrong = sorted(key for key, value in metadata.items() if not isinstance(value, str))
        if wrong:
            raise ValueError(f"metadata must be strings: {', '.join(wrong)}")
        header[METADATA] = dict(metadata)
    start = 0
    for key in sorted(tensors):
        dtype, shape = tensors[key]
        end = start + tensor_bytes(dtype, shape)
        header[key] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def file_size(tensors: Shapes, metadata: Mapping[str, str]) -> int:
    """Return the exact size in bytes of the file that ``header_bytes`` and these tensors make."""
    return len(header_bytes(tensors, metadata)) + sum(tensor_bytes(dtype, shape) for dtype, shape in tensors.values())


def read_header(path: Path) -> Header:
    """Read and check the header of a safetensors file; no tensor is read.

    Raises:
        WeightsError: The file is short, the JSON is broken, or offsets do not tile the data exactly.
        OSError: The file cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(8)
        length = struct.unpack("<Q", first)[0] if len(first) == 8 else 0
        if len(first) < 8 or length < 2 or length > MAX_HEADER or 8 + length > size:
            _refuse(path, f"not a safetensors file, or cut short ({size} bytes)")
        text = file.read(length)
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path.name}: the header is not JSON: {error}") from None
    if not isinstance(header, dict):
        _refuse(path, "the header is not a JSON object")
    metadata = header.pop(METADATA, None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        _refuse(path, f"{METADATA} is not a table of strings")
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {}
    offsets: dict[str, tuple[int, int]] = {}
    for key, entry in header.items():
        tensors[key], offsets[key] = _entry(path, key, entry)
    end = 0
    for key, (start, stop) in sorted(offsets.items(), key=lambda item: item[1]):
        if start != end:
            _refuse(path, f"tensor {key!r} starts at byte {start} of the data, {end} would be right")
        end = stop
    if 8 + length + end != size:
        _refuse(path, f"{size} bytes long, {8 + length + end} would be right")
    return Header(tensors, offsets, metadata, 8 + length)


def _entry(path: Path, key: str, entry: Any) -> tuple[tuple[str, tuple[int, ...]], tuple[int, int]]:
    """Check one tensor's entry: known dtype, whole sides, offsets that match."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        _refuse(path, f"tensor {key!r} needs dtype, shape and data_offsets")
    dtype, shape, place = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BYTES:
        _refuse(path, f"tensor {key!r} has the unknown dtype {dtype!r}")
    if not _whole(shape) or not _whole(place) or len(place) != 2:
        _refuse(path, f"tensor {key!r}: shape and data_offsets must be lists of whole numbers from 0")
    start, stop = place
    if stop - start != tensor_bytes(dtype, tuple(shape)):
        _refuse(path, f"tensor {key!r}: {stop - start} bytes do not hold {dtype} {shape}")
    return (dtype, tuple(shape)), (start, stop)


def _whole(value: Any) -> bool:
    return isinstance(value, list) and all(type(side) is int and side >= 0 for side in value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that stands twice: readers disagree on which one counts."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands twice")
    return made


def _refuse(path: Path, message: str) -> NoReturn:
    raise WeightsError(f"{path.name}: {message}")
