"""Files of scores: what goes in comes out, and what a stranger wrote is refused with words."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loraspec.sweetspot.measured import Axis, Gate, Measured, Scores
from loraspec.sweetspot.scorefile import ScoreFile, facts_of, load, read_score

GATE = Gate("alive", math.nan, 0.75, False, "nothing")


def file(name: str = "style", axis: Axis = "style", *, seeds: tuple[int, ...] = (1, 2), **changes: Any) -> ScoreFile:
    values = np.arange(2 * 2 * 3 * len(seeds), dtype=float).reshape(2, 2, 3, len(seeds)) / 7
    values[0, 1, 2, 0] = np.nan
    given = {"references": np.array([0.9, 1.1]), "scale": 0.3, "gates": (GATE,), "notes": ("a note",), "facts": {"pairs": [{"epoch": 1}]}}
    measured = Measured(name, axis, values, values[0, 0], **{**given, **changes})
    return ScoreFile("ab" * 32, Scores((3, 5), (0.8, 1.0), ("a", "b", "c"), seeds, (measured,), 4, 10))


def write(path: Path, made: ScoreFile | dict[str, Any], *, age: float = 0.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(made if isinstance(made, dict) else made.plain(), allow_nan=False))
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


def test_a_file_comes_back_as_it_was(tmp_path: Path) -> None:
    """Every number to its last bit, NaN as null, gates, notes and facts."""
    before = file()
    after = read_score(write(tmp_path / "style.json", before))
    assert after.plain() == before.plain()
    assert after.key == before.key
    assert np.array_equal(after.measured.values, before.measured.values, equal_nan=True)
    assert after.measured.closeness is None
    assert after.plain()["values"][0][1][2][0] is None
    assert not after.measured.votes


def test_closeness_comes_back_with_the_values(tmp_path: Path) -> None:
    """Of the same cells, or the file is refused."""
    before = file(closeness=file().measured.values / 2)
    after = read_score(write(tmp_path / "style.json", before))
    assert after.measured.closeness is not None
    assert np.array_equal(after.measured.closeness, after.measured.values / 2, equal_nan=True)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("closeness", [[[[1.0]]]], "of closeness"), ("closeness", "near", "could not convert"),
        ("version", 4, "version 6"), ("axis", "taste", "no axis"), ("values", [[[[1.0]]]], "for 2 epochs"),
        ("values", [1, [2]], "inhomogeneous"),
        ("prompts", ["a"], "for 1 prompts"), ("seeds", [1.5, 2], "whole number"), ("heldout", True, "whole number"),
        ("gates", [{}], "misspells"),
        ("gates", [{"name": "x", "passed": None}], "no gate"), ("facts", 3, "misspells"), ("epochs", None, "misspells"),
        ("base", "words", "could not convert"),
    ],
)  # fmt: skip
def test_what_is_none_is_refused(tmp_path: Path, name: str, value: Any, words: str) -> None:
    """Each with a ValueError, whatever is wrong in it."""
    with pytest.raises(ValueError, match=words):
        read_score(write(tmp_path / "style.json", {**file().plain(), name: value}))


@pytest.mark.parametrize("text", ["", "[]", "NaN", '{"version": NaN}', "[" * 100_000, "\x00"])
def test_text_that_is_no_table_is_refused(tmp_path: Path, text: str) -> None:
    """And none of it stops whoever reads a folder."""
    path = write(tmp_path / "scores" / "style.json", {})
    path.write_text(text)
    with pytest.raises(ValueError, match=r"JSON|version|Expecting|misspells|Extra"):
        read_score(path)
    assert load(tmp_path) is None


def test_a_folder_gives_the_metrics_of_the_newest_cells(tmp_path: Path) -> None:
    """In the order of the axes; one that was measured on other seeds before stays out, and so does a broken one."""
    write(tmp_path / "scores" / "zeta.json", file("zeta", "prompt"), age=3)
    write(tmp_path / "scores" / "alpha.json", file("alpha", "variety"), age=2)
    write(tmp_path / "scores" / "style.json", file(), age=1)
    write(tmp_path / "scores" / "old.json", file("old", seeds=(8, 9)), age=9)
    write(tmp_path / "scores" / "broken.json", {})
    write(tmp_path / "scores" / "fresh" / "style.json", file(seeds=(5, 6)))
    found, fresh = load(tmp_path), load(tmp_path, fresh=True)
    assert found is not None
    assert fresh is not None
    assert [one.name for one in found.measured] == ["style", "zeta", "alpha"]
    assert (found.seeds, fresh.seeds, found.heldout, found.exposure) == ((1, 2), (5, 6), 4, 10)
    assert load(tmp_path / "nothing") is None


def test_a_link_is_no_folder_of_scores(tmp_path: Path) -> None:
    """What lies elsewhere is not the run's."""
    write(tmp_path / "away" / "style.json", file())
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "scores").symlink_to(tmp_path / "away")
    assert load(tmp_path / "run") is None


def test_facts_are_plain_data() -> None:
    """Arrays become lists, what is not finite null; anything else is told."""
    assert facts_of({"a": np.array([1.0, np.nan]), 3: (np.int64(2), np.float32(math.inf), "x", None, True)}) == {
        "a": [1.0, None],
        "3": [2, None, "x", None, True],
    }
    with pytest.raises(ValueError, match="a fact is a set"):
        facts_of({"a": {1}})
