"""The rule on made-up scores: the guide's preference, bad cases, independence, sentences."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from attrs import evolve

from loraspec.sweetspot.measured import Gate, Measured, Scores
from loraspec.sweetspot.ranking import Ranking
from loraspec.sweetspot.rule import peak_weight, rank

WEIGHTS = (0.8, 0.9, 1.0, 1.15)
P, S = 8, 2


def noise(name: int, base: int = 0) -> np.random.Generator:
    """Draw from a stream of its own."""
    return np.random.Generator(np.random.Philox(key=[name, base]))


def scores(style: Any, *, prompt: Any = 1.0, nearest: Any = 2.0, variety: Any = 1.0, spread: float = 0.05, heldout: int = 5) -> Scores:
    """Make scores of what each epoch and weight truly has, ``[E, W]`` or broadcast to it, with noise of every picture."""
    progress = np.broadcast_to(np.asarray(style, dtype=float), (len(np.asarray(style)), len(WEIGHTS)))
    shape = (*progress.shape, P, S)

    def pictures(name: int, value: Any) -> np.ndarray:
        whole = np.broadcast_to(np.asarray(value, dtype=float), progress.shape)
        return whole[..., None, None] + spread * noise(name).standard_normal(shape)

    def base(name: int, value: float) -> np.ndarray:
        return value + spread * noise(name, 1).standard_normal((P, S))

    references = 1 + 0.05 * noise(9).standard_normal(12)
    made = (
        Measured("style", "style", pictures(1, progress), base(1, 0.0), references),
        Measured("prompt", "prompt", pictures(2, prompt), base(2, 1.0), references),
        Measured("copies", "originality", pictures(3, nearest), base(3, 2.0), 1 + 0.5 * noise(8).random(20), 1.0),
        Measured("variety", "variety", pictures(4, variety), base(4, 1.0), references),
        Measured("health", "health", np.ones(shape), np.ones((P, S))),
    )
    epochs = tuple(range(1, len(progress) + 1))
    return Scores(epochs, WEIGHTS, tuple(f"prompt {p}" for p in range(P)), tuple(range(S)), made, heldout, 10)


def grown(peaks: list[float]) -> np.ndarray:
    """Style progress that is 1 at these weights and proportional to the weight."""
    return np.array([[weight / peak for weight in WEIGHTS] for peak in peaks])


def labels(ranking: Ranking, epoch: int) -> set[str]:
    """Names of an epoch's labels."""
    return {label.name for label in ranking.of_epoch(epoch).labels}


def test_the_epoch_that_is_best_at_full_weight_is_chosen():
    """Of one that is right at 1.3, at 1.0 and at 0.8; the others are under-cooked and over-cooked."""
    ranking = rank(scores(grown([2.5, 1.5, 1.0, 0.8, 0.65])))
    assert (ranking.epoch, ranking.weight, ranking.confidence) == (3, 1.0, "high")
    assert "over-cooked" in labels(ranking, 4)
    assert "under-cooked" in labels(ranking, 2)
    assert labels(ranking, 3) == set()
    assert ranking.of_epoch(4).peak == pytest.approx(0.8, abs=0.05)


def test_good_at_a_reduced_weight_and_bad_at_full_is_less_desirable():
    """Two epochs with one U at 1.0: the one that would be better at 0.8 has the lower key."""
    style = np.array([[0.8, 0.8, 0.8, 0.8], [1.0, 0.9, 0.8, 0.7]])
    ranking = rank(scores(style, spread=0.01))
    first, second = ranking.epochs
    assert ranking.epoch == 1
    assert first.key.value - second.key.value == pytest.approx(0.2, abs=0.04)


def test_copies_are_not_chosen_though_the_style_is_whole():
    """Pictures at a fifth of tau are copies."""
    ranking = rank(scores(grown([1.3, 1.0]), nearest=np.array([[2.0] * 4, [0.2] * 4])))
    assert ranking.epoch == 1
    assert "copying" in labels(ranking, 2)
    assert ranking.cell(2, 1.0).axes["originality"].value < 0.05


def test_lost_prompts_and_equal_seeds_are_told():
    """Each with its number."""
    lost = rank(scores(grown([1.0, 1.0]), prompt=np.array([[1.0] * 4, [0.3] * 4])))
    assert (lost.epoch, "prompt loss" in labels(lost, 2)) == (1, True)
    collapsed = rank(scores(grown([1.0, 1.0]), variety=np.array([[1.0] * 4, [0.2] * 4])))
    assert (collapsed.epoch, "collapsed" in labels(collapsed, 2)) == (1, True)


def test_a_junk_epoch_changes_no_other_score():
    """Nothing is normalised across epochs."""
    style = grown([2.0, 1.2, 1.0, 0.9])
    whole = scores(style)
    junk = scores(np.concatenate([style, [[3.0, 3.5, 4.0, 5.0]]]))
    joined = tuple(
        evolve(old, values=np.concatenate([old.values, new.values[-1:]])) for old, new in zip(whole.measured, junk.measured, strict=True)
    )
    before, after = rank(whole), rank(evolve(whole, epochs=(1, 2, 3, 4, 5), measured=joined))
    assert before.cells == tuple(
        evolve(cell, front=old.front) for cell, old in zip(after.cells[: len(before.cells)], before.cells, strict=True)
    )
    for one, other in zip(before.epochs, after.epochs, strict=False):
        assert (one.key, one.regret, one.labels) == (other.key, other.regret, other.labels)
    assert before.epoch == after.epoch


def test_a_choice_that_hangs_on_one_metric_is_not_of_high_confidence():
    """Two readers of prompts, each sure of itself: without the one that sees the third epoch fail, that epoch would come first."""
    one = scores(grown([2.0, 1.2, 1.0, 0.6]), spread=0.02)
    fails = np.where(np.arange(4) == 2, 0.3, 1.0)[:, None, None, None]
    prompt = next(m for m in one.measured if m.name == "prompt")
    alone, both = (evolve(one, measured=(*one.measured, evolve(prompt, name="other", values=prompt.values * by))) for by in (1.0, fails))
    ranking = rank(alone)
    assert (ranking.epoch, ranking.tie_set, ranking.confidence, ranking.reasons) == (3, (3,), "high", ())
    ranking = rank(both)
    assert (ranking.epoch, ranking.tie_set, ranking.confidence) == (2, (2,), "medium")
    assert ranking.reasons == ("without other epoch 3 would come first",)


@pytest.mark.parametrize("count", [2, 4, 8])
def test_equal_epochs_are_all_tied(count):
    """Identical pictures in every epoch: the sentence says that none stands out, and confidence is low, be they ever so few."""
    one = scores(grown([1.1] * count))
    same = evolve(one, measured=tuple(evolve(m, values=np.repeat(m.values[:1], count, axis=0)) for m in one.measured))
    ranking = rank(same)
    assert ranking.tie_set == one.epochs
    assert ranking.confidence == "low"
    assert ranking.reasons[0] == f"{count} of {count} epochs cannot be told apart by these pictures"
    assert ranking.sentences[0].startswith("No epoch stands out")


def test_a_single_epoch():
    """It is the only one, and says so."""
    ranking = rank(scores(grown([1.0])))
    assert (ranking.epoch, ranking.confidence) == (1, "low")
    assert "the only one" in ranking.sentences[0]


def test_a_missing_cell_is_left_out():
    """One picture that failed changes a little; a cell without any has no number, and the others keep theirs."""
    whole = scores(grown([1.5, 1.0, 0.8]))
    holes = []
    for measured in whole.measured:
        values = measured.values.copy()
        values[1, 2, 0, 0] = np.nan
        values[2, 2] = np.nan
        holes.append(evolve(measured, values=values))
    ranking = rank(evolve(whole, measured=tuple(holes)))
    assert ranking.epoch == 2
    assert np.isnan(ranking.of_epoch(3).key.value)
    assert ranking.of_epoch(1).key == rank(whole).of_epoch(1).key


def test_a_metric_of_nothing_but_nan_has_no_vote():
    """The axis is named as missing; with a failed gate the same, and confidence is not high."""
    whole = scores(grown([1.5, 1.0, 0.8]))
    style, prompt, *rest = whole.measured
    nothing = rank(evolve(whole, measured=(style, evolve(prompt, values=np.full_like(prompt.values, np.nan)), *rest)))
    assert set(nothing.missing) == {"prompt"}
    broken = evolve(prompt, values=-prompt.values, gates=(Gate("alive", 0.4, 0.75, False, "no"),))
    gated = rank(evolve(whole, measured=(style, broken, *rest)))
    assert (gated.epoch, gated.confidence) == (2, "medium")
    assert gated.missing["prompt"] == "prompt failed the gate alive"
    assert rank(evolve(whole, measured=(style, evolve(broken, gates=()), *rest))).of_epoch(2).key.value == 0


def test_without_held_out_pictures_or_style_confidence_is_low():
    """And the reasons say why."""
    unheld = rank(scores(grown([1.5, 1.0, 0.8]), heldout=0))
    assert unheld.confidence == "low"
    assert any("held out" in reason for reason in unheld.reasons)
    whole = scores(grown([1.5, 1.0, 0.8]))
    blind = rank(evolve(whole, measured=whole.measured[1:]))
    assert (blind.confidence, "style" in blind.missing) == ("low", True)


def test_nothing_at_all():
    """No metric gave a number: no epoch, no traceback."""
    whole = scores(grown([1.0, 0.9]))
    ranking = rank(evolve(whole, measured=tuple(evolve(m, values=np.full_like(m.values, np.nan)) for m in whole.measured)))
    assert (ranking.epoch, ranking.epochs) == (0, ())
    assert "could not be ranked" in ranking.sentences[0]


def test_fresh_seeds_decide_within_the_tie_set():
    """Two epochs that the screening cannot tell apart."""
    screening, fresh = scores(grown([1.02, 1.0, 3.0]), spread=0.3), scores(grown([0.7, 1.0]), spread=0.01)
    tied = rank(screening)
    assert set(tied.tie_set) >= {1, 2}
    assert rank(screening, fresh=evolve(fresh, seeds=(8, 9))).epoch == 2


@pytest.mark.parametrize(("times", "chosen"), [(1, 1), (2, 3)])
def test_a_key_is_as_heavy_as_it_has_seeds(times: int, chosen: int):
    """Screening prefers epoch 1 to 3, fresh seeds prefer 3 by less: as many of them do not turn that round, twice as many do."""
    screening = scores(np.array([[level] * 4 for level in (0.9, 0.1, 0.6)]), spread=0.2)
    first, _, third = rank(screening).epochs
    gap = first.key.value - third.key.value
    fresh = scores(np.array([[level] * 4 for level in (0.5, 0.1, 0.5 + 0.73 * gap)]), spread=0.001)
    many = evolve(
        fresh,
        seeds=tuple(range(10, 10 + S * times)),
        measured=tuple(evolve(m, values=np.tile(m.values, times), base=np.tile(m.base, times)) for m in fresh.measured),
    )
    assert {1, 3} <= set(rank(screening).tie_set)
    assert gap > 0.1
    assert rank(screening, fresh=many).epoch == chosen


def test_on_a_plateau_the_higher_key_decides_and_not_the_earlier_epoch():
    """Peaks at 1.0, no copies, keys within 0.02: a bit more drift, as every later epoch has, is no reason for the first of them."""
    screening = scores(np.array([[0.6, 0.7, level, 0.7] for level in (0.93, 0.93, 0.94)]), spread=0.02)
    drift = np.broadcast_to(np.array([0.1, 0.2, 0.3])[:, None, None, None], screening.measured[0].values.shape)
    moved = evolve(screening, measured=(*screening.measured, Measured("prior-drift", "diagnostic", drift, np.zeros((P, S)), np.ones(3))))
    ranking = rank(moved, fresh=evolve(moved, seeds=(8, 9)))
    keys = {one.epoch: one.key.value for one in ranking.epochs}
    assert ranking.tie_set == (1, 3)
    assert 0 < keys[3] - keys[1] < 0.02
    assert round(ranking.of_epoch(1).peak, 2) == round(ranking.of_epoch(3).peak, 2)
    assert ranking.epoch == 3


@pytest.mark.parametrize(("weights", "chosen"), [(WEIGHTS, 3), ((0.8, 0.98, 1.0, 1.15), 1)])
def test_peaks_within_half_a_step_between_weights_are_alike(weights: tuple[float, ...], chosen: int):
    """Epoch 1 peaks nearer to full weight, 3 has the higher key: that decides, unless weights lie closer than the peaks do."""
    screening = scores(np.array([[0.66, 0.85, 0.93, 0.76], [0.1] * 4, [0.75, 0.88, 0.93, 0.66]]), spread=0.02)
    key = screening.measured[0].values.copy()
    key[2, 2] += 0.01
    screening = evolve(screening, weights=weights, measured=(evolve(screening.measured[0], values=key), *screening.measured[1:]))
    ranking = rank(screening, fresh=evolve(screening, seeds=(8, 9)))
    first, third = ranking.of_epoch(1), ranking.of_epoch(3)
    assert ranking.tie_set == (1, 3)
    assert 0.02 < abs(third.peak - 1) - abs(first.peak - 1) < 0.05
    assert 0 < third.key.value - first.key.value < 0.02
    assert ranking.epoch == chosen


def test_resampling_is_that_of_the_seed():
    """The same scores and seed give the same file, to the byte; it comes back from JSON whole."""
    whole = scores(grown([1.5, 1.0, 0.8]))
    text = rank(whole, seed=3).to_json()
    assert text == rank(whole, seed=3).to_json() != rank(whole, seed=4).to_json()
    assert Ranking.from_json(text).to_json() == text
    assert json.loads(text)["epoch"] == 2


def test_every_sentence_has_its_numbers():
    """The verdict alone says it all; over-cooked rivals and early epochs follow."""
    ranking = rank(scores(grown([2.5, 1.5, 1.0, 0.8, 0.65])))
    said = " ".join(ranking.sentences)
    assert ranking.sentences[0].startswith("Epoch 3 is the sweet spot (key 0.9")
    for part in ("confidence high", "of the artist's own style", "over-cooked", "Epochs 1 to 2 are under-cooked"):
        assert part in said
    assert "nan" not in said


def test_what_leads_away_from_the_style_costs_and_is_told():
    """Epochs 3 and 4 are as far along; the pictures of 4 are not as close: 3 is chosen, and 4 would be told with both numbers."""
    whole = scores(grown([2.5, 1.5, 1.0, 1.0]))
    close = np.ones_like(whole.measured[0].values)
    close[3] = 0.7
    astray = evolve(whole, measured=(evolve(whole.measured[0], closeness=close), *whole.measured[1:]))
    assert rank(astray).epoch == 3
    assert "along the line" not in " ".join(rank(astray).sentences)
    only = evolve(
        astray, epochs=(4,), measured=tuple(
            evolve(m, values=m.values[3:], closeness=None if m.closeness is None else m.closeness[3:]) for m in astray.measured
        )
    )  # fmt: skip
    said = " ".join(rank(only).sentences)
    assert "it reaches 70% [70%, 70%] of the artist's own style (100% of the way along the line from the base)" in said


def test_one_seed_gives_no_variety():
    """The axis is missing; everything else is ranked."""
    whole = scores(grown([1.5, 1.0, 0.8]))
    single = tuple(
        evolve(m, values=np.full_like(m.values[..., :1], np.nan) if m.axis == "variety" else m.values[..., :1], base=m.base[:, :1])
        for m in whole.measured
    )
    ranking = rank(evolve(whole, seeds=(0,), measured=single))
    assert (ranking.epoch, set(ranking.missing)) == (2, {"variety"})


def test_peak_of_a_hill_and_of_a_slope():
    """By a parabola inside the weights; the best weight where there is no hill."""
    assert peak_weight(np.array([0.9, 0.99, 1.0, 0.8775]), WEIGHTS) == pytest.approx(0.97, abs=0.02)
    assert peak_weight(np.array([0.1, 0.2, 0.3, 0.45]), WEIGHTS) == 1.15
    assert np.isnan(peak_weight(np.full(4, np.nan), WEIGHTS))
