"""The captions of an epoch, encoded ahead: each distinct token sequence once, then the text encoders leave the device."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from loraspec import forecast
from loraspec.dataplan import Step
from loraspec.engine.device import facts
from loraspec.engine.watch import is_out_of_memory
from loraspec.errors import RunError
from loraspec.recipes import Parts, Recipe, embedding_common, embedding_recipe

if TYPE_CHECKING:
    from loraspec.engine.run import Run

SHOWN = 60  # characters of a caption in a message
CHUNK = 1024  # captions tokenized, or moved to the disk, at once


class Encodings:
    """Prompt embeddings of one epoch on the host, by token ids; what the next epoch shares is kept.

    Every call of the encoders has the same number of rows, filled up with a row that is there already: rounding depends on the
    number of rows, not on the other rows. So an embedding is the same whatever was encoded with it, found in the cache or lost.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._by_tokens: dict[bytes, dict[str, Tensor]] = {}
        self._of_caption: dict[str, bytes] = {}
        self._rows = run.plan.spec.train.text_batch

    def encode_epoch(self, steps: Sequence[Step]) -> None:
        """Read or encode what the epoch's captions need and forget the rest.

        Raises:
            RunError: The device has too little memory, even for half as many prompts at once.
        """
        run = self._run
        captions = sorted({run.data.caption(visit) for step in steps for part in step.micro_batches for visit in part})
        tokens = run.family.tokenize(captions)
        self._of_caption = {caption: row.tobytes() for caption, row in zip(captions, tokens, strict=True)}
        rows = {row.tobytes(): row for row in tokens}
        self._by_tokens = {key: self._by_tokens[key] for key in rows if key in self._by_tokens}
        missing = {key: rows[key] for key in sorted(rows) if key not in self._by_tokens}
        if forecast.embedding_bytes(run.plan) <= forecast.HOST_BYTES:
            self._by_tokens |= self._made_within_memory(missing)
        else:
            self._by_tokens |= self._made_on_disk(missing)
        run.cache.tell_damage()

    def _made_on_disk(self, missing: Mapping[bytes, Any]) -> dict[bytes, dict[str, Tensor]]:
        """Return the same, in a file that is mapped into memory: what is looked at is there, and goes when memory is needed."""
        keys, found, shelf = list(missing), dict[bytes, dict[str, Tensor]](), dict[str, Tensor]()
        for start in range(0, len(keys), CHUNK):
            part = keys[start : start + CHUNK]
            for number, (key, tensors) in enumerate(self._made_within_memory({key: missing[key] for key in part}).items(), start):
                shelf = shelf or {name: mapped(self._run.folder, (len(keys), *one.shape), one.dtype) for name, one in tensors.items()}
                for name, tensor in tensors.items():
                    shelf[name][number].copy_(tensor)
                found[key] = {name: shelf[name][number] for name in tensors}
        return found

    def _made_within_memory(self, missing: Mapping[bytes, Any]) -> dict[bytes, dict[str, Tensor]]:
        """Return embeddings by token ids; when memory runs out, half as many prompts at once are tried, once."""
        wanted, device = self._rows, self._run.precision.device
        for self._rows in (wanted, max(1, wanted // 2)):
            try:
                return self._made(missing)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                self._run.say(f"out of memory while {self._rows} prompts were encoded at once on {device}", severity="warning")
        hint = f"set train.text_batch below {self._rows}, or free memory on {device}"
        raise RunError(f"out of memory while prompts were encoded, {self._rows} at once, on {device}\n    hint: {hint}").coded("E-RUN-OOM")

    def _made(self, missing: Mapping[bytes, Any]) -> dict[bytes, dict[str, Tensor]]:
        """Return embeddings by token ids, from the cache or encoded now and then kept there."""
        run, common = self._run, embeddings_of(self._run, self._rows)
        captions = {tokens: caption for caption, tokens in self._of_caption.items()}
        recipes = {key: embedding_recipe(common, key, row.shape) for key, row in missing.items()}
        found = {key: run.cache.get(recipe, name=f"prompt {captions[key][:SHOWN]!r}") for key, recipe in recipes.items()}
        made = {key: entry.tensors for key, entry in found.items() if entry is not None}
        fresh = {key: row for key, row in missing.items() if key not in made}
        if fresh:
            made |= self._encoded(fresh)
            kept = [key for key in made if key in fresh or run.cache.damaged]  # a damaged file is gone with all that it held
            run.cache.put([recipes[key] for key in kept], [made[key] for key in kept], [{} for _ in kept])
        run.record("cache", entries="embeddings", read=len(missing) - len(fresh), made=len(fresh))
        return made

    def _encoded(self, rows: Mapping[bytes, Any]) -> dict[bytes, dict[str, Tensor]]:
        run, keys, found = self._run, list(rows), dict[bytes, dict[str, Tensor]]()
        device = run.precision.device
        run.family.place("text_encoders", device=device)
        for start in range(0, len(keys), self._rows):
            run.check_interrupt()
            part = keys[start : start + self._rows]
            filled = part + part[:1] * (self._rows - len(part))
            ids = torch.stack([torch.from_numpy(rows[key].copy()) for key in filled]).to(device)
            with torch.no_grad():
                encoded = {name: value.cpu() for name, value in run.family.encode_tokens(ids).items()}
            for index, key in enumerate(part):
                found[key] = {name: value[index] for name, value in encoded.items()}
            run.progress("encode", len(found), len(keys))
        run.family.place("text_encoders", device=torch.device("cpu"))
        return found

    def of(self, captions: Sequence[str]) -> dict[str, Tensor]:
        """Return encoded captions of this epoch, stacked, on the device."""
        device = self._run.precision.device
        parts = [self._by_tokens[self._of_caption[caption]] for caption in captions]
        return {name: torch.stack([part[name] for part in parts]).to(device, non_blocking=True) for name in parts[0]}


def mapped(folder: Path, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Return a tensor that lies in a file of ``folder`` without a name: it is gone with the tensor, or with the process.

    Raises:
        OSError: The disk is full, or cannot do this.
    """
    count = math.prod(shape)
    with NamedTemporaryFile(dir=folder, prefix=".embeddings-") as file:
        if hasattr(os, "posix_fallocate"):  # a full disk is told now, and not as a bus error in the loop
            os.posix_fallocate(file.fileno(), 0, count * dtype.itemsize)
        return torch.from_file(file.name, shared=True, size=count, dtype=dtype).view(shape)


class LiveEncodings(Encodings):
    """Prompts through the text encoders in every step: needed when the adapter trains them."""

    def encode_epoch(self, steps: Sequence[Step]) -> None:
        """Keep the encoders on the device."""
        self._run.family.place("text_encoders", device=self._run.precision.device)

    def of(self, captions: Sequence[str]) -> dict[str, Tensor]:
        """Encode now, with gradient."""
        run = self._run
        ids = torch.from_numpy(run.family.tokenize(captions))
        return dict(run.family.encode_tokens(ids.to(run.precision.device)))


def embeddings_of(run: Run, rows: int) -> Parts:
    """Return the parts that the embeddings of a run share when ``rows`` prompts are encoded at once."""
    dtype = str(run.precision.weights).removeprefix("torch.")
    return embedding_common(text_encoders=run.family.content()["text_encoders"], batch=rows, dtype=dtype, device=facts(run.precision))


def every_embedding(run: Run) -> Iterator[Recipe]:
    """Yield the recipes of the prompts of all epochs."""
    common = embeddings_of(run, run.plan.spec.train.text_batch)
    captions = sorted({caption for epoch in range(1, run.data.epochs + 1) for _, _, caption in run.data.captions(epoch)})
    for start in range(0, len(captions), CHUNK):
        for row in run.family.tokenize(captions[start : start + CHUNK]):
            yield embedding_recipe(common, row.tobytes(), row.shape)
