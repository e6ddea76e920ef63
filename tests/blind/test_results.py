"""What the answers come to, in sentences and rows, beside the ranking."""

from __future__ import annotations

from pathlib import Path

from finished_run import finished_run

from loraspec.blind.answers import Answer, Choice
from loraspec.blind.results import results
from loraspec.finished import read


def answer(left: int, right: int, choice: Choice) -> Answer:
    return Answer("x", left, right, "p", 1, choice, "")


def test_a_clear_eye_is_told_beside_the_ranking(tmp_path: Path) -> None:
    """Epoch 2 is always preferred, the ranking recommends 3: both are said, and how many pairs agree."""
    run = read(finished_run(tmp_path / "run"))
    found = results(run, [*[answer(2, 3, "left")] * 9, *[answer(3, 1, "left")] * 9])
    assert found is not None
    assert (found.first, found.answers) == (2, 18)
    text = " ".join(found.sentences)
    assert "your eye prefers epoch 2" in text
    assert "The ranking recommends not this one but epoch 3." in text
    assert "Of 2 pairs of epochs that you told apart, 1 stands in the ranking's order." in text
    assert text.endswith(f"loraspec pick {run.folder} 2")
    heading, *rows = found.table
    assert len({len(heading), *map(len, rows)}) == 1
    assert [row[0] for row in rows] == ["2", "3", "1"]
    assert rows[1][-2:] == ["0.50 [0.45, 0.55]", "recommended"]


def test_an_eye_that_is_not_sure_says_so(tmp_path: Path) -> None:
    """Three answers decide nothing; ties alone less."""
    run = read(finished_run(tmp_path / "run"))
    unsure = results(run, [answer(2, 3, "left"), answer(2, 3, "right"), answer(2, 3, "right")])
    assert unsure is not None
    assert "not safely" in unsure.sentences[0]
    assert "epochs 2 and 3 could be the best" in unsure.sentences[0]
    assert "The ranking recommends it too." in unsure.sentences
    ties = results(run, [answer(2, 3, "tie")])
    assert ties is not None
    assert ties.sentences == ("In none of 1 pair was one picture better than the other.",)


def test_without_answers_or_a_ranking(tmp_path: Path) -> None:
    """Nothing is nothing; without a ranking only the eye speaks."""
    run = read(finished_run(tmp_path / "run", keys={}))
    assert results(run, []) is None
    assert results(run, [answer(2, 3, "left")], (1, 4)) is None
    found = results(run, [answer(2, 3, "left")])
    assert found is not None
    assert found.table[1][-2:] == ["-", ""]
    assert "ranking" not in " ".join(found.sentences)
