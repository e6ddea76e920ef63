"""Python's cyclic garbage collector while a run starts.

Importing torch, diffusers and PEFT makes 700,000 objects that all stay. To go through them again and again is a tenth of the start.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_back() -> Iterator[None]:
    """Collect nothing until ``go_on`` is called or the block ends."""
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.enable()


def go_on() -> None:
    """Collect again, if it was held back; what is there by now is not looked through before the block ends."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
