"""The stream digest: a chain that covers what training sees and nothing else."""

import numpy as np
import pytest
from attrs import evolve

from loraspec.randomness import generator, order_of, rng_of, scaled, uniform53
from loraspec.stream import Seen, Stream
from loraspec.values import Placement, Visit

RNG = rng_of(7)
PLACE = Placement(64, 64, (64, 80), (64, 80), (0, 8))
SEEN = Seen(Visit(1, "a.png", 0), "00" * 32, "a boat, by X", PLACE)


def digest(*steps, epoch=1, rng=RNG):
    """Return the digest of steps, each a list of ``Seen``."""
    stream = Stream(epoch)
    for number, seen in enumerate(steps, 1):
        stream.add(number, seen, rng)
    return stream.state


@pytest.mark.parametrize(
    "other",
    [
        evolve(SEEN, content="01" * 32),
        evolve(SEEN, caption="a boat,by X"),
        evolve(SEEN, caption=None),
        evolve(SEEN, visit=Visit(1, "a.png", 1)),
        evolve(SEEN, visit=Visit(1, "b.png", 0)),
        evolve(SEEN, placement=evolve(PLACE, crop=(0, 7))),
        evolve(SEEN, placement=evolve(PLACE, width=80)),
    ],
)
def test_everything_that_training_sees_is_covered(other):
    """Another image, caption, visit or crop is another digest."""
    assert digest([other]) != digest([SEEN])


def test_seed_step_and_epoch_are_covered():
    """The draws of another seed, the same visit in another step, and another epoch give other digests."""
    again = evolve(SEEN, visit=Visit(1, "b.png", 0))
    found = {digest([SEEN, again]), digest([SEEN], [again]), digest([again, SEEN]), digest([SEEN, again], epoch=2)}

    assert len(found | {digest([SEEN, again], rng=rng_of(8))}) == 5


def test_chain_goes_on_from_its_state():
    """A digest taken up in the middle of an epoch ends as one that was not interrupted."""
    first = Stream(1)
    first.add(1, [SEEN], RNG)
    second = Stream(1, first.state)
    second.add(2, [SEEN], RNG)

    assert second.state == digest([SEEN], [SEEN])


def test_uniform_draw_is_numpys_own_53_bits():
    """The integer is the number behind ``Generator.random``, so it is uniform."""
    for index in range(50):
        assert uniform53(generator(1, "t", index)) / 2**53 == generator(1, "t", index).random()


def test_scaled_draw_stays_in_its_range():
    """The least and the largest draw map to the first and the last number."""
    assert (scaled(0, 1000), scaled(2**53 - 1, 1000)) == (0, 999)
    drawn = np.bincount([scaled(uniform53(generator(1, "t", index)), 10) for index in range(5000)], minlength=10)
    assert len(drawn) == 10
    assert ((drawn - 500) ** 2 / 500).sum() < 27.88  # chi-squared, 9 degrees of freedom, p = 0.001


def test_order_is_a_fair_permutation():
    """Each of six orders of three comes up about equally often."""
    counts: dict[tuple[int, ...], int] = {}
    for index in range(3000):
        order = tuple(order_of(generator(1, "o", index), 3))
        counts[order] = counts.get(order, 0) + 1

    assert len(counts) == 6
    assert sum((count - 500) ** 2 / 500 for count in counts.values()) < 20.5  # 5 degrees of freedom, p = 0.001
