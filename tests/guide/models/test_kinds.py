"""What a file is, told from its header alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loraspec_guide.models.kinds import WORDS, kind_of
from loraspec_guide.models.registry import MODEL_FAMILIES

from loraspec.errors import SpecError
from loraspec.randomness import rng_of
from loraspec.values import Context
from loraspec.weights import header_bytes, read_header

UNET, CONV = "model.diffusion_model.input_blocks.1.0.in_layers.0.weight", "model.diffusion_model.input_blocks.0.0.weight"
FILES: dict[str, dict[str, tuple[int, ...]]] = {
    "sdxl": {CONV: (320, 4, 3, 3), UNET: (1,), "conditioner.embedders.0.transformer.x": (1,), "conditioner.embedders.1.model.y": (1,)},
    "sd15": {CONV: (320, 4, 3, 3), UNET: (1,), "cond_stage_model.transformer.x": (1,), "first_stage_model.encoder.conv_in.bias": (1,)},
    "sd2": {CONV: (320, 4, 3, 3), UNET: (1,), "cond_stage_model.model.transformer.x": (1,)},
    "refiner": {CONV: (384, 4, 3, 3), UNET: (1,), "conditioner.embedders.0.model.transformer.x": (1,)},
    "inpaint": {CONV: (320, 9, 3, 3), UNET: (1,), "cond_stage_model.transformer.x": (1,)},
    "pix2pix": {CONV: (320, 8, 3, 3), UNET: (1,), "cond_stage_model.transformer.x": (1,)},
    "lora": {"lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight": (4, 320), "lora_unet_x.alpha": ()},
    "controlnet": {"control_model.input_blocks.0.0.weight": (320, 4, 3, 3)},
    "embedding": {"emb_params": (4, 768)},
    "transformer": {"model.diffusion_model.double_blocks.0.img_attn.qkv.weight": (1, 1)},
    "unet": {"conv_in.weight": (320, 4, 3, 3), "down_blocks.0.resnets.0.conv1.weight": (1, 1, 3, 3)},
    "vae": {"encoder.down.0.block.0.conv1.weight": (1, 1, 3, 3), "decoder.up.0.block.0.conv1.weight": (1, 1, 3, 3)},
    "text": {"text_model.embeddings.token_embedding.weight": (49408, 768)},
    "": {"head.weight": (2, 2)},
}


def write(path: Path, shapes: dict[str, tuple[int, ...]]) -> Path:
    """Write a sparse file with these tensors."""
    named = {name: ("F16", shape) for name, shape in shapes.items()}
    path.write_bytes(header_bytes(named, {}))
    with path.open("r+b") as file:
        ends = path.stat().st_size
        for _, shape in named.values():
            size = 2
            for side in shape:
                size *= side
            ends += size
        file.truncate(ends)
    return path


@pytest.mark.parametrize("kind", sorted(FILES))
def test_each_kind_is_known(kind: str, tmp_path: Path) -> None:
    """The names that its published files have give its kind, and a word for people."""
    header = read_header(write(tmp_path / "f.safetensors", FILES[kind]))

    assert kind_of({name: shape for name, (_, shape) in header.tensors.items()}) == kind
    assert {*FILES} == {*WORDS}


@pytest.mark.parametrize("kind", sorted(FILES))
@pytest.mark.parametrize("family", ["sdxl", "sd15"])
def test_base_of_another_kind_is_refused_by_the_plan(kind: str, family: str, tmp_path: Path) -> None:
    """A single file that is no checkpoint of the family: told what it is, without torch, with the family that would take it."""
    write(tmp_path / "base.safetensors", FILES[kind])
    component: Any = next(one for one in MODEL_FAMILIES if one.name == family)
    look: Callable[[], Any] = lambda: component.facts(  # noqa: E731
        component.options(checkpoint="base.safetensors"), context=Context(tmp_path, rng_of(0), lambda hook: []))

    if kind == family:
        assert look().family == family
        return
    with pytest.raises(SpecError) as caught:
        look()
    [problem] = caught.value.problems
    assert problem.code == "E-MODEL-KIND"
    assert WORDS[kind] in problem.message
    assert problem.hint == (f"write use = {kind!r} in [model]" if kind in ("sdxl", "sd15") else "")
