"""How near pictures of a prompt come to training pictures anyway: the base, which was trained on none of them, tells.

A prompt with nearly the words of a training caption gives a picture that is nearly the training picture, by the words alone. By one
threshold for every prompt that would be copying. So the same question is put to the base's own pictures: how near do those of the
prompt lie to those of the training captions, and how near do those of different captions lie to each other? The less of the two says
what is usual here.

Letters: n captions, P prompts, S seeds, D features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from loraspec.sweetspot.readouts import distances, threshold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from loraspec.engine.scales import OriginalityReading

    Floats = NDArray[np.float64]

CAPTIONS = 32  # training captions that the base draws, in two seeds
LEAST = 0.25


def leeways(reading: OriginalityReading) -> dict[str, float]:
    """Draw some training captions without LoRA and compare.

    Args:
        reading: Of an originality metric; its features are used.

    Returns:
        For each judged prompt the distance that is usual, as a share of the one between pictures of different captions, 0.25 to 1; nothing
        when there are no two different training captions.

    Raises:
        Stopped: A signal came; finished cells stay.
    """
    gallery = reading.gallery
    captions = list(dict.fromkeys(shown.prompt for shown in gallery.training if shown.prompt))
    seeds = (*gallery.seeds[:1], *reading.other_seeds[:1])
    if len(captions) < 2 or len(seeds) < 2:
        return {}
    closest = [max(captions, key=lambda caption: _shared(caption, prompt)) for prompt in gallery.prompts]
    asked = list(dict.fromkeys([*closest, *captions[:: -(-len(captions) // CAPTIONS)]]))
    drawn = _by_seed(reading.features(gallery.pictures(0, 0.0, prompts=asked, seeds=seeds)), seeds)
    shown = [*_by_seed(reading.base_features, gallery.seeds), *_by_seed(reading.features(reading.again), reading.other_seeds)]
    same = len({rows.shape[1] for _, rows in (*drawn, *shown)}) == 1  # else nothing could be drawn
    return _leeways(gallery.prompts, shown, drawn) if same else {}


def _by_seed(features: Floats, seeds: Sequence[int]) -> list[tuple[int, Floats]]:
    """Take features apart, prompt by prompt and in each seed by seed, into those of each seed."""
    rows = features.reshape(-1, len(seeds), features.shape[1])
    return [(seed, rows[:, s]) for s, seed in enumerate(seeds)]


def _leeways(prompts: Sequence[str], shown: list[tuple[int, Floats]], drawn: list[tuple[int, Floats]]) -> dict[str, float]:
    """Compare pictures of prompts ``[P, D]`` with those of captions ``[n, D]``, by seed; pictures of equal noise are alike and left out."""

    def nearest(one: Floats, other: Floats, *, different: bool = False) -> Floats:
        apart = np.nan_to_num(distances(one, other), nan=np.inf)  # what could not be drawn is near to nothing
        if different:
            np.fill_diagonal(apart, np.inf)
        found: Floats = apart.min(1)
        return found

    usual = [nearest(rows, other, different=True) for seed, rows in drawn for turn, other in drawn if turn != seed]
    limit = threshold(np.concatenate(usual))
    near = np.mean([nearest(rows, other) for seed, rows in shown for turn, other in drawn if turn != seed], axis=0)
    share = np.clip(np.divide(near, limit, out=np.ones_like(near), where=np.isfinite(near) & (0 < limit < np.inf)), LEAST, 1.0)
    return {prompt: float(one) for prompt, one in zip(prompts, share, strict=True)}


def _shared(one: str, other: str) -> int:
    """Number of words that two captions share."""
    return len({*one.replace(",", " ").split()} & {*other.replace(",", " ").split()})
