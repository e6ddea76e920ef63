"""A review without a page: what is shown, changed, taken back; what another program does is never lost."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from captioned import JUDGE, NURSE, write_spec
from PIL import Image

from loraspec.captioning.session import KEPT, SMALL, Review
from loraspec.ledger import Ledger


@pytest.fixture
def three(review: Callable[..., Review]) -> Review:
    """Two captions and a picture without."""
    return review({"a.png": JUDGE, "b.png": NURSE, "c.png": None})


def states(review: Review) -> list[str]:
    return [row["state"] for row in review.state()["rows"]]


def test_what_the_page_is_told(three: Review) -> None:
    """Rows with caption, state, tokens; the lint fills in, and only what changed is told again."""
    told = three.state()
    assert [row["key"] for row in told["rows"]] == ["a.png", "b.png", "c.png"]
    assert [row["text"] for row in told["rows"]] == [JUDGE, NURSE, None]
    assert (told["separator"], told["limit"], told["required"]) == (",", 16, False)
    version = told["version"]
    three.lint()
    later = three.since(version)
    assert later["version"] > version
    codes = {row["key"]: {one["code"] for one in row["lint"]} for row in later["rows"]}
    assert "C110" in codes["a.png"]  # the tiny model reads 16 tokens
    assert codes["c.png"] == {"C001"}
    assert three.since(later["version"])["rows"] == []


def test_rules_of_images_are_told_too(three: Review, review: Callable[..., Review], tmp_path: Path) -> None:
    """A picture that is there twice; a code that the spec ignores is not told."""
    (tmp_path / "images/c.png").write_bytes((tmp_path / "images/a.png").read_bytes())
    for spec, told in (("", True), ('[captions.lint]\nignore = ["D004"]', False)):
        write_spec(tmp_path, captions=spec)
        made = review()
        made.lint()
        codes = [{one["code"] for one in row["lint"]} for row in made.state()["rows"]]
        assert ("D004" in codes[2]) == told
        assert "D004" not in codes[0] | codes[1]


def test_changes_are_on_the_disk_and_can_be_taken_back(three: Review, tmp_path: Path) -> None:
    """Approve, edit, reject, a first caption; undo goes back one by one to how everything was."""
    texts = {name: tmp_path / f"images/{name}.txt" for name in "abc"}
    assert three.save(0, seen=JUDGE, text=JUDGE, state="approved")
    assert three.save(1, seen=NURSE, text=f"{NURSE}, rain", state="edited")
    assert three.save(2, seen=None, text="a boat", state="approved")
    assert three.save(1, seen=f"{NURSE}, rain", text=f"{NURSE}, rain", state="rejected")
    assert states(three) == ["approved", "rejected", "approved"]
    assert texts["b"].read_text(encoding="utf-8") == f"{NURSE}, rain\n"
    assert [three.undo() for _ in range(4)] == [1, 2, 1, 0]
    assert states(three) == ["found", "found", "missing"]
    assert texts["b"].read_text(encoding="utf-8") == f"{NURSE}\n"
    assert not texts["c"].exists()
    assert three.undo() is None
    assert len(Ledger(tmp_path / "images/captions.jsonl").entries()) == 8  # nothing is ever taken out of it
    assert three.save(2, seen=None, text="a ship", state="edited")


def test_a_reopened_review_is_where_it_was(three: Review, review: Callable[..., Review]) -> None:
    """States are those of the ledger."""
    three.save(0, seen=JUDGE, text=JUDGE, state="approved")
    assert states(review()) == ["approved", "found", "missing"]


def test_what_changed_elsewhere_is_not_overwritten(three: Review, review: Callable[..., Review], tmp_path: Path) -> None:
    """By a second page, or by an editor: the page is told what it is now, and the edit is in the ledger."""
    other = review()
    other.save(0, seen=JUDGE, text="other words", state="approved")
    assert not three.save(0, seen=JUDGE, text="mine", state="edited")
    assert three.plain(0)["text"] == "other words"
    three.save(1, seen=NURSE, text=NURSE, state="approved")
    (tmp_path / "images/b.txt").write_text("by hand")
    assert not three.save(1, seen=NURSE, text="mine", state="edited")
    assert (three.plain(1)["text"], three.plain(1)["state"], three.plain(1)["author"]) == ("by hand", "edited", "person")
    (tmp_path / "images/b.txt").write_text("by hand again")
    assert three.fresh(1)["text"] == "by hand again"
    assert Ledger(tmp_path / "images/captions.jsonl").entries()[-1].text == "by hand again"


def test_undo_spares_what_was_changed_since(three: Review, tmp_path: Path) -> None:
    """By somebody else."""
    three.save(0, seen=JUDGE, text="mine", state="edited")
    (tmp_path / "images/a.txt").write_text("by hand")
    assert three.undo() is None
    assert (tmp_path / "images/a.txt").read_text() == "by hand"


@pytest.mark.parametrize(("text", "state"), [("", "edited"), (" , ", "edited"), ("x" * 3000, "edited"), ("a judge", "good")])
def test_what_is_no_caption_is_refused(three: Review, text: str, state: str, tmp_path: Path) -> None:
    """And nothing is written."""
    with pytest.raises(ValueError, match=r"answer|state"):
        three.save(0, seen=JUDGE, text=text, state=state)
    assert not (tmp_path / "images/captions.jsonl").exists()


def test_replacing_is_shown_first_and_is_one_step(three: Review, tmp_path: Path) -> None:
    """In the rows that are named; undo takes all of it back."""
    three.save(0, seen=JUDGE, text=JUDGE, state="approved")
    told = three.replace([0, 1, 2, 2, 99], "LITHOGRAPHY", "etching", case=False, apply=False)
    assert [one["n"] for one in told["changes"]] == [0, 1]
    assert not told["applied"]
    assert states(three) == ["approved", "found", "missing"]
    assert three.replace([0, 1, 2], "LITHOGRAPHY", "etching", case=True, apply=True)["changes"] == []
    assert three.replace([0, 1, 2], "lithography", r"\1 etching", case=True, apply=True)["applied"]
    assert states(three) == ["edited", "edited", "missing"]
    assert r"\1 etching" in (tmp_path / "images/a.txt").read_text(encoding="utf-8")
    three.undo()
    assert states(three) == ["approved", "found", "missing"]
    assert three.plain(1)["text"] == NURSE
    with pytest.raises(ValueError, match=r"a\.png"):
        three.replace([0], JUDGE, "", case=True, apply=True)
    with pytest.raises(ValueError, match="to be found"):
        three.replace([0], "", "x", case=True, apply=True)


def test_a_text_can_be_looked_at_before_it_is_saved(three: Review) -> None:
    """Tokens and remarks of what is being typed."""
    told = three.lint_text(0, "a man")
    assert told["tokens"] > 0
    assert {"C101", "C102"} <= {one["code"] for one in told["lint"]}


def test_silenced_codes_are_not_told(review: Callable[..., Review]) -> None:
    """As the spec says."""
    made = review({"a.png": "a man"}, spec='[captions.lint]\nignore = ["C101"]')
    made.lint()
    codes = {one["code"] for one in made.plain(0)["lint"]}
    assert "C101" not in codes
    assert "C102" in codes


def test_pictures_are_pixels_alone(three: Review, tmp_path: Path) -> None:
    """WebP without metadata; kept for a while; gone ones are None."""
    data = three.picture(0, side=SMALL)
    assert data is not None
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "WEBP"
        assert max(image.size) <= SMALL
    (tmp_path / "images/a.png").unlink()
    assert three.picture(0, side=SMALL) == data
    (tmp_path / "images/b.png").unlink()
    assert three.picture(1) is None
    assert KEPT > 100
