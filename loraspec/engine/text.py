"""The captions of an epoch, encoded ahead: each distinct token sequence once, then the text encoders leave the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from loraspec.contracts import Visit
from loraspec.dataplan import Step

if TYPE_CHECKING:
    from loraspec.engine.run import Run


class Encodings:
    """Prompt embeddings of one epoch on the host, by token ids; what the next epoch shares is kept."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._by_tokens: dict[bytes, dict[str, Tensor]] = {}
        self._of_caption: dict[str, bytes] = {}

    def encode_epoch(self, steps: Sequence[Step]) -> None:
        """Encode what the epoch's captions need and forget the rest."""
        run = self._run
        captions = sorted({run.data.caption(visit) for step in steps for part in step.micro_batches for visit in part})
        tokens = run.family.tokenize(captions)
        self._of_caption = {caption: row.tobytes() for caption, row in zip(captions, tokens, strict=True)}
        rows = {row.tobytes(): row for row in tokens}
        self._by_tokens = {key: self._by_tokens[key] for key in rows if key in self._by_tokens}
        missing = [key for key in sorted(rows) if key not in self._by_tokens]
        if not missing:
            return
        device, size = run.precision.device, run.plan.spec.train.text_batch
        run.family.place("text_encoders", device=device)
        for start in range(0, len(missing), size):
            run.check_interrupt()
            part = missing[start : start + size]
            ids = torch.stack([torch.from_numpy(rows[key].copy()) for key in part]).to(device)
            with torch.no_grad():
                encoded = run.family.encode_tokens(ids)
            for index, key in enumerate(part):
                self._by_tokens[key] = {name: value[index].cpu() for name, value in encoded.items()}
            run.progress("encode", min(start + size, len(missing)), len(missing))
        run.family.place("text_encoders", device=torch.device("cpu"))

    def of(self, visits: Sequence[Visit]) -> dict[str, Tensor]:
        """Return the encoded captions of visits, stacked, on the device."""
        data, device = self._run.data, self._run.precision.device
        parts = [self._by_tokens[self._of_caption[data.caption(visit)]] for visit in visits]
        return {name: torch.stack([part[name] for part in parts]).to(device, non_blocking=True) for name in parts[0]}


class LiveEncodings(Encodings):
    """Prompts through the text encoders in every step: needed when the adapter trains them."""

    def encode_epoch(self, steps: Sequence[Step]) -> None:
        """Keep the encoders on the device."""
        self._run.family.place("text_encoders", device=self._run.precision.device)

    def of(self, visits: Sequence[Visit]) -> dict[str, Tensor]:
        """Encode now, with gradient."""
        run = self._run
        ids = torch.from_numpy(run.family.tokenize([run.data.caption(visit) for visit in visits]))
        return dict(run.family.encode_tokens(ids.to(run.precision.device)))
