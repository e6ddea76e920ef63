"""Weight files that did not change since: neither hashed nor searched for values that are not finite again."""

import pytest
import torch
from loraspec_guide.models import weights
from loraspec_guide.models.places import part_config
from safetensors.torch import load_file, save_file

from loraspec import known
from loraspec.digests import file_digest
from loraspec.errors import SpecError
from loraspec.testing.pipelines import build_tiny

KEYS = ("block_out_channels", "down_block_types", "up_block_types", "layers_per_block", "norm_num_groups", "latent_channels", "sample_size")


@pytest.fixture
def filled(tmp_path, monkeypatch):
    """Fill the VAE of a tiny base: ``filled() -> (module, digest)``; its files count as settled."""
    monkeypatch.setattr(known, "RACY", -(10**18))
    folder = build_tiny(tmp_path / "base", "sd15-small")
    config = part_config(folder, "vae", KEYS)
    return lambda: weights.fill("vae", config, weights.from_folder(folder, "vae", None), dtype=torch.float32)


def test_the_digest_and_the_weights_are_the_same(filled, tmp_path, monkeypatch):
    """Once the lock has hashed the file, nothing is hashed, and the module is equal."""
    first, digest = filled()
    [file] = (tmp_path / "base/vae").glob("*.safetensors")
    file_digest(file)
    assert filled()[1] == digest  # learns
    monkeypatch.setattr(torch.Tensor, "aminmax", lambda self: pytest.fail("its values were looked at again"))
    again, told = filled()
    assert told == digest
    assert all(torch.equal(one, other) for one, other in zip(first.state_dict().values(), again.state_dict().values(), strict=True))


def test_a_file_that_changed_is_looked_at(filled, tmp_path):
    """Another value is another digest, and one that is not finite is told."""
    [file] = (tmp_path / "base/vae").glob("*.safetensors")
    file_digest(file)
    _, digest = filled()
    assert filled()[1] == digest
    tensors = load_file(file)
    name = sorted(tensors)[0]
    tensors[name] = tensors[name] + 1
    save_file(tensors, file)
    assert filled()[1] != digest
    file_digest(file)
    tensors[name] = tensors[name] * float("nan")
    save_file(tensors, file)
    with pytest.raises(SpecError, match="infinite or not numbers"):
        filled()
