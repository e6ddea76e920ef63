"""The safetensors container: canonical bytes, exact sizes, and a reader that refuses what is not whole."""

from __future__ import annotations

import json
import os
import struct
import time
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


def entry(**changes: Any) -> dict[str, Any]:
    """Return a header with one tensor, changed."""
    return {"a": {**ONE["a"], **changes}}


@pytest.mark.parametrize(
    ("header", "data", "code", "said"),
    [
        (b"", b"", "E-ST-HEADER", "not a safetensors file"),
        (b"{nonsense", b"", "E-ST-HEADER", "not JSON"),
        (b"{\xff\xff\xff", b"", "E-ST-HEADER", "not JSON"),
        (b'{"a":' + b"[" * 200_000, b"", "E-ST-HEADER", "not JSON"),
        (b'{"a":' + b"9" * 5000 + b"}", b"", "E-ST-HEADER", "not JSON"),
        (json.dumps(ONE).replace("[2]", "[2, -0]").encode(), b"", "E-ST-HEADER", "-0"),
        (b'{"a":[' + b"0," * 600_000 + b"0]}", b"", "E-ST-HEADER", "more parts"),
        ([], b"", "E-ST-HEADER", "not a safetensors file"),
        (ONE, bytes(1), "E-ST-SIZE", "is 7 bytes short: interrupted download?"),
        (ONE, bytes(9), "E-ST-SIZE", "has 1 bytes behind its last tensor"),
        ({"a": {"dtype": "F32", "shape": [2]}}, bytes(8), "E-ST-LAYOUT", "needs dtype, shape and data_offsets"),
        (entry(dtype="P64"), bytes(8), "E-ST-DTYPE", "unknown dtype"),
        (entry(dtype=["F32"]), bytes(8), "E-ST-DTYPE", "unknown dtype"),
        (entry(shape=[-2]), bytes(8), "E-ST-LAYOUT", "whole numbers"),
        (entry(shape=[True, 2]), bytes(8), "E-ST-LAYOUT", "whole numbers"),
        (entry(shape=[3]), bytes(8), "E-ST-LAYOUT", "do not hold"),
        (entry(shape=[2**62, 2**62]), bytes(8), "E-ST-LAYOUT", "do not hold"),
        (entry(shape=[1] * 9 + [2]), bytes(8), "E-ST-LAYOUT", "do not hold"),
        (entry(data_offsets=[8, 16]), bytes(16), "E-ST-LAYOUT", "starts at byte 8"),
        (entry(data_offsets=[-8, 0]), bytes(8), "E-ST-LAYOUT", "whole numbers"),
        ({**ONE, "b": ONE["a"]}, bytes(8), "E-ST-LAYOUT", "starts at byte 0"),
        ({"__metadata__": {"a": 1}, **ONE}, bytes(8), "E-ST-META", "table of strings"),
        ({"__metadata__": 0, **ONE}, bytes(8), "E-ST-META", "table of strings"),
        ({"__metadata__": {"a": "\ud800"}, **ONE}, bytes(8), "E-ST-META", "half a character"),
        ({"__metadata__": {"a": "x" * 5_000_000}, **ONE}, bytes(8), "E-ST-META", "5000001 characters"),
        (f'{{"a":{json.dumps(ONE["a"])},"a":{json.dumps(ONE["a"])}}}'.encode(), bytes(8), "E-ST-DUP", "'a' stands twice"),
        (b'{"a":{"dtype":"F32","dtype":"F32"}}', b"", "E-ST-DUP", "'dtype' stands twice"),
    ],
)
def test_reader_refuses_what_is_not_whole(tmp_path: Path, header: Any, data: bytes, code: str, said: str) -> None:
    """Every lie in a header is found before a tensor is read, and has its code."""
    with pytest.raises(WeightsError, match=said) as caught:
        read_header(write(tmp_path / "bad.safetensors", header, data))
    assert caught.value.code == code


@pytest.mark.parametrize("name", ["", "../../x", "a/../b", "nul\0", "a\\b", "café", "esc\x1b[2J", " a", "a ", "n" * 513])
def test_reader_refuses_names_that_no_program_writes(tmp_path: Path, name: str) -> None:
    """Names of tensors are printable ASCII, short, and no way out of a folder; what is shown of them is escaped."""
    with pytest.raises(WeightsError) as caught:
        read_header(write(tmp_path / "bad.safetensors", {name: ONE["a"]}, bytes(8)))

    assert caught.value.code == "E-ST-NAME"
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        (b"", "E-ST-HEADER", "cut short"),
        (b"7 bytes", "E-ST-HEADER", "cut short"),
        (b"\x80\x04\x95\x10\0\0\0\0\0\0\0\x8c\x05posix", "E-ST-FORMAT", "a pickle under the name .* pickle is never loaded"),
        (b"PK\x03\x04\x14\0\0\0\x08\x08archive/data.pkl", "E-ST-FORMAT", "zip archive"),
        (b"\x93NUMPY\x01\0v\0{'descr'", "E-ST-FORMAT", "NumPy"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "E-ST-FORMAT", "pointer of Git LFS"),
    ],
)
def test_reader_knows_other_formats(tmp_path: Path, data: bytes, code: str, said: str) -> None:
    """A pickle under the name of a safetensors file is named as what it is."""
    path = tmp_path / "bad.safetensors"
    path.write_bytes(data)

    with pytest.raises(WeightsError, match=said) as caught:
        read_header(path)
    assert caught.value.code == code


def test_reader_opens_no_pipe(tmp_path: Path) -> None:
    """A named pipe would make the reader wait for ever."""
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(WeightsError, match="not a regular file"):
        read_header(tmp_path / "pipe")


def test_reader_takes_only_the_dtypes_asked_for(tmp_path: Path) -> None:
    """FP8 and float64 are safetensors, and yet no weights that we compute with."""
    path = write(tmp_path / "f8.safetensors", {"a": {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}}, bytes(8))
    read_header(path)

    with pytest.raises(WeightsError, match="'a' is F8_E4M3; F16, F32 are read here") as caught:
        read_header(path, dtypes=("F32", "F16"))
    assert caught.value.code == "E-ST-DTYPE"


@pytest.mark.parametrize(("count", "code"), [(20_000, ""), (20_001, "E-ST-COUNT"), (1_000_000, "E-ST-COUNT")])
def test_number_of_tensors_is_capped(tmp_path: Path, count: int, code: str) -> None:
    """A million empty tensors take the library 21 seconds; here they are refused within one, before the JSON is parsed."""
    text = b",".join(b'"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}' % number for number in range(count))
    path = write(tmp_path / "many.safetensors", b"{" + text + b"}")

    began = time.process_time()
    try:
        found = "" if len(read_header(path).tensors) == count else "wrong"
    except WeightsError as error:
        found = error.code
    assert found == code
    assert time.process_time() - began < 2


@pytest.mark.parametrize("length", [2**63, 2**40, 10**6])
def test_reader_refuses_a_header_longer_than_the_file(tmp_path: Path, length: int) -> None:
    """A length that lies takes no memory."""
    with pytest.raises(WeightsError, match="cut short") as caught:
        read_header(write(tmp_path / "bad.safetensors", ONE, bytes(8), length))
    assert caught.value.code == "E-ST-HEADER"


def test_reader_refuses_a_header_beyond_the_cap(tmp_path: Path) -> None:
    """100 MB of spaces are no header, even where the file has them (they take no room on the disk here)."""
    path = write(tmp_path / "bad.safetensors", ONE, length=100_000_001)
    with path.open("r+b") as file:
        file.truncate(100_000_100)

    with pytest.raises(WeightsError, match="up to 16777216 are read") as caught:
        read_header(path)
    assert caught.value.code == "E-ST-HEADER"


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
