"""How near pictures of a prompt come to training pictures by its words alone."""

from __future__ import annotations

import numpy as np
import pytest

from loraspec.engine.leeway import LEAST, _leeways, _shared
from loraspec.randomness import generator

SEEDS, D = (1, 2), 400
WORDS = ("near", "far", "same")


def _drawn(*, noise: float = 0.4, own: float = 0.3):
    """Six captions in two seeds, and three prompts: one near the first caption, one of its own, one with the first caption's very words."""
    rng = generator(5, "leeway")
    captions = rng.standard_normal((6, D))
    near, far = captions[0] + own * rng.standard_normal(D), rng.standard_normal(D)
    drawn = [(seed, captions + noise * rng.standard_normal((6, D))) for seed in SEEDS]
    prompts = np.stack([near, far, captions[0]])
    return [(seed, prompts + noise * rng.standard_normal((3, D))) for seed in (1, 2, 7, 8)], drawn


def test_prompts_near_to_captions_get_less_leeway_than_others() -> None:
    """The usual distance is that of different captions; a prompt that has nothing of any keeps it whole."""
    found = _leeways(WORDS, *_drawn())
    assert LEAST <= found["same"] < found["near"] < 0.9
    assert found["far"] > 0.97
    assert _leeways(WORDS, *_drawn(noise=0.0, own=0.0))["same"] == LEAST


def test_equal_noise_is_no_likeness() -> None:
    """A seed's own noise, alike in all its pictures, changes nothing: pictures of one seed are not compared."""
    shown, drawn = _drawn()
    before = _leeways(WORDS, shown, drawn)
    shift = {seed: 20.0 * generator(6, "shift", seed).standard_normal(D) for seed in (1, 2, 7, 8)}
    only = [(seed, rows) for seed, rows in shown if seed in SEEDS]
    moved = _leeways(WORDS, [(seed, rows + shift[seed]) for seed, rows in only], [(seed, rows + shift[seed]) for seed, rows in drawn])
    assert min(moved["far"], before["far"]) > 0.97
    assert moved["near"] > 0.9  # seeds lie far apart now, and words with them


def test_what_could_not_be_drawn_is_near_to_nothing() -> None:
    """A caption's lost picture leaves the others; a prompt's lost pictures leave the usual distance."""
    shown, drawn = _drawn()
    drawn[0][1][3] = np.nan
    found = _leeways(WORDS, shown, drawn)
    assert found["near"] == pytest.approx(_leeways(WORDS, *_drawn())["near"], abs=0.1)
    shown[2][1][0] = np.nan
    assert _leeways(WORDS, shown, drawn)["near"] == 1.0


def test_words_in_common_are_counted_once() -> None:
    """Whatever their order; commas are no words."""
    assert _shared("a red boat, two trees", "two boats, a red tree, red") == 3
