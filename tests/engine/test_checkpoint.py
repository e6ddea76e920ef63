"""What resuming needs."""

import math

import pytest
import torch

from loraspec.engine import checkpoint, store
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


def test_save_keeps_the_last_two(tmp_path):
    """The newest and the one before it stay; of later steps, which a run that trains again will reach, all."""
    for step in (1, 2, 9, 3):
        checkpoint.save(tmp_path, step=step, state={"a": step})

    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000002", "step-00000003", "step-00000009"]


def test_save_of_the_same_step_is_left_alone_or_replaced(tmp_path):
    """What is equal is not written again; what is not is replaced whole."""
    folder = checkpoint.save(tmp_path, step=1, state={"a": torch.zeros(2)})
    before = (folder / "state.json").stat().st_ino

    checkpoint.save(tmp_path, step=1, state={"a": torch.zeros(2)})
    assert (folder / "state.json").stat().st_ino == before

    checkpoint.save(tmp_path, step=1, state={"a": torch.ones(2)})
    assert checkpoint.load(folder, device=CPU)[1]["a"].tolist() == [1, 1]
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


@pytest.mark.parametrize("spoil", ["manifest", "extra", "link", "step", "newer"])
def test_check_refuses_what_is_no_checkpoint(tmp_path, spoil):
    """A manifest that is gone, a further file, a link, another step than the name says, a newer layout."""
    folder = checkpoint.save(tmp_path, step=1, state={"a": torch.zeros(2)})
    manifest = folder / "manifest.json"
    if spoil == "manifest":
        manifest.unlink()
    elif spoil == "extra":
        (folder / "state.pkl").touch()
    elif spoil == "link":
        (folder / "state.json").rename(tmp_path / "elsewhere")
        (folder / "state.json").symlink_to(tmp_path / "elsewhere")
    elif spoil == "step":
        folder = folder.rename(tmp_path / "step-00000002")
    else:
        store.write_json(manifest, store.sealed({**store.read_sealed(manifest), "layout": 99}))

    with pytest.raises(RunError) as told:
        checkpoint.check(folder)
    assert (told.value.code == "E-RUN-VERSION") == (spoil == "newer")


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


OPTIMIZERS = {
    "adamw": lambda groups: torch.optim.AdamW(groups, lr=1e-2),
    "dadapt-adam": lambda groups: dadaptation().DAdaptAdam(groups, lr=1.0),
    "dadapt-sgd": lambda groups: dadaptation().DAdaptSGD(groups, lr=1.0),
    "dadapt-adagrad": lambda groups: dadaptation().DAdaptAdaGrad(groups, lr=1.0),
    "dadapt-lion": lambda groups: dadaptation().DAdaptLion(groups, lr=1.0),
}


def dadaptation():
    """Return the library."""
    import dadaptation

    return dadaptation


@pytest.mark.parametrize("cut", [0, 1, 2, 3])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_resumed_optimizer_is_the_same_in_every_scalar(tmp_path, name, cut):
    """Saved after any step and loaded into a fresh one, an optimizer ends with the same weights, state, d, k, numerator: no tolerance."""

    def train(weights, optimizer, steps):
        for step in steps:
            optimizer.zero_grad()
            (weights * torch.linspace(1, 2, 7) - step).square().sum().backward()
            optimizer.step()

    def fresh():
        weights = torch.nn.Parameter(torch.linspace(-1, 1, 7))
        return weights, OPTIMIZERS[name]([weights])

    whole, first, second = fresh(), fresh(), fresh()
    train(*whole, range(5))
    train(*first, range(cut))
    folder = checkpoint.save(tmp_path, step=cut, state={"weights": first[0], "optimizer": first[1].state_dict()})
    _, state = checkpoint.load(folder, device=CPU)
    second[0].data = state["weights"]
    second[1].load_state_dict(state["optimizer"])
    assert checkpoint.same(first[1].state_dict(), second[1].state_dict())
    train(*second, range(cut, 5))

    assert torch.equal(whole[0], second[0])
    assert checkpoint.same(whole[1].state_dict(), second[1].state_dict())


@pytest.mark.parametrize("hidden", [object(), lambda: 1, {1, 2}, b"bytes", {(1, 2): 3}])
def test_rehearse_refuses_an_optimizer_that_cannot_be_saved(hidden):
    """A thing in a group that is no plain data is told before the first step, with its place."""
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(2))])
    checkpoint.rehearse({"optimizer": optimizer}, device=CPU)
    optimizer.param_groups[0]["hidden"] = hidden

    with pytest.raises(RunError, match="could not be resumed: /optimizer/param_groups/0/hidden") as told:
        checkpoint.rehearse({"optimizer": optimizer}, device=CPU)
    assert told.value.code == "E-RUN-STATE"


def test_rehearse_refuses_a_state_that_is_lost_on_loading():
    """An optimizer whose own load_state_dict forgets something is found out."""

    class Forgetful(torch.optim.AdamW):
        def load_state_dict(self, state_dict):
            super().load_state_dict(state_dict)
            self.param_groups[0]["lr"] = 7.0

    with pytest.raises(RunError, match="its state is another after it was loaded"):
        checkpoint.rehearse({"optimizer": Forgetful([torch.nn.Parameter(torch.zeros(2))])}, device=CPU)
