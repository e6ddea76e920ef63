"""Single files in the original layout: diffusers' own converters agree on the names, and loading gives the folder's model."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.loaders import single_file_utils as converters
from loraspec_guide.models import places
from loraspec_guide.models.original import open_clip_values, unet_name, vae_name
from loraspec_guide.models.registry import MODEL_FAMILIES
from loraspec_guide.models.standard import SD15, SDXL, STANDARD, Architecture
from loraspec_guide.models.weights import canonical, empty

from loraspec.errors import EnvironmentMissing, SpecError
from loraspec.randomness import rng_of
from loraspec.testing.pipelines import build_tiny
from loraspec.values import Context, Precision

FAMILIES = {component.name: component for component in MODEL_FAMILIES}
CPU = Precision(torch.device("cpu"), torch.float32, None)


@pytest.mark.parametrize("base", [SDXL, SD15], ids=["sdxl", "sd15"])
def test_unet_names_agree_with_diffusers(base: Architecture) -> None:
    """Every parameter of the real U-Net: from our original name, diffusers' converter finds its own name."""
    wanted = empty("unet", base.unet).state_dict()
    original = {f"model.diffusion_model.{unet_name(name, base.unet)}": tensor for name, tensor in wanted.items()}

    assert len(original) == len(wanted)
    back = converters.convert_ldm_unet_checkpoint(dict(original), base.unet)
    assert {name: id(tensor) for name, tensor in back.items()} == {name: id(tensor) for name, tensor in wanted.items()}


def test_vae_names_agree_with_diffusers() -> None:
    """The same for the VAE, whose attention was 1x1 convolutions."""
    wanted = empty("vae", SDXL.vae).state_dict()
    original = {f"first_stage_model.{vae_name(name, SDXL.vae)}": tensor for name, tensor in wanted.items()}

    assert len(original) == len(wanted)
    back = converters.convert_ldm_vae_checkpoint(dict(original), SDXL.vae)
    assert {name: id(tensor) for name, tensor in back.items()} == {name: id(tensor) for name, tensor in wanted.items()}


def open_clip(values: dict[str, torch.Tensor], layers: int) -> dict[str, torch.Tensor]:
    """Write a CLIP text encoder as OpenCLIP has it (open_clip/transformer.py: fused q, k, v; projection from the right)."""
    text = "text_model."
    made = {
        "positional_embedding": values[text + "embeddings.position_embedding.weight"],
        "token_embedding.weight": values[text + "embeddings.token_embedding.weight"],
        "ln_final.weight": values[text + "final_layer_norm.weight"],
        "ln_final.bias": values[text + "final_layer_norm.bias"],
        "text_projection": values["text_projection.weight"].T.contiguous(),
    }
    for number in range(layers):
        ours, theirs = f"{text}encoder.layers.{number}.", f"transformer.resblocks.{number}."
        for end in ("weight", "bias"):
            made[f"{theirs}attn.in_proj_{end}"] = torch.cat([values[f"{ours}self_attn.{one}_proj.{end}"] for one in "qkv"])
            made[f"{theirs}attn.out_proj.{end}"] = values[f"{ours}self_attn.out_proj.{end}"]
            for new, old in (("ln_1", "layer_norm1"), ("ln_2", "layer_norm2"), ("mlp.c_fc", "mlp.fc1"), ("mlp.c_proj", "mlp.fc2")):
                made[f"{theirs}{new}.{end}"] = values[f"{ours}{old}.{end}"]
    return {f"conditioner.embedders.1.model.{name}": tensor for name, tensor in made.items()}


def write_original(folder: Path, out: Path, shape: str, *, extra: dict[str, torch.Tensor] | None = None) -> None:
    """Turn a diffusers folder into a single file in the original layout."""
    from safetensors.torch import load_file, save_file

    config = json.loads((folder / "unet/config.json").read_text())
    vae = json.loads((folder / "vae/config.json").read_text())
    made = {}
    for name, tensor in load_file(folder / "unet/diffusion_pytorch_model.safetensors").items():
        made[f"model.diffusion_model.{unet_name(name, config)}"] = tensor
    for name, tensor in load_file(folder / "vae/diffusion_pytorch_model.safetensors").items():
        old = vae_name(name, vae)
        linear = ".attn_1." in old and "norm" not in old and name.endswith("weight")
        made[f"first_stage_model.{old}"] = tensor[:, :, None, None] if linear else tensor
    first = "cond_stage_model.transformer." if shape == "sd15" else "conditioner.embedders.0.transformer."
    for name, tensor in load_file(folder / "text_encoder/model.safetensors").items():
        made[first + canonical(name)] = tensor
    if shape != "sd15":
        second = {canonical(name): tensor for name, tensor in load_file(folder / "text_encoder_2/model.safetensors").items()}
        made |= open_clip(second, 2)
    save_file({name: tensor.contiguous() for name, tensor in (made | (extra or {})).items()}, out)


@pytest.fixture(params=["sdxl", "sd15"])
def shape(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A single file beside its diffusers folder; the family's table is made as tiny as they are."""
    shape = str(request.param)
    folder = build_tiny(tmp_path / "folder", shape)  # type: ignore[arg-type]
    tiny = places.architecture(places.find("folder", context_of(tmp_path)), shape)
    monkeypatch.setitem(STANDARD, shape, tiny)
    write_original(folder, tmp_path / "base.safetensors", shape)
    return shape


def context_of(folder: Path) -> Context:
    return Context(folder, rng_of(0), lambda hook: [])


def made(folder: Path, shape: str, **options: Any) -> Any:
    component = FAMILIES[shape]
    family = component.build(component.options(**options))
    family.load(context_of(folder), precision=CPU)
    return family


def test_single_file_is_the_same_model(shape: str, tmp_path: Path) -> None:
    """Every part has the content of the folder that the file was made from; tokenizers come from the named folder."""
    from_file = made(tmp_path, shape, checkpoint="base.safetensors", tokenizer="folder")
    from_folder = made(tmp_path, shape, checkpoint="folder")

    assert from_file.content() == from_folder.content()
    assert (from_file.tokenize(["a cat"]) == from_folder.tokenize(["a cat"])).all()
    one_vocabulary = made(tmp_path, shape, checkpoint="base.safetensors", tokenizer="folder/tokenizer")
    assert (one_vocabulary.tokenize(["a cat"]) == from_folder.tokenize(["a cat"])).all()


def test_vae_of_a_single_file_serves_alone(shape: str, tmp_path: Path) -> None:
    """``vae`` may be a file in the original layout, with or without the prefix of a whole checkpoint."""
    from safetensors.torch import load_file, save_file

    whole = load_file(tmp_path / "base.safetensors")
    prefix = "first_stage_model."
    alone = {name.removeprefix(prefix): tensor.contiguous() for name, tensor in whole.items() if name.startswith(prefix)}
    save_file(alone, tmp_path / "vae.safetensors")

    plain = made(tmp_path, shape, checkpoint="folder").content()
    for vae in ("vae.safetensors", "base.safetensors"):
        assert made(tmp_path, shape, checkpoint="folder", vae=vae).content() == plain


def test_missing_vocabulary_is_explained(shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offline and without a tokenizer folder, it is told that the file holds no vocabulary, and where to get one."""
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(EnvironmentMissing, match=r"holds no vocabulary[\s\S]*hf download .* --include"):
        made(tmp_path, shape, checkpoint="base.safetensors")


def test_other_architectures_are_refused(tmp_path: Path) -> None:
    """A file of other widths than the family's is told by its first tensor."""
    folder = build_tiny(tmp_path / "folder", "sd15")
    write_original(folder, tmp_path / "base.safetensors", "sd15")

    with pytest.raises(SpecError, match="another architecture"):
        made(tmp_path, "sd15", checkpoint="base.safetensors", tokenizer="folder")


def test_v_prediction_marker_is_read(shape: str, tmp_path: Path) -> None:
    """Files that carry the ``v_pred`` marker are planned and trained as v-prediction."""
    write_original(tmp_path / "folder", tmp_path / "v.safetensors", shape, extra={"v_pred": torch.zeros(0)})
    component = FAMILIES[shape]

    facts = component.facts(component.options(checkpoint="v.safetensors"), context=context_of(tmp_path))  # type: ignore[misc]
    assert facts.prediction == "v_prediction"
    assert made(tmp_path, shape, checkpoint="v.safetensors", tokenizer="folder").schedule.prediction == "v_prediction"


def test_broken_file_is_refused(tmp_path: Path) -> None:
    """A file that is cut short is told when the plan is made."""
    (tmp_path / "base.safetensors").write_bytes(struct.pack("<Q", 10_000) + b"{")
    component = FAMILIES["sdxl"]

    with pytest.raises(SpecError, match=r"cut short .*E-ST-HEADER"):
        component.facts(component.options(checkpoint="base.safetensors"), context=context_of(tmp_path))  # type: ignore[misc]


def test_open_clip_names_are_complete() -> None:
    """Every parameter of SDXL's second text encoder has a place in OpenCLIP's layout, of the right shape."""
    wanted = empty("text_encoder_2", SDXL.text["text_encoder_2"]).state_dict()
    read = open_clip(wanted, 32)

    for name, tensor in wanted.items():
        assert open_clip_values(name, read, "conditioner.embedders.1.model.").shape == tensor.shape, name
