"""Bradley and Terry's model: known solutions, invariances, and intervals that hold the truth about as often as they say."""

from __future__ import annotations

import numpy as np
import pytest

from loraspec.blind.answers import Answer, Choice
from loraspec.blind.fit import fit
from loraspec.randomness import generator


def answers(*results: tuple[int, int, Choice]) -> list[Answer]:
    return [Answer(f"{number}", left, right, "p", number, choice, "") for number, (left, right, choice) in enumerate(results)]


def test_the_fit_is_where_the_likelihood_is_highest() -> None:
    """Compared with a search over a fine grid of the penalised likelihood of three epochs."""
    given = answers((1, 2, "left"), (1, 2, "left"), (2, 3, "left"), (3, 1, "left"), (2, 3, "tie"), (1, 3, "left"))
    rows = fit((1, 2, 3), given, resamplings=10)
    found = np.log([row.chance.value / (1 - row.chance.value) for row in rows])
    places = np.linspace(-2, 2, 81)
    a, b, c = np.meshgrid(places, places, places, indexing="ij")
    thetas = [a, b, c]
    total = sum(-np.logaddexp(0, -one) - np.logaddexp(0, one) for one in thetas)  # won and lost one comparison beforehand
    for answer in given:
        left, right = thetas[answer.left - 1], thetas[answer.right - 1]
        total = total - {"left": 1, "right": 0, "tie": 0.5}[answer.choice] * np.logaddexp(0, right - left)
        total = total - {"left": 0, "right": 1, "tie": 0.5}[answer.choice] * np.logaddexp(0, left - right)
    best = np.array([one.flat[total.argmax()] for one in thetas])
    assert np.allclose(found, best - best.mean(), atol=0.05)


def test_two_epochs_have_the_solution_of_a_share() -> None:
    """Three of four: s1/s2 solves won = rate in closed form, checked by putting it into both equations."""
    rows = fit((4, 9), answers((4, 9, "left"), (9, 4, "right"), (4, 9, "left"), (4, 9, "right")), resamplings=10)
    one = rows[0].chance.value / (1 - rows[0].chance.value)
    s = one, 1 / one
    for mine, other, won in ((s[0], s[1], 3), (s[1], s[0], 1)):
        assert mine * (4 / (mine + other) + 2 / (mine + 1)) == pytest.approx(won + 1, abs=1e-6)
    assert [(row.won, row.tied, row.lost) for row in rows] == [(3, 0, 1), (1, 0, 3)]


def test_sides_order_and_others_do_not_matter() -> None:
    """Left and right exchanged, answers in another order, answers of epochs that are not asked for."""
    given = answers((1, 2, "left"), (2, 3, "right"), (1, 3, "tie"), (3, 2, "left"))
    turn: dict[str, Choice] = {"left": "right", "right": "left", "tie": "tie"}
    turned = answers(*((answer.right, answer.left, turn[answer.choice]) for answer in given))
    plain = [row.chance.value for row in fit((1, 2, 3), given, resamplings=5)]
    assert [row.chance.value for row in fit((1, 2, 3), turned[::-1], resamplings=5)] == pytest.approx(plain, abs=1e-7)
    assert [row.chance.value for row in fit((1, 2, 3), [*given, *answers((1, 9, "left"))], resamplings=5)] == pytest.approx(plain)


def test_no_answers_and_equal_answers_have_wide_and_finite_intervals() -> None:
    """Nothing known: a half. Five of five: strong, not infinitely, with a width; ties alone: a half."""
    nothing = fit((1, 2), [])
    assert all(row.chance.value == pytest.approx(0.5) and row.chance.high - row.chance.low > 0.5 for row in nothing)
    strong = fit((1, 2), answers(*[(1, 2, "left")] * 5))
    assert 0.6 < strong[0].chance.value < 0.95
    assert 0.1 < strong[0].chance.high - strong[0].chance.low < 0.6
    assert strong[0].best > 0.95
    even = fit((1, 2), answers(*[(1, 2, "tie")] * 9))
    assert even[0].chance.value == pytest.approx(0.5)
    assert even[0].chance.low < 0.5 < even[0].chance.high
    assert sum(row.best for row in even) == pytest.approx(1)


def test_the_same_seed_gives_the_same_intervals() -> None:
    """And another seed nearly the same."""
    given = answers((1, 2, "left"), (2, 3, "left"), (1, 3, "tie"))
    assert fit((1, 2, 3), given, seed=4) == fit((1, 2, 3), given, seed=4)
    other = fit((1, 2, 3), given, seed=5)
    assert other != fit((1, 2, 3), given, seed=4)
    assert other[0].chance.low == pytest.approx(fit((1, 2, 3), given, seed=4)[0].chance.low, abs=0.05)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Four epochs of normal strengths, 30 answers: 90 % intervals hold 80 to 97 %, and the strongest is found far above chance."""
    rng, held, first = generator(0, "coverage"), [], 0
    for replica in range(80):
        truth = rng.normal(0, 1, 4)
        truth -= truth.mean()
        results: list[tuple[int, int, Choice]] = []
        for number in range(30):
            one, other = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)][number % 6]
            wins = rng.random() < 1 / (1 + np.exp(truth[other] - truth[one]))
            results.append((one + 1, other + 1, "left" if wins else "right"))
        rows = fit((1, 2, 3, 4), answers(*results), seed=replica, resamplings=300)
        held += [row.chance.low <= 1 / (1 + np.exp(-value)) <= row.chance.high for row, value in zip(rows, truth, strict=True)]
        first += int(np.argmax([row.chance.value for row in rows]) == truth.argmax())
    assert 0.80 <= np.mean(held) <= 0.97
    assert first / 80 > 0.5
