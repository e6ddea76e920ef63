"""The safetensors container: canonical bytes, exact sizes, and a reader that refuses what is not whole."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from loraspec.weights import WeightsError, file_size, header_bytes, read_header

TENSORS = {"b.weight": ("F16", (3, 5)), "a.alpha": ("F32", ()), "c": ("BF16", (2, 2, 1, 1)), "empty": ("F32", (0, 4))}
METADATA = {"title": "Daumier é", "epoch": "1"}


def write(path: Path, header: Any, data: bytes = b"", length: int | None = None) -> Path:
    """Write a file with any header, right or wrong."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def good(path: Path) -> Path:
    """Write a whole file."""
    head = header_bytes(TENSORS, METADATA)
    path.write_bytes(head + bytes(file_size(TENSORS, METADATA) - len(head)))
    return path


def test_library_reads_our_files(tmp_path: Path) -> None:
    """What the canonical header describes, the safetensors library loads; the size is what was said."""
    from safetensors import safe_open

    path = good(tmp_path / "a.safetensors")

    assert path.stat().st_size == file_size(TENSORS, METADATA)
    with safe_open(path, "numpy") as file:
        assert set(file.keys()) == set(TENSORS)
        assert file.metadata() == METADATA
        assert tuple(file.get_slice("c").get_shape()) == (2, 2, 1, 1)


def test_header_is_canonical() -> None:
    """Order of insertion changes nothing; data begins at a multiple of 8."""
    turned = header_bytes(dict(reversed(TENSORS.items())), dict(reversed(METADATA.items())))

    assert turned == header_bytes(TENSORS, METADATA)
    assert len(turned) % 8 == 0
    turned.decode("ascii")


def test_reader_returns_what_was_written(tmp_path: Path) -> None:
    """Shapes, strings and offsets come back."""
    header = read_header(good(tmp_path / "a.safetensors"))

    assert dict(header.tensors) == TENSORS
    assert dict(header.metadata) == METADATA
    assert header.offsets["a.alpha"] == (0, 4)
    assert header.data_start == len(header_bytes(TENSORS, METADATA))


ONE = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


@pytest.mark.parametrize(
    ("header", "data", "said"),
    [
        (b"", b"", "not a safetensors file"),
        (b"{nonsense", b"", "not JSON"),
        (b"\xff\xff\xff", b"", "not JSON"),
        (b"[" * 200_000, b"", "not JSON"),
        ([], b"", "not a JSON object"),
        (ONE, bytes(7), "would be right"),
        (ONE, bytes(9), "would be right"),
        ({"a": {"dtype": "F32", "shape": [2]}}, bytes(8), "needs dtype, shape and data_offsets"),
        ({"a": {**ONE["a"], "dtype": "P64"}}, bytes(8), "unknown dtype"),
        ({"a": {**ONE["a"], "shape": [-2]}}, bytes(8), "whole numbers"),
        ({"a": {**ONE["a"], "shape": [True, 2]}}, bytes(8), "whole numbers"),
        ({"a": {**ONE["a"], "shape": [3]}}, bytes(8), "do not hold"),
        ({"a": {**ONE["a"], "shape": [2**62, 2**62]}}, bytes(8), "do not hold"),
        ({**ONE, "b": ONE["a"]}, bytes(8), "starts at byte 0"),
        ({"a": {**ONE["a"], "data_offsets": [8, 16]}}, bytes(16), "starts at byte 8"),
        ({"__metadata__": {"a": 1}, **ONE}, bytes(8), "table of strings"),
        (b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', bytes(8), "twice"),
    ],
)
def test_reader_refuses_what_is_not_whole(tmp_path: Path, header: Any, data: bytes, said: str) -> None:
    """Every lie in a header is found before a tensor is read."""
    with pytest.raises(WeightsError, match=said):
        read_header(write(tmp_path / "bad.safetensors", header, data))


@pytest.mark.parametrize("length", [2**63, 2**40, 10**6])
def test_reader_refuses_a_header_longer_than_the_file(tmp_path: Path, length: int) -> None:
    """A length that lies takes no memory."""
    with pytest.raises(WeightsError, match="cut short"):
        read_header(write(tmp_path / "bad.safetensors", ONE, bytes(8), length))


def test_every_cut_of_a_file_is_refused(tmp_path: Path) -> None:
    """A file that lost its end, wherever, is not whole."""
    data = good(tmp_path / "a.safetensors").read_bytes()
    for size in range(len(data)):
        (tmp_path / "cut").write_bytes(data[:size])
        with pytest.raises(WeightsError):
            read_header(tmp_path / "cut")


@pytest.mark.parametrize(
    ("tensors", "metadata", "said"),
    [
        ({"__metadata__": ("F32", (1,))}, {}, "cannot be called"),
        ({"a": ("P64", (1,))}, {}, "dtype 'P64'"),
        ({"a": ("F32", (-1,))}, {}, "negative side"),
        ({}, {"epoch": 1}, "must be strings: epoch"),
    ],
)
def test_writer_refuses_what_no_reader_takes(tensors: Any, metadata: Any, said: str) -> None:
    """Reserved names, unknown dtypes and values that are no strings."""
    with pytest.raises(ValueError, match=said):
        header_bytes(tensors, metadata)
