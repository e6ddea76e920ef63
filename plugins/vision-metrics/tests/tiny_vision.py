"""Tiny models with random weights, in the files that real ones come in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch


def _drawn(model: Any, seed: int) -> Any:
    """Give a model's parameters normal values of its own generator."""
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.normal_(0.0, 0.2, generator=source)
    return model


def clip_folder(folder: Path, family: str) -> Path:
    """Write a CLIP or SigLIP of a few channels as transformers saves one."""
    from transformers import (
        CLIPConfig,
        CLIPImageProcessorPil,
        CLIPModel,
        SiglipConfig,
        SiglipImageProcessorPil,
        SiglipModel,
    )

    text = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 20,
            "vocab_size": 64, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}  # fmt: skip
    vision = {key: text[key] for key in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")}
    vision |= {"image_size": 32, "patch_size": 8}
    if family == "clip":
        model: Any = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8))
        processor: Any = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    else:
        model = SiglipModel(SiglipConfig(text_config={**text, "projection_size": 16}, vision_config=vision))
        processor = SiglipImageProcessorPil(size={"height": 32, "width": 32})
    _drawn(model, 3).save_pretrained(folder)
    processor.save_pretrained(folder)
    _tokenizer(folder)
    return folder


def _tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["<unk>", "<s>", "</s>", ",", "square", "circle", "by", "Tiny", "red", "blue"]
    made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    special = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>"}
    PreTrainedTokenizerFast(tokenizer_object=made, **special).save_pretrained(folder)


def csd_file(path: Path, *, prefix: str = "module.") -> str:
    """Write a style descriptor, as its authors name its parts, and return its architecture's name, which open_clip knows from then on."""
    import open_clip
    from safetensors.torch import save_file

    name = "ViT-tiny-test"
    vision = {"image_size": 32, "layers": 2, "width": 32, "patch_size": 8, "head_width": 16}
    text = {"context_length": 20, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1}
    (path.parent / f"{name}.json").write_text(json.dumps({"embed_dim": 12, "vision_cfg": vision, "text_cfg": text, "quick_gelu": True}))
    open_clip.add_model_config(path.parent / f"{name}.json")
    tower = _drawn(open_clip.create_model(name, pretrained=None).visual, 4)
    head = tower.proj.detach().clone()
    tower.proj = None
    state = {f"{prefix}backbone.{key}": tensor for key, tensor in tower.state_dict().items()}
    state |= {f"{prefix}last_layer_style": head, f"{prefix}last_layer_content": head.clone()}
    save_file({key: tensor.contiguous() for key, tensor in state.items()}, path)
    return name


class _Descriptor(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 8, stride=8), torch.nn.ReLU(), torch.nn.Conv2d(8, 16, 4))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.body(pixels).mean((2, 3))


def sscd_file(path: Path) -> None:
    """Write a TorchScript that turns pictures into descriptors."""
    torch.jit.script(_drawn(_Descriptor(), 5)).save(str(path))


def timm_file(path: Path, name: str) -> None:
    """Write weights of a timm model."""
    import timm
    from safetensors.torch import save_file

    save_file(_drawn(timm.create_model(name, pretrained=False), 6).state_dict(), path)
