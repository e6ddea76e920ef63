"""Facts without torch against the real architectures on torch's meta device."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
from loraspec_guide.adapters.lora import live_targets
from loraspec_guide.adapters.registry import LoraOptions, lora_facts
from loraspec_guide.models import registry
from loraspec_guide.models.architecture import clip_targets, unet_targets
from loraspec_guide.models.facts import facts_of
from loraspec_guide.models.standard import SD15, SDXL, Architecture
from loraspec_guide.models.weights import empty

from loraspec.errors import SpecError

OTHER_LAYOUTS = [
    {"block_out_channels": [32, 64], "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"], "layers_per_block": 1,
     "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"], "attention_head_dim": 8, "cross_attention_dim": 24},
    {"block_out_channels": [32, 64, 96], "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
     "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"], "layers_per_block": [1, 2, 3],
     "attention_head_dim": [2, 3, 5], "transformer_layers_per_block": [1, 2, 3], "cross_attention_dim": 24, "use_linear_projection": True},
    {"block_out_channels": [32, 64, 96], "down_block_types": ["CrossAttnDownBlock2D"] * 3, "up_block_types": ["CrossAttnUpBlock2D"] * 3,
     "layers_per_block": 1, "attention_head_dim": 4, "cross_attention_dim": 24,
     "transformer_layers_per_block": [1, 2, 2], "reverse_transformer_layers_per_block": [1, 1, 3]},
]  # fmt: skip


@pytest.mark.parametrize(("base", "modules", "per_rank"), [(SDXL, 722, 2_659_840), (SD15, 192, None)], ids=["sdxl", "sd15"])
def test_table_equals_the_real_unet(base: Architecture, modules: int, per_rank: int | None) -> None:
    """Names, widths, kinds and order of every target are those of the built U-Net; the published counts hold."""
    targets = unet_targets(base.unet)

    assert list(targets) == live_targets("unet", empty("unet", base.unet))
    assert len(targets) == modules
    if per_rank is not None:
        assert sum(target.in_features + target.out_features for target in targets) == per_rank


@pytest.mark.parametrize("config", OTHER_LAYOUTS, ids=["two-blocks", "uneven-layers", "reversed-depths"])
def test_walk_follows_other_layouts(config: dict[str, Any]) -> None:
    """U-Nets with other blocks, layers, heads and depths are walked as diffusers builds them."""
    assert list(unet_targets(config)) == live_targets("unet", empty("unet", config | {"norm_num_groups": 8}))


@pytest.mark.parametrize("part", ["text_encoder", "text_encoder_2"])
def test_table_equals_the_real_text_encoders(part: str) -> None:
    """Both CLIP encoders of SDXL have the targets that the walk lists: 72 and 192."""
    targets = clip_targets(SDXL.text[part], part)

    assert list(targets) == live_targets(part, empty(part, SDXL.text[part]))
    assert len(targets) == {"text_encoder": 72, "text_encoder_2": 192}[part]


@pytest.mark.parametrize(("base", "count"), [(SDXL, 2_567_463_684), (SD15, 859_520_964)], ids=["sdxl", "sd15"])
def test_standard_unets_have_the_published_size(base: Architecture, count: int) -> None:
    """The configs kept as data make the U-Nets of the published sizes."""
    assert sum(weight.numel() for weight in empty("unet", base.unet).parameters()) == count


@pytest.mark.parametrize(("part", "count"), [("vae", 83_653_863), ("text_encoder", 123_060_480), ("text_encoder_2", 694_659_840)])
def test_standard_sdxl_parts_have_the_published_size(part: str, count: int) -> None:
    """So do the VAE and both text encoders."""
    config = SDXL.vae if part == "vae" else SDXL.text[part]
    assert sum(weight.numel() for weight in empty(part, config).parameters()) == count


def test_lora_counts_follow() -> None:
    """Rank 64 on SDXL is 64 times the parameters per rank; text encoders come on request; attention is a subset."""
    facts = facts_of(SDXL, public="base", prediction="epsilon")

    assert lora_facts(LoraOptions(rank=64), model=facts).parameters == 64 * 2_659_840
    assert len(lora_facts(LoraOptions(text_encoder=True), model=facts).alphas) == 722 + 72 + 192
    attention = lora_facts(LoraOptions(target_modules="attention"), model=facts)
    assert len(attention.alphas) == 70 * 8
    assert all(re.search(r"\.attn[12]\.(to_[qkv]|to_out\.0)$", module) for module in attention.alphas)


def test_facts_of_sdxl() -> None:
    """What ``plan`` says of SDXL."""
    facts = facts_of(SDXL, public="base", prediction="epsilon")

    assert (facts.step, facts.native_resolution, facts.latent_channels, facts.latent_scale) == (8, 1024, 4, 8)
    assert (facts.text_widths, facts.pooled_width, facts.max_tokens) == ((768, 1280), 1280, 75)
    sd15 = facts_of(SD15, public="base", prediction="epsilon")
    assert (sd15.native_resolution, sd15.text_widths, sd15.pooled_width) == (512, (768,), 0)


@pytest.mark.parametrize("change", [{"mid_block_type": "UNetMidBlock2DSimpleCrossAttn"}, {"dual_cross_attention": True},
                                    {"down_block_types": ["KDownBlock2D"] * 4}, {"layers_per_block": [2, 2]},
                                    {"only_cross_attention": True}, {"transformer_layers_per_block": [[1], [1], [1], [1]]}])  # fmt: skip
def test_unknown_architectures_are_refused(change: dict[str, Any]) -> None:
    """A U-Net that the walk would count wrong is told, not guessed."""
    with pytest.raises(SpecError, match=r"model\.checkpoint"):
        unet_targets(SD15.unet | change)


@pytest.mark.parametrize(("resolution", "step", "width", "paths"), [(1024, 64, 0, []), (1024, 60, 0, ["data.buckets.step"]),
                                                                    (512, 64, 1020, ["grid.width", "data.resolution"])])  # fmt: skip
def test_plan_is_checked_against_the_base(resolution: int, step: int, width: int, paths: list[str]) -> None:
    """Sides that the U-Net cannot take are errors; a resolution far from the base's own is a warning."""
    data = SimpleNamespace(resolution=resolution, buckets=SimpleNamespace(step=step))
    stage = SimpleNamespace(entry=SimpleNamespace(component=registry.MODEL_FAMILIES[0]))
    plan: Any = SimpleNamespace(one=lambda name: stage, model=facts_of(SDXL, public="base", prediction="epsilon"),
                                spec=SimpleNamespace(data=data, grid=SimpleNamespace(width=width, height=0)))  # fmt: skip

    problems = list(registry.check_plan(plan))
    assert [problem.path for problem in problems] == paths
    assert {problem.severity for problem in problems if problem.path == "data.resolution"} <= {"warning"}
