"""judgements.jsonl: appended at once, never rewritten, read as if a stranger had written it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loraspec.blind.answers import JUDGEMENTS, Answer, Answers
from loraspec.errors import RunError

ONE = Answer("aa", 1, 2, "a boat", 7, "left", "2026-01-31T12:00:00Z")
TWO = Answer("bb", 3, 2, "a cat", 7, "tie", "2026-01-31T12:00:01Z")


def test_answers_are_kept_in_order_and_taken_back(tmp_path: Path) -> None:
    """Undo is a line of its own; what was answered anew after it counts."""
    answers = Answers(tmp_path)
    assert answers.given() == ()
    answers.add(ONE)
    answers.add(TWO)
    assert Answers(tmp_path).given() == (ONE, TWO)
    assert (ONE.winner, TWO.winner) == (1, None)
    answers.take_back(TWO)
    assert answers.given() == (ONE,)
    answers.add(TWO)
    assert answers.given() == (ONE, TWO)
    assert answers.given((1, 2)) == (ONE,)
    assert [json.loads(line)["kind"] for line in answers.path.read_text().splitlines()] == ["answer", "answer", "undo", "answer"]


def test_half_a_line_costs_nothing_but_itself(tmp_path: Path) -> None:
    """A machine that stopped while it wrote: the half line is cut off before the next one."""
    answers = Answers(tmp_path)
    answers.add(ONE)
    whole = answers.path.read_bytes()
    answers.path.write_bytes(whole + b'{"kind":"answer","pa')
    assert answers.given() == (ONE,)
    answers.add(TWO)
    assert answers.given() == (ONE, TWO)
    assert answers.path.read_bytes().startswith(whole + b'{"kind":"answer","pair":"bb"')


@pytest.mark.parametrize("change", [
    {"kind": "other"}, {"choice": "both"}, {"choice": 1}, {"left": "1"}, {"left": True}, {"left": 0}, {"left": 2}, {"seed": None},
    {"left": 1.0},
])  # fmt: skip
def test_a_forged_line_is_left_out(tmp_path: Path, change: dict[str, Any]) -> None:
    """Lines around it stand."""
    answers = Answers(tmp_path)
    answers.add(ONE)
    bad = json.loads(answers.path.read_text()) | change
    answers.path.write_text(f"{json.dumps(bad)}\n[1]\n{'[' * 100_000}\n\n" + answers.path.read_text(), encoding="utf-8")
    assert answers.given() == (ONE,)


def test_a_link_is_refused(tmp_path: Path) -> None:
    """A stranger's folder cannot have lines appended to a file of yours."""
    (tmp_path / "mine").write_text("alias\n")
    (tmp_path / JUDGEMENTS).symlink_to(tmp_path / "mine")
    for act in (lambda: Answers(tmp_path).add(ONE), Answers(tmp_path).given):
        with pytest.raises(RunError, match="is a link"):
            act()
    assert (tmp_path / "mine").read_text() == "alias\n"


def test_hostile_prompts_stay_one_line(tmp_path: Path) -> None:
    """A prompt with line feeds and a text that turns round is read back as it was, and shows nothing odd in a terminal."""
    odd = Answer("cc", 1, 2, "a\nb\u202e\x1b[2J", 1, "right", "")
    answers = Answers(tmp_path)
    answers.add(odd)
    assert answers.given() == (odd,)
    text = answers.path.read_text(encoding="utf-8")
    assert text.isascii()
    assert text.count("\n") == 1
