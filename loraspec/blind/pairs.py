"""Which two pictures are shown next, and which of them on the left: by hash of the run's seed, the least compared epochs first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations

from attrs import frozen

from loraspec.blind.answers import Answer
from loraspec.blind.pool import Pool
from loraspec.randomness import draw_hash, sort_key

PURPOSE = "judge"


@frozen
class Pair:
    """Two pictures of one prompt and seed.

    Attributes:
        name: Hexadecimal; tells nothing of the epochs.
        left, right: Epochs.
        prompt, seed: Of both.
    """

    name: str
    left: int
    right: int
    prompt: str
    seed: int

    @property
    def epochs(self) -> tuple[int, int]:
        """Both epochs, ascending."""
        return min(self.left, self.right), max(self.left, self.right)


def every(pool: Pool, seed: int) -> tuple[Pair, ...]:
    """Return every pair of which both pictures are there, in an order that the seed draws."""
    found = []
    for one, other in combinations(pool.epochs, 2):
        for prompt, number in pool.scenes:
            if (one, prompt, number) in pool.files and (other, prompt, number) in pool.files:
                drawn = draw_hash(seed, PURPOSE, one, other, prompt, number)
                sides = (one, other) if drawn[0] & 1 else (other, one)
                found.append(Pair(drawn[1:9].hex(), *sides, prompt, number))
    return tuple(sorted(found, key=lambda pair: (sort_key(seed, PURPOSE, pair.name), pair.name)))


def following(pairs: Sequence[Pair], answers: Iterable[Answer]) -> Pair | None:
    """Return the pair to show next; None when all were answered.

    First come the two epochs that were compared least with each other, of these the ones that were shown least, then the prompt and
    seed that were looked at least.
    """
    given = list(answers)
    seen = {answer.pair for answer in given}
    together = Counter(tuple(sorted((answer.left, answer.right))) for answer in given)
    alone = Counter(epoch for answer in given for epoch in (answer.left, answer.right))
    scenes = Counter((answer.prompt, answer.seed) for answer in given)
    left = [pair for pair in pairs if pair.name not in seen]
    return min(
        left, key=lambda pair: (together[pair.epochs], alone[pair.left] + alone[pair.right], scenes[pair.prompt, pair.seed]), default=None
    )
