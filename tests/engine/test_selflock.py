"""Self-lock: training captions that give their own training picture back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from loraspec.engine.selflock import CAPTIONS, EPOCHS, self_lock, told

TRAINED = np.random.Generator(np.random.PCG64(7)).normal(size=(12, 6))


def reading(drawn: Any, *, captions: Any = None, known: int = 12, epochs: int = 9) -> Any:
    """An originality reading whose pictures of an epoch have the features ``drawn(epoch, number of the caption)``."""
    captions = captions or [f"caption {number}" for number in range(12)]
    asked: list[tuple[int, float, tuple[str, ...], tuple[int, ...]]] = []

    def pictures(epoch: int, weight: float, *, prompts: Any, seeds: Any) -> list[Any]:
        asked.append((epoch, weight, tuple(prompts), tuple(seeds)))
        return [drawn(epoch, captions.index(prompt)) for prompt in prompts]

    gallery = SimpleNamespace(
        training=[SimpleNamespace(prompt=caption) for caption in captions], epochs=tuple(range(1, epochs + 1)), weights=(0.8, 1.0, 1.15),
        seeds=(5, 6), pictures=pictures,
    )  # fmt: skip
    return SimpleNamespace(gallery=gallery, training=TRAINED[:known], features=np.stack, scale=1.0, asked=asked)


def test_pictures_that_come_back_are_counted() -> None:
    """From epoch 5 on every caption gives its own picture, before another's: all, and none; a few captions and epochs are asked."""
    found = reading(lambda epoch, n: TRAINED[n if epoch >= 5 else (n + 1) % 12] + 0.01)
    rows = self_lock(found)
    assert [row["epoch"] for row in rows] == [0, 1, 3, 5, 7, 9]
    assert [(row["recalled"], row["asked"]) for row in rows] == [(0, 8), (0, 8), (0, 8), (8, 8), (8, 8), (8, 8)]
    assert rows[0]["contrast"] < 0 < rows[-1]["contrast"]
    assert len(rows) == 1 + EPOCHS
    assert [weight for _, weight, _, _ in found.asked] == [0.0, *[1.0] * EPOCHS]
    assert {(len(prompts), seeds) for _, _, prompts, seeds in found.asked} == {(CAPTIONS, (5,))}
    assert told(rows) == ("epoch 5 gives 8 of 8 training pictures back when asked with their captions; the base gives 0 of 8",)


def test_the_nearest_that_is_no_copy_is_not_counted() -> None:
    """Its own picture is the nearest, but not nearer than real works are to each other."""
    rows = self_lock(reading(lambda epoch, n: TRAINED[n] * 1.9))
    assert all(row["recalled"] == 0 for row in rows)
    assert told(rows) == ("no training caption gives its own picture back (8 asked, epochs 1, 3, 5, 7, 9)",)


@pytest.mark.parametrize("given", [{"captions": [""] * 12}, {"captions": ["the same"] * 12}, {"known": 11}])
def test_nothing_is_asked_where_nothing_could_be_told(given: dict[str, Any]) -> None:
    """No captions, one caption for all, a training picture that could not be measured."""
    found = reading(lambda epoch, n: TRAINED[n], **given)
    assert self_lock(found) == []
    assert found.asked == []
    assert told([]) == ()


def test_a_cell_that_failed_is_left_out() -> None:
    """Rows of NaN are no answer; where nothing is left there is no row."""
    nothing = np.full(6, np.nan)
    rows = self_lock(reading(lambda epoch, n: nothing if epoch == 9 or n == 0 else TRAINED[n]))
    assert [(row["epoch"], row["recalled"], row["asked"]) for row in rows] == [(e, 7, 7) for e in (0, 1, 3, 5, 7)]
