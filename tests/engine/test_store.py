"""Files that are whole or absent."""

import json

import pytest
import torch

from loraspec.engine import store
from loraspec.errors import RunError


def test_write_bytes_leaves_nothing_behind_when_writing_fails(tmp_path):
    """A chunk that cannot be written leaves the old file and no staged one."""
    path = tmp_path / "file"
    store.write_bytes(path, b"old")

    with pytest.raises(TypeError):
        store.write_bytes(path, b"new", None)

    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("dtype", list(store.DTYPES.values()))
def test_write_tensors_is_read_back_by_the_library(tmp_path, dtype):
    """Every dtype, odd shapes and an empty tensor survive, seen by safetensors itself."""
    tensors = {"b": torch.arange(6).reshape(2, 3).to(dtype), "a": torch.ones((), dtype=dtype), "none": torch.zeros(0, 4, dtype=dtype)}

    store.write_tensors(tmp_path / "f.safetensors", tensors, {"z": "1", "a": "ü"})
    found, metadata = store.read_tensors(tmp_path / "f.safetensors")

    assert metadata == {"z": "1", "a": "ü"}
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[key], tensors[key]) and found[key].shape == tensors[key].shape for key in tensors)


def test_write_tensors_bytes_depend_on_content_only(tmp_path):
    """The order of keys and of metadata does not matter, and strided tensors are written as they read."""
    base = torch.arange(12.0).reshape(3, 4)
    one = store.write_tensors(tmp_path / "1", {"a": base.t(), "b": base}, {"x": "1", "y": "2"})
    two = store.write_tensors(tmp_path / "2", {"b": base, "a": base.t().contiguous()}, {"y": "2", "x": "1"})

    assert one == two
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_tensors_sha256_sees_a_shape():
    """The same bytes in another shape are another digest."""
    assert store.tensors_sha256({"a": torch.zeros(2, 3)}) != store.tensors_sha256({"a": torch.zeros(3, 2)})


def test_read_tensors_names_a_broken_file(tmp_path):
    """A cut file is an error with its path."""
    store.write_tensors(tmp_path / "f", {"a": torch.zeros(100)}, {})
    (tmp_path / "f").write_bytes((tmp_path / "f").read_bytes()[:-7])

    with pytest.raises(RunError, match=r"f: cannot be read.* 7 bytes short") as caught:
        store.read_tensors(tmp_path / "f")
    assert caught.value.code == "E-ST-SIZE"


def test_read_tensors_lie_as_new_ones_do(tmp_path):
    """On a multiple of 64 bytes, whatever lies before them in the file: sums of some CPUs depend on it."""
    store.write_tensors(tmp_path / "f", {f"t{n}": torch.ones(7 + n) for n in range(9)}, {})
    found, _ = store.read_tensors(tmp_path / "f")
    assert {tensor.data_ptr() % 64 for tensor in found.values()} == {torch.ones(7).data_ptr() % 64}


def test_read_lines_leaves_out_a_cut_line(tmp_path):
    """A line that was being written when the machine stopped is not a row."""
    store.append_line(tmp_path / "e.jsonl", {"a": 1})
    with (tmp_path / "e.jsonl").open("a") as out:
        out.write(json.dumps({"a": 2})[:-2])

    assert store.read_lines(tmp_path / "e.jsonl") == [{"a": 1}]
