"""Steps, visits and captions of a run: pure functions of the seed."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from attrs import evolve

from loraspec.buckets import BucketRule, place
from loraspec.captions import Pipeline, flatten, join, split
from loraspec.dataplan import DataPlan, PlacedSample, auto_heldout, draw_heldout
from loraspec.errors import SpecError
from loraspec.randomness import rng_of
from loraspec.values import Sample, Visit

RULE = BucketRule(1024, 64, 512, 2048)
EXAMPLE = {(1024, 1024): 13, (768, 1344): 9, (1344, 768): 7, (1216, 832): 5, (832, 1216): 3, (1408, 704): 2, (704, 1408): 1}


class Rotate:
    """Draws: moves the descriptors round by a random number of places."""

    deterministic = False

    def __call__(self, descriptors: tuple[str, ...], *, sample: Sample, rng: np.random.Generator) -> tuple[str, ...]:
        place = int(rng.integers(max(1, len(descriptors))))
        return descriptors[place:] + descriptors[:place]


class Upper:
    """Draws nothing."""

    deterministic = True

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, descriptors: tuple[str, ...], *, sample: Sample, rng: np.random.Generator) -> tuple[str, ...]:
        self.calls += 1
        return tuple(word.upper() for word in descriptors)


def images(sizes: dict[tuple[int, int], int], caption: str | None = "a {}, b, c, d") -> list[PlacedSample]:
    """Images of some sizes; read() gives the key's bytes."""
    found = []
    for size, count in sizes.items():
        for number in range(count):
            key = f"{size[0]}x{size[1]}-{number:02}.png"
            text = None if caption is None else caption.format(key)
            sample = Sample(key, *size, text, "own", "", key.encode)
            found.append(PlacedSample(sample, place(*size, RULE)))
    return sorted(found, key=lambda placed: placed.key)


def data(placed: list[PlacedSample] | None = None, *, transforms: tuple[Any, ...] = (Rotate(),), seed: int = 7, **changes: Any) -> DataPlan:
    """A data plan of the worked example, or of other images."""
    fields = {"repeats": 10, "epochs": 20, "batch_size": 4, "accumulation": 1, **changes}
    pipeline = Pipeline(transforms, ",", rng_of(seed))
    return DataPlan(tuple(images(EXAMPLE) if placed is None else placed), (), pipeline, RULE, seed, **fields)


def test_worked_example_has_103_steps() -> None:
    """40 images in buckets of 13, 9, 7, 5, 3, 2, 1 at 10 repeats and batch 4: partial batches are kept, 103 and not 100."""
    plan = data()

    assert [len(bucket.images) for bucket in plan.buckets] == [1, 9, 3, 13, 5, 7, 2]
    assert plan.samples_per_epoch == 400
    assert plan.steps_per_epoch == plan.batches_per_epoch == len(plan.steps(1)) == 103
    assert plan.total_steps == 2060


def test_every_image_is_seen_exactly_repeats_times() -> None:
    """Nothing is dropped, padded or repeated, in any epoch."""
    plan = data()
    for epoch in (1, 2, 20):
        visits = [visit for step in plan.steps(epoch) for visit in step.visits]
        assert Counter((visit.key, visit.repeat) for visit in visits) == {(p.key, r): 1 for p in plan.images for r in range(10)}
        assert {visit.epoch for visit in visits} == {epoch}


def test_steps_are_numbered_through_the_run_and_hold_one_bucket() -> None:
    """Indexes go on from epoch to epoch; a step has one size and no more than a full batch."""
    plan = data(accumulation=2)
    steps = [step for epoch in (1, 2, 3) for step in plan.steps(epoch)]

    assert [step.index for step in steps] == list(range(1, 3 * plan.steps_per_epoch + 1))
    for step in steps:
        assert len({plan.by_key[visit.key].bucket for visit in step.visits}) == 1
        assert all(1 <= len(batch) <= 4 for batch in step.micro_batches)
        assert 1 <= len(step.micro_batches) <= 2
        assert all(len(batch) == 4 for batch in step.micro_batches[:-1])


@pytest.mark.parametrize(("batch", "accumulation"), [(1, 1), (3, 2), (4, 3), (7, 1), (64, 2)])
def test_counts_are_those_of_the_real_steps(batch: int, accumulation: int) -> None:
    """The closed forms count what ``steps`` makes."""
    plan = data(batch_size=batch, accumulation=accumulation)
    steps = plan.steps(4)

    assert len(steps) == plan.steps_per_epoch
    assert sum(len(step.micro_batches) for step in steps) == plan.batches_per_epoch


def test_order_does_not_depend_on_how_a_step_is_cut() -> None:
    """Batch 8, 4 x 2, 2 x 4 and 1 x 8 train the same visits, with the same captions, in the same steps."""
    plans = [data(batch_size=batch, accumulation=8 // batch) for batch in (8, 4, 2, 1)]
    for epoch in (1, 13):
        orders = [[[(v, plan.caption(v)) for v in step.visits] for step in plan.steps(epoch)] for plan in plans]
        assert all(order == orders[0] for order in orders)


def test_visits_of_a_bucket_keep_their_order_for_any_batch_size() -> None:
    """Another batch size cuts the same sequence elsewhere."""

    def cuts(batch: int) -> list[tuple[Visit, ...]]:
        return [step.visits for step in data(images({(1024, 1024): 9}), batch_size=batch).steps(2)]

    whole = cuts(90)[0]
    for batch in (1, 3, 7, 9):
        assert set(cuts(batch)) == {whole[at : at + batch] for at in range(0, 90, batch)}


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    """Each epoch is shuffled anew, and by the seed."""
    plan, other = data(), data(seed=8)

    def keys(made: DataPlan, epoch: int) -> list[tuple[str, int]]:
        return [(visit.key, visit.repeat) for step in made.steps(epoch) for visit in step.visits]

    assert keys(plan, 1) == keys(data(), 1)
    assert keys(plan, 1) != keys(plan, 2)
    assert keys(plan, 1) != keys(other, 1)


def test_another_image_leaves_draws_of_the_others_alone() -> None:
    """Captions belong to (seed, epoch, key, repeat); the relative order in a bucket stays, too."""
    few, more = data(images({(1024, 1024): 6}), batch_size=1000), data(images({(1024, 1024): 7}), batch_size=1000)
    old = [visit for step in few.steps(3) for visit in step.visits]
    new = [visit for step in more.steps(3) for visit in step.visits if visit.key in few.by_key]

    assert old == new
    assert [few.caption(visit) for visit in old] == [more.caption(visit) for visit in new]


def test_shuffled_order_is_fair() -> None:
    """Over many epochs an image comes first about equally often (chi-squared, 9 degrees of freedom, p = 0.001)."""
    plan = data(images({(1024, 1024): 10}), repeats=1, batch_size=10, epochs=1000)
    firsts = Counter(plan.steps(epoch)[0].visits[0].key for epoch in range(1, 1001))

    assert sum((firsts[placed.key] - 100) ** 2 / 100 for placed in plan.images) < 27.88


def test_stream_digest_is_pinned() -> None:
    """A changed draw, order or caption rule changes this digest: then raise RANDOM or ORDER (lock) or SCHEME (stream)."""
    assert data().stream_digest(3) == "80ee52c26e53cfd5977fdc24f5d7e244ee6c680a29fac172e66c7b649ac1dc7b"
    assert data().stream_digest(4) != data().stream_digest(3)


def test_distinct_captions_are_counted_exactly() -> None:
    """The number of embeddings is the number of different texts of all visits."""
    plan = data(images({(1024, 1024): 5}), epochs=3)
    texts = [{plan.caption(visit) for step in plan.steps(epoch) for visit in step.visits} for epoch in (1, 2, 3)]

    assert plan.distinct_captions == len(set.union(*texts))
    assert plan.distinct_captions_of_an_epoch == max(map(len, texts))


def test_deterministic_transforms_run_once_per_image() -> None:
    """What draws nothing is settled once, and captions do not vary."""
    upper = Upper()
    plan = data(images({(1024, 1024): 5}), transforms=(upper,))

    assert plan.distinct_captions == 5
    assert upper.calls == 5
    assert plan.pipeline.deterministic


@pytest.mark.parametrize("kept", [0, 7, 1000])
def test_captions_are_made_once_and_no_more_are_remembered_than_allowed(kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same words from memory as anew, and other words for an image whose caption was changed."""
    monkeypatch.setattr("loraspec.captions.KEPT", kept)
    upper, fresh = Upper(), data(transforms=(Rotate(), Upper()))
    plan = data(images({(1024, 1024): 5}), transforms=(Rotate(), upper), epochs=1)
    visits = [visit for step in plan.steps(1) for visit in step.visits]
    told = [[plan.caption(visit) for visit in visits] for _ in range(3)]

    assert told == [[fresh.pipeline(plan.by_key[visit.key].sample, visit) for visit in visits]] * 3
    assert upper.calls == len(visits) + 2 * max(0, len(visits) - kept)
    assert len(plan.pipeline._kept) == min(kept, len(visits))
    sample = evolve(plan.images[0].sample, caption="e, f")
    assert sorted(split(plan.pipeline(sample, visits[0]), ",")) == ["E", "F"]


def test_transform_draws_by_its_place_in_the_chain() -> None:
    """Two equal transforms draw apart; a further one at the end changes nothing of the first's draws."""
    single, double = data(transforms=(Rotate(),)), data(transforms=(Rotate(), Upper()))
    visits = [Visit(1, placed.key, repeat) for placed in single.images[:10] for repeat in range(10)]

    assert [single.caption(visit).upper() for visit in visits] == [double.caption(visit) for visit in visits]
    twice = data(transforms=(Rotate(), Rotate()))
    firsts = {split(twice.caption(visit), ",")[0][0] for visit in visits}
    assert firsts == {"a", "b", "c", "d"}  # the same draw twice would turn by even places only


def test_drafted_captions_fill_only_gaps() -> None:
    """A caption that is missing stops its use until it is drafted; one that is there is kept."""
    placed = [*images({(1024, 1024): 1}, None), *images({(768, 1344): 1})]
    plan = data(placed)
    missing, there = plan.images[0].key, plan.images[1].key

    assert plan.undrafted == (missing,)
    with pytest.raises(SpecError, match="no caption yet"):
        plan.caption(Visit(1, missing, 0))
    assert {visit.key for _, visit, _ in plan.captions(1)} == {there}
    filled = plan.with_captions({missing: "drafted", there: "overwritten"})
    assert filled.raw_captions == {missing: "drafted", there: plan.raw_captions[there]}
    assert filled.undrafted == ()
    assert filled.caption(Visit(1, missing, 0)) == "drafted"


def test_latents_are_counted_by_content() -> None:
    """The same bytes at the same place are encoded once."""
    placed = images({(1024, 1024): 3})
    twin = PlacedSample(Sample("twin.png", 1024, 1024, "a", "own", "", placed[0].key.encode), placed[0].placement)

    assert data([*placed, twin]).distinct_latents == 3


def test_heldout_images_stay_when_one_is_added() -> None:
    """Drawn by hash: a new image takes at most one place."""
    keys = [frozenset([f"{number}.png"]) for number in range(40)]
    before = draw_heldout(keys, 6, 1)

    assert len(before) == 6
    assert before != draw_heldout(keys, 6, 2)
    for name in ("new.png", "other.png", "x.png"):
        assert len(before - draw_heldout([*keys, frozenset([name])], 6, 1)) <= 1


def test_near_duplicates_are_held_out_together() -> None:
    """A group goes whole or not at all; one that is larger than the number asked for stays, and others take its place."""
    pairs = [frozenset([f"{number}.png", f"{number} again.png"]) for number in range(20)]
    crowd = frozenset(f"crowd {number}.png" for number in range(10))
    for seed in range(20):
        away = draw_heldout([*pairs, crowd], 5, seed)
        assert len(away) == 4
        assert all(pair <= away or not pair & away for pair in pairs)
        assert not crowd & away


@pytest.mark.parametrize(("images", "count"), [(4, 3), (20, 3), (21, 4), (40, 6), (67, 11), (100, 15)])
def test_auto_holds_out_a_share(images: int, count: int) -> None:
    """15 %, rounded up, at least three."""
    assert auto_heldout(images) == count


@pytest.mark.parametrize(
    ("caption", "separator", "parts", "joined"),
    [
        ("a, b ,c", ",", ("a", "b", "c"), "a, b, c"),
        ("a,,b,", ",", ("a", "", "b", ""), "a, , b, "),
        ("a | b", " | ", ("a", "b"), "a | b"),
        ("a; b", ";", ("a", "b"), "a;b"),
        ("   ", ",", (), ""),
        ("one", ",", ("one",), "one"),
    ],
)
def test_captions_are_split_and_joined(caption: str, separator: str, parts: tuple[str, ...], joined: str) -> None:
    """Descriptors are stripped; a comma is written with a space behind it."""
    assert split(caption, separator) == parts
    assert join(parts, separator) == joined


def test_flatten_makes_one_line() -> None:
    """Line breaks and runs of space become one space."""
    assert flatten(" a,\r\n b\t c\u2028d ") == "a, b c d"
