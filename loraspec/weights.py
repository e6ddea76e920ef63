"""The safetensors container without torch: a canonical header, exact file sizes, and a reader that trusts nothing.

Layout (huggingface/safetensors, README "Format"): 8 bytes little-endian length N, N bytes of JSON, then the tensors.
Ours is canonical: keys sorted, compact ASCII JSON, padded with spaces to a multiple of 8, tensors in key order without gaps.
The library's own writer orders metadata at random, so equal weights would give unequal files.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NoReturn

from attrs import frozen

from loraspec.errors import LoraspecError

BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
    "I32": 4, "U32": 4, "F32": 4, "F64": 8, "I64": 8, "U64": 8,
}  # fmt: skip
METADATA = "__metadata__"

# The caps of the reader. SDXL in one file has 2,515 tensors and a header of 0.3 MiB.
MAX_HEADER = 16 * 2**20  # bytes
MAX_TENSORS = 20_000
MAX_METADATA = 2**20  # bytes
MAX_NAME = 512  # characters
MAX_SIDES = 8  # dimensions of a tensor
MAX_PARTS = 500_000  # commas and brackets: what bounds the memory that JSON of 16 MiB takes

NOT_TENSORS = {
    rb"PK\x03\x04": "a zip archive, as torch.save writes it", rb"\x80[\x00-\x05][^\x00]": "a pickle", rb"\x93NUMPY": "a NumPy array",
    rb"GGUF": "a GGUF file", rb"\x89HDF": "an HDF5 file", rb"version https://git-lfs": "a pointer of Git LFS instead of the file",
}  # fmt: skip
_NAME = re.compile(r"[!-\[\]-~]+(?: [!-\[\]-~]+)*")  # printable ASCII without the backslash, no space at an end

Shapes = Mapping[str, tuple[str, tuple[int, ...]]]


class WeightsError(LoraspecError):
    """A file is not a whole safetensors file, or one that no honest program writes; ``code`` says which (``E-ST-...``)."""


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


def read_header(path: Path, *, dtypes: Collection[str] = BYTES) -> Header:
    """Read and check the header of a safetensors file; no tensor is read.

    The safetensors library takes duplicate keys, names of any form and a million empty tensors (21 s), so every file passes
    here first.

    Args:
        path: The file.
        dtypes: The dtypes that the reader can use.

    Raises:
        WeightsError: The file is no safetensors file, is short or long, or its header breaks a rule or a cap.
        OSError: The file cannot be read.
    """
    size = path.stat().st_size
    if not path.is_file():  # opening a pipe would wait for its writer
        _refuse(path, "E-ST-FORMAT", "not a regular file")
    with path.open("rb") as file:
        first = file.read(32)
        length = struct.unpack("<Q", first[:8])[0] if len(first) >= 8 else 0
        if length < 2 or 8 + length > size or length > MAX_HEADER or first[8:9] != b"{":
            _refuse_container(path, first, length, size)
        file.seek(8)
        text = file.read(length)
    header = _parsed(path, text)
    metadata = _metadata(path, header)
    if len(header) > MAX_TENSORS:
        _refuse(path, "E-ST-COUNT", f"{len(header)} tensors; up to {MAX_TENSORS} are read")
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {}
    offsets: dict[str, tuple[int, int]] = {}
    for key, entry in header.items():
        tensors[key], offsets[key] = _entry(path, key, entry, dtypes)
    end = 0
    for key, (start, stop) in sorted(offsets.items(), key=lambda item: item[1]):
        if start != end:
            _refuse(path, "E-ST-LAYOUT", f"tensor {_shown(key)} starts at byte {start} of the data, {end} would be right")
        end = stop
    _check_size(path, size, 8 + length + end)
    return Header(tensors, offsets, metadata, 8 + length)


def _refuse_container(path: Path, first: bytes, length: int, size: int) -> NoReturn:
    """Say what a file is whose first bytes are no safetensors header."""
    for magic, what in NOT_TENSORS.items():
        if re.match(magic, first):
            hint = "download the file itself" if "pointer" in what else "pickle is never loaded; convert it to safetensors elsewhere"
            _refuse(path, "E-ST-FORMAT", f"{what} under the name of a safetensors file: {hint}")
    if length > MAX_HEADER and 8 + length <= size:
        with path.open("rb") as file:
            if file.read(MAX_HEADER).count(b'"dtype"') > MAX_TENSORS:
                _refuse(path, "E-ST-COUNT", f"more than {MAX_TENSORS} tensors, which is the most that is read")
        _refuse(path, "E-ST-HEADER", f"the header has {length} bytes; up to {MAX_HEADER} are read")
    _refuse(path, "E-ST-HEADER", f"not a safetensors file, or cut short ({size} bytes)")


def _parsed(path: Path, text: bytes) -> dict[str, Any]:
    """Parse the header's JSON in bounded memory."""
    if text.count(b'"dtype"') > MAX_TENSORS:
        _refuse(path, "E-ST-COUNT", f"more than {MAX_TENSORS} tensors, which is the most that is read")
    if sum(text.count(part) for part in (b",", b"[", b"{")) > MAX_PARTS:
        _refuse(path, "E-ST-HEADER", f"the header has more parts than {MAX_TENSORS} tensors need")
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_unique, parse_int=_plain_int)
    except _Twice as error:
        _refuse(path, "E-ST-DUP", f"the key {_shown(str(error))} stands twice in the header")
    except (ValueError, RecursionError) as error:
        _refuse(path, "E-ST-HEADER", f"the header is not JSON: {error}")
    if not isinstance(header, dict):
        _refuse(path, "E-ST-HEADER", "the header is not a JSON object")
    return header


def _metadata(path: Path, header: dict[str, Any]) -> dict[str, str]:
    """Take the metadata out of a header."""
    metadata = header.pop(METADATA, None)
    metadata = {} if metadata is None else metadata
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        _refuse(path, "E-ST-META", f"{METADATA} is not a table of strings")
    text = "".join([*metadata, *metadata.values()])
    if len(text) > MAX_METADATA:
        _refuse(path, "E-ST-META", f"{METADATA} has {len(text)} characters; up to {MAX_METADATA} are read")
    if re.search("[\ud800-\udfff]", text):
        _refuse(path, "E-ST-META", f"{METADATA} holds half a character")
    return metadata


def _entry(path: Path, key: str, entry: Any, dtypes: Collection[str]) -> tuple[tuple[str, tuple[int, ...]], tuple[int, int]]:
    """Check one tensor's entry: a plain name, a known dtype, whole sides, offsets that match."""
    if len(key) > MAX_NAME or not _NAME.fullmatch(key) or ".." in key.split("/"):
        _refuse(path, "E-ST-NAME", f"tensor name {_shown(key)}: names are printable ASCII, up to {MAX_NAME} characters, without '..'")
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        _refuse(path, "E-ST-LAYOUT", f"tensor {_shown(key)} needs dtype, shape and data_offsets")
    dtype, shape, place = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BYTES:
        _refuse(path, "E-ST-DTYPE", f"tensor {_shown(key)} has the unknown dtype {_shown(str(dtype))}")
    if dtype not in dtypes:
        _refuse(path, "E-ST-DTYPE", f"tensor {_shown(key)} is {dtype}; {', '.join(sorted(dtypes))} are read here")
    if not _whole(shape) or not _whole(place) or len(place) != 2:
        _refuse(path, "E-ST-LAYOUT", f"tensor {_shown(key)}: shape and data_offsets must be lists of whole numbers from 0")
    start, stop = place
    if len(shape) > MAX_SIDES or stop - start != tensor_bytes(dtype, tuple(shape)):
        _refuse(path, "E-ST-LAYOUT", f"tensor {_shown(key)}: {stop - start} bytes do not hold {dtype} {shape[:MAX_SIDES]}")
    return (dtype, tuple(shape)), (start, stop)


def _check_size(path: Path, size: int, right: int) -> None:
    if size < right:
        _refuse(path, "E-ST-SIZE", f"is {right - size} bytes short: interrupted download?")
    if size > right:
        _refuse(path, "E-ST-SIZE", f"has {size - right} bytes behind its last tensor; {right} bytes would be right")


def _whole(value: Any) -> bool:
    return isinstance(value, list) and all(type(side) is int and 0 <= side < 2**63 for side in value)


class _Twice(ValueError):
    """A key stands twice: readers disagree on which one counts."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        raise _Twice(next(key for key, _ in pairs if key in seen or seen.add(key)))  # type: ignore[func-returns-value]
    return made


def _plain_int(text: str) -> int:
    """Read a whole number; ``-0`` is one to Python and a fraction to the library."""
    if text == "-0":
        raise ValueError("-0 is no whole number")
    return int(text)


def _shown(text: str) -> str:
    """Return a stranger's text, escaped and short."""
    return ascii(text if len(text) <= 80 else text[:80] + "...")


def _refuse(path: Path, code: str, message: str) -> NoReturn:
    raise WeightsError(f"{path.name}: {message}").coded(code) from None
