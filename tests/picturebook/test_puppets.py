"""Puppets: a share of the benchmark of the rule, and that its figures mean something."""

import json

import numpy as np
import pytest
from loraspec_picturebook import puppets


@pytest.fixture(scope="module")
def found():
    """Eight replicas that nothing was tuned on."""
    return puppets.benchmark(8, first=5000)


def test_the_rule_is_right_about_puppets(found):
    """Looser limits than those of `make puppets`, for few replicas."""
    assert found["spearman"] >= 0.9
    assert found["regret"] <= 0.25
    assert found["within2"] >= 0.6
    assert found["auc"] >= 0.9
    assert found["fpr"] <= 0.06
    assert found["coverage"] >= 0.7


def test_it_beats_what_others_do(found):
    """The last epoch, the most alike, the lowest loss, z-scores and the F-score."""
    assert found["regret"] < found["regret_best_baseline"] <= min(found["last epoch"], found["lowest loss"])


def test_truth_and_pictures_are_those_of_the_seed():
    """Two replicas differ, one is always the same, and screening and confirmation share the user's own pictures but no generated one."""
    one, again, other = puppets.puppet(1), puppets.puppet(1), puppets.puppet(2)
    assert np.array_equal(one.utility, again.utility)
    assert not np.array_equal(one.utility, other.utility)
    screening, fresh = puppets.shown(one, 1), puppets.shown(one, 1, epochs=(3, 4), fresh=True)
    for left, right in zip(screening.measured, fresh.measured, strict=True):
        assert np.array_equal(left.references, right.references)
        assert not np.array_equal(left.values[2:4], right.values)


def test_a_rule_that_ranks_at_random_is_found_out(monkeypatch):
    """The figures can fail: with U of another replica's pictures the targets are missed."""
    shown = puppets.shown
    monkeypatch.setattr(puppets, "shown", lambda truth, seed, **given: shown(puppets.puppet(seed + 777), seed, **given))
    wrong = puppets.benchmark(4, first=5000)
    assert len(puppets.missed(wrong)) >= 3


def test_the_last_line_is_json(capsys):
    """And exit code 1 says that a target was missed, or 0 that none was."""
    code = puppets.main(["--replicas", "2", "--first", "5000"])
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {"spearman", "regret", "regret_best_baseline", "within2", "auc", "fpr", "coverage"} <= set(last)
    assert code == bool(puppets.missed(last))
