"""Every random draw as a pure function of (seed, purpose, index): nothing is consumed, nothing depends on order.

The generator is NumPy's Philox (Salmon et al. 2011), keyed by sha256 of the canonical JSON of its arguments.
"""

from __future__ import annotations

import hashlib
import json
from functools import partial
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np


class Rng(Protocol):
    """``rng(purpose, *index)``: a fresh generator, the same for the same arguments on every machine."""

    def __call__(self, purpose: str, *index: int | str) -> np.random.Generator:
        """Return the generator of this draw."""


def draw_hash(seed: int, purpose: str, *index: int | str) -> bytes:
    """Return 32 bytes that depend on every argument and on nothing else."""
    text = json.dumps([seed, purpose, *index], ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).digest()


def generator(seed: int, purpose: str, *index: int | str) -> np.random.Generator:
    """Return a NumPy generator over Philox4x64 whose 128-bit key is ``draw_hash``."""
    import numpy as np

    key = int.from_bytes(draw_hash(seed, purpose, *index)[:16], "little")
    return np.random.Generator(np.random.Philox(key=key))


def rng_of(seed: int) -> Rng:
    """Return the run's ``rng``: what plugins get, and the only random source there is."""
    return partial(generator, seed)


def sort_key(seed: int, purpose: str, *index: int | str) -> int:
    """Return a 64-bit integer to sort by: a shuffle that each item computes alone."""
    return int.from_bytes(draw_hash(seed, purpose, *index)[:8], "little")
