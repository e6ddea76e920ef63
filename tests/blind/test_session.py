"""A judge's session without a page: rounds, undo, pictures that cannot be shown, several pages at once."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from finished_run import finished_run
from PIL import Image

from loraspec.blind.pool import pool_of
from loraspec.blind.session import LEAST, Session
from loraspec.finished import read


def session(folder: Path, *epochs: int, goal: int = 0) -> Session:
    run = read(folder)
    return Session(run, pool_of(run, epochs), goal=goal)


def answer(judge: Session, choice: str) -> bool:
    return judge.answer(judge.state()["pair"], choice)


def test_pairs_are_asked_until_the_goal_and_no_epoch_is_told(tmp_path: Path) -> None:
    """Three of 24; then nothing, then three more; what the page gets names no epoch."""
    judge = session(finished_run(tmp_path / "run"), 1, 2, 3, 4, goal=3)
    seen = []
    for number in range(3):
        state = judge.state()
        assert (state["done"], state["goal"], state["undo"]) == (number, 3, number > 0)
        assert set(state) == {"done", "goal", "left", "undo", "pair", "unreadable", "same", "prompt", "width", "height", "own", "own_words"}
        seen.append(state["pair"])
        assert answer(judge, ("left", "right", "tie")[number])
    assert (judge.state()["pair"], judge.state()["left"]) == (None, 21)
    judge.more()
    assert judge.state()["goal"] == 6
    assert judge.state()["pair"] not in {*seen, None}
    judge.enough()
    assert judge.state()["pair"] is None


def test_the_artists_own_pictures_stand_beside_a_pair(tmp_path: Path) -> None:
    """Up to six, as PNG; no other number and no broken file is answered; a run that kept none has none."""
    judge = session(finished_run(tmp_path / "run", own=8))
    assert (judge.state()["own"], judge.state()["own_words"]) == (6, "the artist's own, never trained on")
    image = Image.open(io.BytesIO(judge.own_picture("5") or b""))
    assert (image.format, image.size) == ("PNG", (48, 32))
    assert abs(int(np.asarray(image)[0, 0, 0]) - 30 * 7) <= 3
    for number in ("6", "-1", "x", "../0", ""):
        assert judge.own_picture(number) is None
    (tmp_path / "run" / "grid" / "thumbs" / f"{0:016x}.webp").write_bytes(b"broken")
    assert judge.own_picture("0") is None
    assert session(finished_run(tmp_path / "none")).state()["own"] == 0


def test_undo_shows_the_same_pair_again(tmp_path: Path) -> None:
    """Also after the end; with nothing to take back it says so."""
    judge = session(finished_run(tmp_path / "run"), goal=1)
    assert not judge.undo()
    first = judge.state()["pair"]
    assert answer(judge, "left")
    assert judge.state()["pair"] is None
    assert judge.undo()
    assert (judge.state()["pair"], judge.state()["done"]) == (first, 0)
    assert answer(judge, "right")
    judge.enough()
    assert judge.undo()
    assert judge.state()["pair"] == first


def test_an_answer_to_another_pair_does_not_count(tmp_path: Path) -> None:
    """A second page that was left open, a pair that was answered, a word that is none."""
    folder = finished_run(tmp_path / "run")
    one, other = session(folder), session(folder)
    pair = one.state()["pair"]
    assert not one.answer(pair, "both")
    assert not one.answer("0" * 16, "left")
    assert one.answer(pair, "left")
    assert not one.answer(pair, "left")
    assert not other.answer(pair, "right")
    assert other.state()["done"] == 1
    assert len(one.answers.given()) == 1


def test_pictures_are_pixels_alone(tmp_path: Path) -> None:
    """The PNG that is sent has the pixels of its side and nothing of what the file says, which names the epoch."""
    judge = session(finished_run(tmp_path / "run"))
    name = judge.state()["pair"]
    pair = next(one for one in judge._pairs if one.name == name)
    for side, epoch in (("left", pair.left), ("right", pair.right)):
        data = judge.picture(name, side)
        assert data is not None
        shown = Image.open(io.BytesIO(data))
        kept = Image.open(judge.pool.files[epoch, pair.prompt, pair.seed])
        assert np.array_equal(np.asarray(shown), np.asarray(kept))
        assert kept.info
        assert not shown.info
    assert judge.picture(name, "middle") is None
    assert judge.picture("0" * 16, "left") is None


def test_equal_and_broken_pictures_are_not_asked(tmp_path: Path) -> None:
    """Epochs that drew the same to the bit leave nothing to ask; of a broken file only its pairs go."""
    same = session(finished_run(tmp_path / "same", same=True))
    state = same.state()
    assert (state["pair"], state["same"], state["left"]) == (None, 4, 0)
    assert same.results() is None
    folder = finished_run(tmp_path / "broken")
    judge = session(folder)
    path = next(path for (epoch, *_), path in judge.pool.files.items() if epoch == 2)
    path.write_bytes(b"no picture")
    for _ in range(3):
        assert answer(judge, "left")
    state = judge.state()
    assert (state["pair"], state["unreadable"], state["done"]) == (None, 1, 3)


def test_the_goal_grows_with_the_epochs(tmp_path: Path) -> None:
    """Thirty pairs, or three for each two epochs; never more than there are."""
    judge = session(finished_run(tmp_path / "run", epochs=8, keys={}))
    assert judge.goal == 3 * 28
    few = session(finished_run(tmp_path / "few"))
    assert few.goal == LEAST
    assert few.state()["goal"] == 4


def test_a_session_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    """Answers of other epochs neither count nor are lost."""
    folder = finished_run(tmp_path / "run")
    first = session(folder, 1, 4)
    assert answer(first, "left")
    second = session(folder, 2, 3)
    assert second.state()["done"] == 0
    assert answer(second, "tie")
    assert session(folder, 1, 2, 3, 4).state()["done"] == 2
    assert session(folder, 1, 4).state()["done"] == 1


def test_prompts_are_escaped(tmp_path: Path) -> None:
    """What would turn the page's line round is shown as what it is."""
    judge = session(finished_run(tmp_path / "run", prompts=("boat\u202e<b>",)))
    state: dict[str, Any] = judge.state()
    assert state["prompt"] == "boat\\u202e<b>"
