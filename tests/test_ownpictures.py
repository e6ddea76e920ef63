"""ownpictures: held-out pictures before others, spread over the set; what is odd or lies elsewhere is left out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from loraspec.ownpictures import Own, own_pictures


def kept(folder: Path, *, trained: int = 0, heldout: int = 0, extra: Sequence[str] = ()) -> Path:
    """Write the manifest of a run and its thumbnails (which nobody opens here); ``extra``: more lines."""
    (folder / "grid" / "thumbs").mkdir(parents=True)
    rows = [{"key": f"{n}.png", "thumb": f"{n:016x}.webp", "heldout": n >= trained} for n in range(trained + heldout)]
    for row in rows:
        (folder / "grid" / "thumbs" / str(row["thumb"])).write_bytes(b"x")
    (folder / "manifest.jsonl").write_text("\n".join([*map(json.dumps, rows), *extra]), encoding="utf-8")
    return folder


def numbers(found: Own) -> list[int]:
    return [int(path.stem, 16) for path in found.files]


def test_held_out_pictures_come_before_others(tmp_path: Path) -> None:
    """And are called what they are; without any, those of the training set, first and last among them."""
    found = own_pictures(kept(tmp_path / "held", trained=20, heldout=3), 6)
    assert (numbers(found), found.words) == ([20, 21, 22], "the artist's own, never trained on")
    found = own_pictures(kept(tmp_path / "all", trained=21), 5)
    assert (numbers(found), found.words) == ([0, 5, 10, 15, 20], "the artist's own")
    assert own_pictures(tmp_path / "all", 1).files == found.files[:1]


ODD = ("", "{", "[1]", '{"thumb": 3}', '{"thumb": "../../spec.toml"}', '{"thumb": "00000000000000ff.webp"}', "[" * 5000)


@pytest.mark.parametrize("line", ODD)
def test_what_is_odd_is_left_out(tmp_path: Path, line: str) -> None:
    """Lines that are no rows, names that lead elsewhere, files that are not there."""
    assert numbers(own_pictures(kept(tmp_path / "run", trained=1, extra=[line]), 6)) == [0]


def test_nothing_is_followed_out_of_the_folder(tmp_path: Path) -> None:
    """A link in place of a thumbnail, or of their folder; no manifest."""
    folder = kept(tmp_path / "run", trained=2)
    thumb = folder / "grid" / "thumbs" / f"{1:016x}.webp"
    thumb.unlink()
    thumb.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_bytes(b"x")
    assert numbers(own_pictures(folder, 6)) == [0]
    moved = tmp_path / "thumbs"
    (folder / "grid" / "thumbs").rename(moved)
    (folder / "grid" / "thumbs").symlink_to(moved)
    assert own_pictures(folder, 6) == Own((), "")
    assert own_pictures(tmp_path / "no", 6) == Own((), "")
