"""What resuming needs."""

import math

import pytest
import torch

from loraspec.engine import checkpoint
from loraspec.errors import RunError

CPU = torch.device("cpu")


def optimizer_after(steps):
    """Return a parameter, its DAdaptAdam after ``steps`` steps."""
    import contextlib
    import io

    import dadaptation

    parameter = torch.nn.Parameter(torch.linspace(-1, 1, 7))
    with contextlib.redirect_stdout(io.StringIO()):
        optimizer = dadaptation.DAdaptAdam([parameter], lr=1.0, decouple=True)
    for _ in range(steps):
        optimizer.zero_grad()
        (parameter - 3).square().sum().backward()
        optimizer.step()
    return parameter, optimizer


def test_save_and_load_keep_every_bit_of_an_optimizer(tmp_path):
    """Tensors, infinite floats, tuples and integer keys come back as they were."""
    _, optimizer = optimizer_after(3)
    state = {"optimizer": optimizer.state_dict(), "nothing": None, "name": "x", "nan": math.nan}

    folder = checkpoint.save(tmp_path, step=3, state=state)
    step, found = checkpoint.load(folder, device=CPU)

    assert step == 3
    assert math.isnan(found.pop("nan"))
    state.pop("nan")
    flat_found, flat_state = [], []
    for tree, flat in ((found, flat_found), (state, flat_state)):
        tensors = {}
        flat.append((repr(checkpoint.pack(tree, tensors, "")), {key: value.tolist() for key, value in tensors.items()}))
    assert flat_found == flat_state
    assert found["optimizer"]["param_groups"][0]["growth_rate"] == math.inf
    assert isinstance(found["optimizer"]["param_groups"][0]["betas"], tuple)
    assert list(found["optimizer"]["state"]) == [0]


def test_save_keeps_only_the_newest(tmp_path):
    """An older checkpoint goes once the newer one is committed, and so does what a killed process left."""
    checkpoint.save(tmp_path, step=1, state={"a": 1})
    (tmp_path / ".step-00000009.1.part").mkdir()

    checkpoint.save(tmp_path, step=2, state={"a": 2})

    assert [path.name for path in tmp_path.iterdir()] == ["step-00000002"]


def test_folders_ignore_what_has_no_manifest(tmp_path):
    """A folder without its manifest was never committed."""
    folder = checkpoint.save(tmp_path, step=1, state={"a": torch.zeros(2)})
    (folder / "manifest.json").unlink()

    assert checkpoint.folders(tmp_path) == []


def test_load_refuses_a_flipped_bit(tmp_path):
    """One bit of the tensors is enough."""
    folder = checkpoint.save(tmp_path, step=1, state={"a": torch.zeros(64)})
    data = bytearray((folder / "tensors.safetensors").read_bytes())
    data[-5] ^= 1
    (folder / "tensors.safetensors").write_bytes(data)

    with pytest.raises(RunError, match="damaged"):
        checkpoint.load(folder, device=CPU)


def test_pack_names_what_cannot_be_saved():
    """An object is refused with its path."""
    with pytest.raises(RunError, match="/optimizer/thing: a object"):
        checkpoint.pack({"optimizer": {"thing": object()}}, {}, "")
