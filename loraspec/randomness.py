"""Every random draw as a pure function of (seed, purpose, index): nothing is consumed, nothing depends on order.

The generator is NumPy's Philox (Salmon et al. 2011), keyed by sha256 of the canonical JSON of its arguments.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np


canonical = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode  # made once: ``json.dumps`` makes one at each call


class Rng(Protocol):
    """``rng(purpose, *index)``: a fresh generator, the same for the same arguments on every machine."""

    def __call__(self, purpose: str, *index: int | str) -> np.random.Generator:
        """Return the generator of this draw."""


def draw_hash(seed: int, purpose: str, *index: int | str) -> bytes:
    """Return 32 bytes that depend on every argument and on nothing else."""
    return hashlib.sha256(canonical([seed, purpose, *index]).encode("ascii")).digest()


def generator(seed: int, purpose: str, *index: int | str) -> np.random.Generator:
    """Return a NumPy generator over Philox4x64 whose 128-bit key is ``draw_hash``."""
    import numpy as np

    return np.random.Generator(np.random.Philox(_keyed()(draw_hash(seed, purpose, *index)[:16])))


@cache
def _keyed() -> Callable[[bytes], Any]:
    """Return what hands a key of 16 bytes to Philox as it is.

    ``Philox(key=...)`` does the same in three times the time: it asks the system for randomness first, and throws it away.
    """
    import numpy as np
    from numpy.random.bit_generator import ISeedSequence

    class Keyed(ISeedSequence):
        def __init__(self, key: bytes) -> None:
            self.key = np.frombuffer(key, "<u8").astype(np.uint64, copy=False)

        def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Any:
            """Return the two words that Philox asks for."""
            if (n_words, np.dtype(dtype)) != (2, np.dtype(np.uint64)):
                raise RuntimeError(f"NumPy's Philox asked for {n_words} words of {np.dtype(dtype)}; a key has 2 of uint64")
            return self.key

    return Keyed


def rng_of(seed: int) -> Rng:
    """Return the run's ``rng``: what plugins get, and the only random source there is."""
    return partial(generator, seed)


def uniform53(generator: np.random.Generator) -> int:
    """Return a uniform integer of 53 bits: the generator's next raw word without its low 11 bits.

    Raw words are what NumPy keeps stable between versions; ``scaled`` maps one to a range without rounding.
    """
    return int(generator.bit_generator.random_raw()) >> 11


def scaled(draw: int, count: int) -> int:
    """Map a draw of ``uniform53`` to 0 .. ``count - 1``: exact integer arithmetic, the same on every machine."""
    return draw * count >> 53


def order_of(generator: np.random.Generator, count: int) -> list[int]:
    """Return the numbers 0 .. ``count - 1`` in a uniform order: sorted by one raw 64-bit word each."""
    words = generator.bit_generator.random_raw(count).tolist()
    return sorted(range(count), key=words.__getitem__)  # stable: equal words keep their order


def sort_key(seed: int, purpose: str, *index: int | str) -> int:
    """Return a 64-bit integer to sort by: a shuffle that each item computes alone."""
    return int.from_bytes(draw_hash(seed, purpose, *index)[:8], "little")
