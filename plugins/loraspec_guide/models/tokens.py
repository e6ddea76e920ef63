"""Tokenizers of a base: for training, and for counting tokens while planning. No torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loraspec.errors import EnvironmentMissing, LoraspecError
from loraspec.values import Context
from loraspec_guide.models.configs import read_json, refuse_code
from loraspec_guide.models.hub import cached, download
from loraspec_guide.models.places import Place
from loraspec_guide.models.standard import Architecture

if TYPE_CHECKING:
    from loraspec_guide.models.registry import ModelOptions

TOKENIZERS = {"text_encoder": "tokenizer", "text_encoder_2": "tokenizer_2"}
VOCABULARY = {"sdxl": "stabilityai/stable-diffusion-xl-base-1.0", "sd15": "stable-diffusion-v1-5/stable-diffusion-v1-5"}


def tokenizers(options: ModelOptions, context: Context, place: Place, base: Architecture, family: str) -> tuple[Any, ...]:
    """Return the tokenizers in the order of the text encoders; those of a single file's family are fetched.

    Raises:
        EnvironmentMissing: There is no vocabulary.
    """
    folder = _named(options, context, place)
    if folder is None:
        try:
            folder = download(VOCABULARY[family], "main", variant=None, parts=("tokenizer", "tokenizer_2"))
        except EnvironmentMissing:
            raise EnvironmentMissing(
                f"{place.text!r} is a single file: it holds no vocabulary for its text encoders, and none is in the local cache",
                hint=f"with a network: hf download {VOCABULARY[family]} --include 'tokenizer*/*'; "
                "or set model.tokenizer to a folder that has it",
            ) from None
    return tuple(_tokenizer(folder, TOKENIZERS[part], base.max_length) for part in base.text)


def counter(
    options: ModelOptions, context: Context, place: Place, base: Architecture, family: str
) -> Callable[[], Callable[[str], int] | None]:
    """Return what makes a counter of tokens (start and end left out), or None where the vocabulary is not here; nothing is fetched."""

    def made() -> Callable[[str], int] | None:
        try:
            folder = _named(options, context, place)
            if folder is None:
                folder = cached(place.text, options.revision) if place.kind == "hub" else cached(VOCABULARY[family], "main")
            if folder is None:
                return None
            first = _tokenizer(folder, TOKENIZERS[next(iter(base.text))], base.max_length)
        except (LoraspecError, OSError, ValueError):
            return None
        return lambda text: len(first(text, truncation=False, verbose=False).input_ids) - 2

    return made


def _named(options: ModelOptions, context: Context, place: Place) -> Path | None:
    """Return the folder that the options name, None for a single file and for a hub id."""
    if options.tokenizer is not None:
        folder = context.path(options.tokenizer)
        if not folder.is_dir():
            raise EnvironmentMissing(f"model.tokenizer: no folder is at {options.tokenizer!r}").coded("E-MODEL-PATH")
        refuse_code(folder)
        return folder
    return place.path if place.kind == "folder" else None


def _tokenizer(folder: Path, name: str, length: int) -> Any:
    from transformers import CLIPTokenizer

    inside = next((one for one in (folder / name, folder) if (one / "vocab.json").is_file() or (one / "tokenizer.json").is_file()), None)
    if inside is None:
        raise EnvironmentMissing(f"{folder.name!r} has no vocabulary: neither {name}/vocab.json nor vocab.json is there")
    extra: dict[str, Any] = {}
    if inside == folder and name == "tokenizer_2" and "!" in read_json(folder / "vocab.json"):
        extra["pad_token"] = "!"  # SDXL pads its second encoder with token 0
    made = CLIPTokenizer.from_pretrained(str(inside), local_files_only=True, **extra)
    made.model_max_length = min(int(made.model_max_length), length)
    return made
