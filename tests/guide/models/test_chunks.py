"""Prompts longer than 75 tokens, in chunks: the same numbers as encoding each piece by itself and joining them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from loraspec_guide.models.facts import model_facts
from loraspec_guide.models.registry import MODEL_FAMILIES

from loraspec.randomness import rng_of
from loraspec.values import Context, Picture, Precision, Sampling

COMPONENTS = {component.name: component for component in MODEL_FAMILIES}
CPU = Precision(torch.device("cpu"), torch.float32, None)
LONG = " ".join(["boat", "cat"] * 15)  # letters are tokens here: 105 of them, in two chunks


@pytest.fixture(params=["sdxl-small", "sd15-small"])
def shape(request: pytest.FixtureRequest, tmp_path: Path, tiny_folder: Callable[..., Path]) -> str:
    """A shape, with a pipeline of it in the folder ``tiny``."""
    shutil.copytree(tiny_folder(request.param), tmp_path / "tiny")
    return str(request.param)


def made(folder: Path, shape: str, chunks: int) -> Any:
    component = COMPONENTS[shape.split("-")[0]]
    family = component.build(component.options(checkpoint="tiny", chunks=chunks))
    family.load(Context(folder, rng_of(0), lambda hook: []), precision=CPU)
    return family


def encoded(family: Any, prompt: str) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return dict(family.encode_tokens(torch.from_numpy(family.tokenize([prompt]))))


def pieces(family: Any, prompt: str, chunks: int) -> list[np.ndarray[Any, Any]]:
    """The reference: each piece of 75 tokens as a prompt of its own, with start, end and padding."""
    found = []
    for number in range(chunks):
        rows = []
        for tokenizer in family.tokenizers:
            ids = tokenizer(prompt, truncation=False, verbose=False).input_ids[1:-1][75 * number : 75 * (number + 1)]
            whole = [[tokenizer.bos_token_id, *ids, tokenizer.eos_token_id]]
            rows.append(tokenizer.pad({"input_ids": whole}, padding="max_length", max_length=77)["input_ids"][0])
        found.append(np.asarray(rows, dtype=np.int64))
    return found


@pytest.mark.parametrize("prompt", [LONG, "a boat", ""])
@pytest.mark.parametrize("chunks", [2, 3])
def test_chunks_equal_pieces_that_are_joined(shape: str, tmp_path: Path, prompt: str, chunks: int) -> None:
    """Embeddings are those of the pieces one behind the other, and the pooled one is the first piece's; joined they may round otherwise."""
    plain, long = made(tmp_path, shape, 1), made(tmp_path, shape, chunks)
    tokens = long.tokenize([prompt])
    parts = pieces(plain, prompt, chunks)
    assert np.array_equal(tokens[0], np.concatenate(parts, axis=1))
    ours = encoded(long, prompt)
    with torch.no_grad():
        theirs = [plain.encode_tokens(torch.from_numpy(part[None])) for part in parts]
    assert torch.allclose(ours["embeds"], torch.cat([one["embeds"] for one in theirs], dim=1), rtol=0, atol=2e-6)
    assert ours["embeds"].shape[1] == 77 * chunks
    if "pooled" in ours:
        assert torch.allclose(ours["pooled"], theirs[0]["pooled"], rtol=0, atol=2e-6)


def test_what_stands_behind_the_first_chunk_counts(shape: str, tmp_path: Path) -> None:
    """With one chunk the end of a long prompt is lost; with two it changes embeddings and pictures."""
    plain, long = made(tmp_path, shape, 1), made(tmp_path, shape, 2)
    other = LONG.removesuffix("cat") + "dog"
    assert torch.equal(encoded(plain, LONG)["embeds"], encoded(plain, other)["embeds"])
    assert not torch.equal(encoded(long, LONG)["embeds"], encoded(long, other)["embeds"])
    sampling = Sampling("ddim", 2, 5.0, 64, 48)
    [one], [two] = (long.generate([Picture(prompt, 1)], sampling=sampling) for prompt in (LONG, other))
    assert not np.array_equal(np.asarray(one), np.asarray(two))
    [negative] = long.generate([Picture(LONG, 1, other)], sampling=sampling)
    assert not np.array_equal(np.asarray(one), np.asarray(negative))
    long.generate([Picture(LONG, 1)], sampling=Sampling("ddim", 2, 1.0, 64, 48))  # without guidance


def test_plans_count_with_chunks(shape: str, tmp_path: Path) -> None:
    """A caption may then have 150 tokens."""
    name = shape.split("-")[0]
    options = COMPONENTS[name].options(checkpoint="tiny", chunks=2)
    assert model_facts(options, context=Context(tmp_path, rng_of(0), lambda hook: []), family=name).max_tokens == 150


@pytest.mark.parametrize("chunks", [0, 5])
def test_other_numbers_are_refused(chunks: int) -> None:
    """One to four."""
    with pytest.raises(ValueError, match="chunks"):
        COMPONENTS["sdxl"].options(chunks=chunks)
