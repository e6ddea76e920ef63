"""Which pair comes next: all by hash of the seed, the least compared first, sides fair, names blind."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from finished_run import finished_run

from loraspec.blind.answers import Answer
from loraspec.blind.pairs import Pair, every, following
from loraspec.blind.pool import Pool, pool_of
from loraspec.finished import read


def answered(pair: Pair) -> Answer:
    return Answer(pair.name, pair.left, pair.right, pair.prompt, pair.seed, "left", "")


def wide(epochs: int, scenes: int) -> Pool:
    """A pool of so many epochs and scenes."""
    places = tuple((f"prompt {number}", number) for number in range(scenes))
    files = {(epoch, *place): Path("x") for epoch in range(1, epochs + 1) for place in places}
    return Pool(tuple(range(1, epochs + 1)), 1.0, places, files)


def test_every_pair_is_there_once(tmp_path: Path) -> None:
    """Six pairs of four epochs, in four scenes; the same seed gives the same order, another one another."""
    pool = pool_of(read(finished_run(tmp_path / "run")), (1, 2, 3, 4))
    pairs = every(pool, 1808)
    assert len({(pair.epochs, pair.prompt, pair.seed) for pair in pairs}) == len(pairs) == 24
    assert every(pool, 1808) == pairs
    assert [pair.name for pair in every(pool, 1809)] != [pair.name for pair in pairs]


def test_a_picture_that_is_missing_leaves_its_pairs_out() -> None:
    """The other scenes of that epoch stay."""
    pool = wide(3, 2)
    del pool.files[2, "prompt 0", 0]
    assert Counter(pair.epochs for pair in every(pool, 0)) == {(1, 2): 1, (1, 3): 2, (2, 3): 1}


def test_the_least_compared_come_first() -> None:
    """After any number of answers no pair of epochs was compared more than once more often than another; at the end nothing is left."""
    pairs = every(wide(5, 6), 3)
    given: list[Answer] = []
    while (pair := following(pairs, given)) is not None:
        given.append(answered(pair))
        together = Counter(tuple(sorted((answer.left, answer.right))) for answer in given)
        counts = [together[one.epochs] for one in pairs]
        assert max(counts) - min(counts) <= 1
        if len(given) in (5, 10):  # one round shows every epoch about as often
            alone = Counter(epoch for answer in given for epoch in (answer.left, answer.right))
            assert max(alone.values()) - min(alone[epoch] for epoch in range(1, 6)) <= 1
    assert len({answer.pair for answer in given}) == len(given) == len(pairs) == 60


def test_scenes_take_turns() -> None:
    """The first six answers look at six prompts."""
    pairs = every(wide(4, 6), 5)
    given: list[Answer] = []
    for _ in range(6):
        pair = following(pairs, given)
        assert pair is not None
        given.append(answered(pair))
    assert len({answer.prompt for answer in given}) == 6


def test_sides_are_fair_and_names_tell_nothing() -> None:
    """The later epoch stands left about as often as right; a name is sixteen hexadecimal digits, without order."""
    pairs = every(wide(8, 30), 11)
    left = sum(pair.left > pair.right for pair in pairs)
    assert abs(left / len(pairs) - 0.5) < 0.06
    assert all(len(pair.name) == 16 and set(pair.name) <= set("0123456789abcdef") for pair in pairs)
    later = [int(pair.name[-1], 16) & 1 for pair in pairs if pair.left > pair.right]
    assert abs(sum(later) / len(later) - 0.5) < 0.1
