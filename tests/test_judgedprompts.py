"""Judged prompts: nothing that was trained on, in the style's own words."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from loraspec.captions import Pipeline
from loraspec.dataplan import DataPlan, PlacedSample
from loraspec.judgedprompts import JUDGED, content_of, judged_prompts
from loraspec.randomness import rng_of
from loraspec.scan import BucketRule
from loraspec.values import Placement, Sample

PLACE = Placement(64, 64, (64, 64), (0, 0), (64, 64))
SUBJECTS = ("man", "woman", "boat", "cat", "house", "tree")
PLACES = ("city street", "sunny beach", "dark forest")
CAPTIONS = [f"sketch of a {subject}, {PLACES[n % 3]}, {n} birds, ink, by Nobody" for n, subject in enumerate(SUBJECTS)]


def data(captions: Sequence[str | None], held: Sequence[str] = (), seed: int = 1, separator: str = ",") -> DataPlan:
    def placed(name: str, caption: str | None) -> PlacedSample:
        return PlacedSample(Sample(name, 64, 64, caption, "own", "", bytes), PLACE)

    images = tuple(placed(f"{n}.png", caption) for n, caption in enumerate(captions))
    away = tuple(placed(f"held {n}.png", caption) for n, caption in enumerate(held))
    pipeline = Pipeline((), separator, rng_of(seed))
    return DataPlan(images, away, pipeline, BucketRule(64, 8, 16, 64, False), seed, 2, 2, 1, 1)


def made(captions: Sequence[str | None], *, held: Sequence[str] = (), prompts: Sequence[str] = (), seed: int = 1) -> tuple[str, ...]:
    return judged_prompts(data(captions, held, seed), prompts=prompts, style_tag="by Nobody", first_prefix="sketch of")


def test_eight_prompts_that_nobody_trained_on() -> None:
    """In any order of descriptors, with the style's own; half exchange one descriptor, half join a subject with another's rest."""
    found = made(CAPTIONS)
    trained = [content_of(caption, ",") for caption in CAPTIONS]
    assert len(found) == len(set(found)) == JUDGED
    assert all(content_of(prompt, ",") not in trained for prompt in found)
    assert all(prompt.startswith("sketch of a ") and prompt.endswith(", ink, by Nobody") for prompt in found)
    kept = [max(len(content_of(prompt, ",") & one) for one in trained) for prompt in found]
    assert kept == [4] * 8  # 5 descriptors, one exchanged: by a subject in the far half
    exchanged = [next(iter(min((content_of(prompt, ",") - one for one in trained), key=len))) for prompt in found]
    assert sum(part.startswith("sketch of") for part in exchanged) == 4


def test_the_grids_prompts_come_first_unless_they_were_trained_on() -> None:
    """A training caption with its descriptors in another order is one; what is left is filled up."""
    mine = ["sketch of a robot, by Nobody", "BY NOBODY, ink, 0 birds, city street, sketch of a man", "sketch of a robot, by Nobody"]
    found = made(CAPTIONS, prompts=mine)
    assert found[0] == mine[0]
    assert mine[1] not in found
    assert len(found) == JUDGED
    assert made(CAPTIONS, prompts=[f"robot {n}" for n in range(30)]) == tuple(f"robot {n}" for n in range(JUDGED))


def test_held_out_captions_are_the_near_half() -> None:
    """At most half of what is free; they were never trained on."""
    held = [f"sketch of a whale, {n} ships, ink, by Nobody" for n in range(10)]
    found = made(CAPTIONS, held=held)
    assert sum(prompt in held for prompt in found) == JUDGED // 2
    assert made(CAPTIONS, held=held, seed=2) != found


def test_a_caption_that_was_held_out_and_trained_on_is_not_taken() -> None:
    """Two pictures may have one caption."""
    assert not set(made(CAPTIONS, held=[CAPTIONS[0]])) & set(CAPTIONS)


@pytest.mark.parametrize("captions", [["one sentence about a man"] * 3, [None, None], ["a man, by Nobody"], []])
def test_captions_that_cannot_be_taken_apart_give_everyday_things(captions: list[str | None]) -> None:
    """Sentences, none at all, a single one: everyday subjects with the style's words."""
    found = made(captions)
    assert len(found) == JUDGED
    assert all(prompt.startswith("sketch of") for prompt in found)
    if not any(captions):
        assert all(prompt.endswith("by Nobody") for prompt in found)


def test_they_are_drawn_by_the_seed_alone() -> None:
    """The same data gives the same prompts, in whatever order it is listed."""
    assert made(CAPTIONS) == made(CAPTIONS)
    assert made(CAPTIONS) != made(CAPTIONS, seed=3)
