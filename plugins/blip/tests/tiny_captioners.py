"""Tiny models, taught in seconds to tell red squares from blue circles, in the files that real ones come in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw

RED, BLUE = "a red square on paper", "the image shows a blue circle. it is small."
ASKED = "a picture of what does the image describe ? in detail with paragraph"
WORDS = sorted({word for text in (RED, BLUE, ASKED) for word in text.replace(".", " . ").split()})


def picture(name: str, seed: int = 0, side: int = 40) -> Image.Image:
    """Return a red square or a blue circle, somewhere."""
    image = Image.new("RGB", (side, side), "white")
    place = 4 + seed % 5
    if name == "red":
        ImageDraw.Draw(image).rectangle((place, place, place + 22, place + 22), fill="red")
    else:
        ImageDraw.Draw(image).ellipse((place, place, place + 22, place + 22), fill="blue")
    return image


def _tokenizer(special: dict[str, str], single: str, more: list[str]) -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    names = list(dict.fromkeys(special.values()))
    words = [*names, *more, *WORDS]
    made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token=special["unk_token"]))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=[(name, number) for number, name in enumerate(names) if name in single]
    )
    extra = {"extra_special_tokens": {"image_token": more[0]}} if more else {}
    return PreTrainedTokenizerFast(tokenizer_object=made, **special, **extra)


def _taught(model: Any, batch: dict[str, torch.Tensor], steps: int = 120) -> Any:
    """Overfit a model on a batch."""
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
    return model.eval()


def _started(model: Any, seed: int) -> Any:
    """Give a model's parameters values of their own generator; those of norms stay."""
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in model.parameters():
            if tensor.dim() > 1:
                tensor.normal_(0.0, 0.08, generator=source)
    return model


def _pictures() -> tuple[list[Image.Image], list[str]]:
    return [picture(name, seed) for seed in range(5) for name in ("red", "blue")], [RED, BLUE] * 5


def blip_folder(folder: Path) -> Path:
    """Write a BLIP of a few channels as transformers saves one."""
    from transformers import BlipConfig, BlipForConditionalGeneration, BlipImageProcessorPil, BlipProcessor

    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "bos_token": "[DEC]", "eos_token": "[SEP]", "cls_token": "[CLS]",
               "sep_token": "[SEP]"}  # fmt: skip
    tokenizer = _tokenizer(special, "[CLS] $A [SEP]", [])
    numbers = {name: tokenizer.convert_tokens_to_ids(special[f"{name}_token"]) for name in ("pad", "bos", "eos", "sep")}
    text = {"vocab_size": len(tokenizer), "hidden_size": 32, "encoder_hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 2, "max_position_embeddings": 40, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
            "label_smoothing": 0.0, **{f"{name}_token_id": number for name, number in numbers.items()}}  # fmt: skip
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32,
              "patch_size": 8}  # fmt: skip
    config = BlipConfig(text_config=text, vision_config=vision, projection_dim=8, image_text_hidden_size=8, label_smoothing=0.0)
    model = _started(BlipForConditionalGeneration(config), 3)
    processor = BlipProcessor(BlipImageProcessorPil(size={"height": 32, "width": 32}), tokenizer)
    images, texts = _pictures()
    batch = processor(images=images, text=texts, padding=True, return_tensors="pt")
    batch["input_ids"][:, 0] = numbers["bos"]  # as generation begins
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    given = {name: batch[name] for name in ("pixel_values", "input_ids", "attention_mask")}
    _taught(model, {**given, "labels": labels}).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def florence_folder(folder: Path) -> Path:
    """Write a Florence-2 of a few channels as transformers saves one."""
    from transformers import BartConfig, CLIPImageProcessorPil, Florence2Config, Florence2ForConditionalGeneration, Florence2Processor

    special = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokenizer = _tokenizer(special, "<s> $A </s>", ["<image>"])
    text = BartConfig(vocab_size=len(tokenizer), d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
                      decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=300, dropout=0.0,
                      pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2, forced_eos_token_id=None)  # fmt: skip
    vision = {"depths": [1, 1], "patch_size": [7, 3], "patch_stride": [4, 2], "patch_padding": [3, 1], "patch_prenorm": [False, True],
              "embed_dim": [16, 32], "num_heads": [2, 2], "num_groups": [2, 2], "window_size": 4, "drop_path_rate": 0.0,
              "projection_dim": 32}  # fmt: skip
    image_token = tokenizer.convert_tokens_to_ids("<image>")
    config = Florence2Config(text_config=text, vision_config=vision, image_token_id=image_token)
    model = _started(Florence2ForConditionalGeneration(config), 4)
    shown = CLIPImageProcessorPil(size={"height": 32, "width": 32}, do_center_crop=False)
    with torch.no_grad():
        shown.image_seq_length = model.get_image_features(torch.zeros(1, 3, 32, 32)).pooler_output.shape[1]
    processor = Florence2Processor(shown, tokenizer)
    images, texts = _pictures()
    batch = processor(images=images, text=["<MORE_DETAILED_CAPTION>"] * len(images), return_tensors="pt")
    answers = tokenizer(texts, padding=True, return_tensors="pt")
    labels = answers["input_ids"].masked_fill(answers["attention_mask"] == 0, -100)
    _taught(model, {**batch, "labels": labels}).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
