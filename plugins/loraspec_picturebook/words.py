"""The tokenizer of the embedded base: CLIP's format with a small vocabulary of our own.

Byte-level BPE as CLIP's: 256 bytes, 256 bytes that end a word, merges, and the two marks. The merges are learned from
the world's own captions and from a list of words that styles are often called by, each counted often enough to become
one token; any other word falls apart into pieces, and every text has tokens.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

from loraspec_picturebook import vocabulary
from loraspec_picturebook.models import MAX_TOKENS

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import CLIPTokenizer

START: Final = "<|startoftext|>"
END: Final = "<|endoftext|>"

STYLE_WORDS: Final = """
lithography lithograph engraving copperplate caricature by honoré daumier stained glass leaded window print drawing
picture illustration emoji openmoji outline outlined black flat colour color style art painting oil ink line lines fine
parallel hatching cross woodcut woodblock linocut etching sketch charcoal chalk poster cartoon comic photo photograph
portrait scene halftone dots mosaic paper cut collage vintage old modern simple bold thin thick dark light bright pale
round square smiling face sun moon star heart animal food fruit plant symbol object icon sign person people dog horse
rabbit bear cow pig mouse apple bread cake train bus bicycle plane ship rocket mountain river lake bridge tower church
shop table chair lamp book clock hat shoe coat dress hand eye water fire snow rain wind summer winter night day morning
evening big little tiny huge left right front behind with without and the of in on at a an from near under over this that
french german english japanese dutch italian nineteenth century newspaper satire gothic cathedral medieval sks ohwx xyz
in the style of grey gray gold silver brown violet pink cyan magenta turquoise beige
"""
"""Words that are one token although the world does not use them: the base has no meaning for them, a LoRA may."""


def byte_letters() -> list[str]:
    """One printable letter for each byte, as byte-level BPE writes them: itself, or a letter from 256 on."""
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


def _letters(word: str) -> list[str]:
    table = byte_letters()
    letters = [table[byte] for byte in word.encode()]
    return [*letters[:-1], letters[-1] + "</w>"]


def corpus() -> list[str]:
    """The distinct words to learn merges from, in a fixed order."""
    text = " ".join(
        (
            *vocabulary.SUBJECTS,
            *vocabulary.COLOURS,
            *vocabulary.SIZES,
            *vocabulary.SETTINGS,
            *vocabulary.ELEMENTS,
            *vocabulary.ELEMENTS.values(),
            *vocabulary.COUNTS.values(),
            *vocabulary.MANNERS,
            STYLE_WORDS,
        )
    )
    return list(dict.fromkeys(re.findall(r"\w+", text.lower())))


def learn_merges(words: list[str]) -> list[tuple[str, str]]:
    """Merges that make every word one token: the most frequent pair first, ties by spelling."""
    pieces = [_letters(word) for word in words]
    merges: list[tuple[str, str]] = []
    while any(len(parts) > 1 for parts in pieces):
        pairs = Counter(pair for parts in pieces for pair in pairwise(parts))
        left, right = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append((left, right))
        pieces = [_merge(parts, left, right) for parts in pieces]
    return merges


def _merge(parts: list[str], left: str, right: str) -> list[str]:
    merged: list[str] = []
    for part in parts:
        if part == right and merged and merged[-1] == left:
            merged[-1] = left + right
        else:
            merged.append(part)
    return merged


def write_tokenizer(folder: Path) -> None:
    """Writes vocab.json, merges.txt and the two configuration files of a CLIP tokenizer."""
    merges = learn_merges(corpus())
    letters = byte_letters()
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *dict.fromkeys(a + b for a, b in merges), START, END]
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "vocab.json", {token: index for index, token in enumerate(tokens)})
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    marks = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    _write(folder / "special_tokens_map.json", marks)
    settings = {
        "add_prefix_space": False,
        "do_lower_case": True,
        "errors": "replace",
        "model_max_length": MAX_TOKENS,
        "tokenizer_class": "CLIPTokenizer",
    }
    _write(folder / "tokenizer_config.json", {**settings, **marks})


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    """The tokenizer in a folder written by write_tokenizer."""
    from transformers import CLIPTokenizer

    tokenizer: CLIPTokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    return tokenizer


def token_ids(tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """The texts' token ids, int64, n x 48: cut or padded as SDXL's pipeline does."""
    ids: Tensor = tokenizer(texts, padding="max_length", truncation=True, max_length=MAX_TOKENS, return_tensors="pt").input_ids
    return ids
