"""Tie sets: drawn from resamplings, and narrowed by what was drawn again."""

from __future__ import annotations

import json

import numpy as np
import pytest
from attrs import evolve

from loraspec.sweetspot.keys import Keys, Standing, full_weight
from loraspec.sweetspot.ranking import Ranking
from loraspec.sweetspot.rule import rank
from tests.sweetspot.test_rule import P, S, grown, scores


def standing(*tied: bool, share: tuple[float, ...] | None = None) -> Standing:
    """Make how epochs stand of what is tied; keys fall."""
    count = len(tied)
    return Standing(np.linspace(1, 0, count), np.array(tied), np.array(share or (1 / count,) * count))


def keys(means: list[float], spread: float = 0.01) -> np.ndarray:
    """Make keys ``[B, E]`` about these means, independent of each other."""
    drawn = np.random.Generator(np.random.Philox(key=[7, 7])).standard_normal((401, len(means)))
    drawn[0] = 0
    return np.array(means) + spread * drawn


def test_a_regret_is_what_a_reduced_weight_of_0_8_or_more_gains():
    """Of four weights those at 0.8 and 0.9 count; what is below, or above 1.0, does not."""
    utility = np.array([[[9.0, 0.5, 0.7, 0.6, 9.0], [9.0, 0.2, 0.3, 0.6, 9.0]]])
    found = Keys.of(utility, (0.6, 0.8, 0.9, 1.0, 1.15))
    np.testing.assert_allclose(found.regret, [[0.1, 0.0]])
    np.testing.assert_allclose(found.key, [[0.5, 0.6]])
    assert full_weight((0.5, 0.95, 1.2)) == 1


def test_what_cannot_be_told_from_the_best_is_tied():
    """Means that lie within the spread, one far below, and one that is not known; shares of the best one's place sum to 1."""
    found = Standing.of(keys([0.50, 0.51, 0.30, np.nan]))
    assert found.tied.tolist() == [True, True, False, False]
    assert found.share.sum() == pytest.approx(1)
    assert found.share[3] == 0
    assert Standing.of(keys([np.nan, np.nan])) is None


def test_epochs_that_do_not_lie_side_by_side_are_no_neighbours():
    """The second's key is drawn to the first's and the third's; where the third is another epoch than the next, to the first's alone."""
    near = keys([0.500, 0.504, 0.508])
    assert Standing.of(near).smooth[1] == pytest.approx(0.504)
    assert Standing.of(near, (3, 4, 9)).smooth[1] == pytest.approx((2 * 0.504 + 0.500) / 3)
    assert Standing.of(near, (3, 5, 9)).smooth[1] == 0.504


def test_what_fresh_pictures_tell_apart_is_no_longer_tied():
    """Of four tied two were drawn again, half of which is behind: the two others, behind both, go too; shares still sum to 1."""
    found = standing(True, True, True, True, share=(0.4, 0.3, 0.2, 0.1)).narrowed(standing(True, False, share=(0.9, 0.1)), (0, 1), 0)
    assert found.tied.tolist() == [True, False, False, False]
    np.testing.assert_allclose(found.share, [0.63, 0.07, 0.2, 0.1])


@pytest.mark.parametrize("again", [(True, True, True), (True, False, True)])
def test_where_most_of_what_was_drawn_again_stays_tied_the_others_do(again: tuple[bool, ...]):
    """One that is told apart says nothing of those that nobody looked at; those that were not tied are not."""
    found = standing(True, True, True, True, False).narrowed(standing(*again), (0, 1, 2), 0)
    assert found.tied.tolist() == [*again, True, False]


def test_the_chosen_epoch_is_tied_with_the_best():
    """It may have been taken for its peak, its key being a bit lower."""
    assert standing(True, True, True).narrowed(standing(True, False, False), (0, 1, 2), 1).tied.tolist() == [True, True, False]


def test_a_ranking_is_narrowed_by_fresh_seeds_and_says_so():
    """Three that few noisy pictures cannot tell apart, and good fresh ones can: the tie set, the chances and the sentence are of all."""
    screening = scores(grown([1.02, 1.0, 1.1]), spread=0.3)
    fresh = evolve(scores(grown([0.6, 1.0, 0.97]), spread=0.01), seeds=(8, 9))
    many = evolve(
        fresh,
        seeds=tuple(range(8, 8 + 8 * S)),
        measured=tuple(evolve(m, values=np.tile(m.values, 8), base=np.tile(m.base, 8)) for m in fresh.measured),
    )
    before, after = rank(screening), rank(screening, fresh=many)
    assert before.tie_set == (1, 2, 3)
    assert [one.screened for one in after.epochs] == [True, True, True]
    assert after.tie_set == (2, 3)
    assert after.of_epoch(1).best < before.of_epoch(1).best
    assert sum(one.best for one in after.epochs) == pytest.approx(1)
    assert after.sentences[1] == (
        "The screening could not tell epochs 1 to 3 apart. These were drawn again on 16 fresh seeds, which leaves 2, 3."
    )
    assert not any("drawn again" in text for text in before.sentences)


def test_equal_epochs_stay_tied_when_some_are_drawn_again():
    """Identical pictures: what eight of them show, eight more do not change; the sentence names what was drawn."""
    one = scores(grown([1.1] * 8))
    same = evolve(one, measured=tuple(evolve(m, values=np.repeat(m.values[:1], 8, axis=0)) for m in one.measured))
    again = evolve(same, epochs=(1, 2), seeds=(8, 9), measured=tuple(evolve(m, values=m.values[:2]) for m in same.measured))
    ranking = rank(same, fresh=again)
    assert ranking.tie_set == one.epochs
    assert ranking.sentences[0].startswith("No epoch stands out")
    assert "Of these the best, 1, 2, were drawn again on 2 fresh seeds, and still cannot be told apart." in ranking.sentences[1]


def test_fresh_cells_that_all_failed_narrow_nothing():
    """Numbers that are not known: the ranking is that of the screening, and speaks of no confirmation."""
    screening = scores(grown([1.02, 1.0, 1.1]), spread=0.3)
    lost = tuple(evolve(m, values=np.full_like(m.values, np.nan)) for m in screening.measured)
    before, after = rank(screening), rank(screening, fresh=evolve(screening, seeds=(8, 9), measured=lost))
    assert (after.epoch, after.tie_set, len(after.tie_set)) == (before.epoch, before.tie_set, 3)
    assert not any("drawn again" in text for text in after.sentences)


def test_scores_are_joined_by_epoch_and_metric():
    """Epochs that both have, seeds after seeds, metrics that both have, closeness where both have it."""
    one = scores(grown([1.5, 1.2, 1.0]))
    other = scores(grown([1.0, 0.8]), prompt=0.5)
    close = evolve(one.measured[0], closeness=one.measured[0].values / 2)
    near = evolve(other.measured[0], closeness=other.measured[0].values / 3)
    fresh = evolve(other, epochs=(3, 9), seeds=(8, 9), measured=(near, *other.measured[1:3]))
    both = evolve(one, measured=(close, *one.measured[1:])).joined(fresh)
    assert (both.epochs, both.seeds) == ((3,), (0, 1, 8, 9))
    assert [m.name for m in both.measured] == ["style", "prompt", "copies"]
    style, prompt, _ = both.measured
    assert style.values.shape == style.closeness.shape == (1, 4, P, 2 * S)
    np.testing.assert_array_equal(style.values, np.concatenate([one.measured[0].values[2:], other.measured[0].values[:1]], axis=-1))
    np.testing.assert_array_equal(style.closeness[..., S:], other.measured[0].values[:1] / 3)
    np.testing.assert_array_equal(prompt.base, np.concatenate([one.measured[1].base, other.measured[1].base], axis=-1))
    assert prompt.closeness is None
    with pytest.raises(ValueError, match="other prompts"):
        one.joined(evolve(fresh, prompts=("another",) * P))


def test_a_ranking_of_an_earlier_version_is_read():
    """It did not say what the screening alone had tied: what was tied."""
    older = json.loads(rank(scores(grown([1.02, 1.0, 3.0]), spread=0.3)).to_json())
    for one in older["epochs"]:
        del one["screened"]
    found = Ranking.from_json(json.dumps(older))
    assert [one.screened for one in found.epochs] == [one.tied for one in found.epochs]
    assert {one.tied for one in found.epochs} == {True, False}
