"""The ledger of captions: append-only, chained, one writer at a time, and what its last line means for a text."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import pytest

from loraspec.errors import EnvironmentMissing
from loraspec.ledger import Entry, Ledger, Ledgers, entry_of, known, ledger_path, plain, standing
from loraspec.values import Sample


def entry(text: str = "a judge", state: str = "draft", *, key: str = "a.png", image: str = "0" * 64, over: str | None = None) -> Entry:
    return Entry(image, key, text, state, "person", over)  # type: ignore[arg-type]


def test_what_is_appended_is_read(tmp_path: Path) -> None:
    """In order, every field, with the time filled in; a file that is not there is empty."""
    ledger = Ledger(tmp_path / "captions.jsonl")
    assert ledger.entries() == ()
    given = [
        Entry("1" * 64, "a.png", "a judge", "draft", "model:x", None, "s" * 64, 1.5, "2026-01-31T12:00:00Z"),
        Entry("2" * 64, "sub/b ü.png", "", "rejected", "person", "was \u202e here", "", 0.0, "2026-01-31T12:00:01Z"),
    ]
    ledger.append(given[:1])
    ledger.append(given[1:])
    assert ledger.entries() == tuple(given)
    assert "\u202e" not in ledger.path.read_text(encoding="utf-8")
    ledger.append([entry()])
    assert len(ledger.entries()[-1].when) == 20
    assert ledger.broken() == []


def test_half_a_line_is_cut_off(tmp_path: Path) -> None:
    """What a machine left that stopped in the middle; the next line stands by itself."""
    ledger = Ledger(tmp_path / "l")
    ledger.append([entry("one"), entry("two")])
    ledger.path.write_bytes(ledger.path.read_bytes()[:-20])
    assert [one.text for one in ledger.entries()] == ["one"]
    ledger.append([entry("three")])
    assert [one.text for one in ledger.entries()] == ["one", "three"]
    assert ledger.broken() == []


def test_changed_and_missing_lines_are_seen(tmp_path: Path) -> None:
    """The chain breaks behind a line that was edited, and where one was taken out; reading goes on."""
    ledger = Ledger(tmp_path / "l")
    ledger.append([entry("one"), entry("two"), entry("three"), entry("four")])
    lines = ledger.path.read_text().splitlines(keepends=True)
    ledger.path.write_text("".join([lines[0], lines[1].replace("two", "2"), *lines[2:]]))
    assert ledger.broken() == [3]
    ledger.path.write_text("".join([lines[0], *lines[2:]]))
    assert ledger.broken() == [2]
    assert [one.text for one in ledger.entries()] == ["one", "three", "four"]


@pytest.mark.parametrize(
    "line",
    ["{", "7", "[]", '{"image": "1"}', '{"image": "1", "key": "a", "text": "t", "state": "good", "author": "x"}',
     '{"image": "1", "key": "a", "text": 7, "state": "draft", "author": "x"}', "<<<<<<< HEAD", "",
     '{"image": "", "key": "a", "text": "t", "state": "draft", "author": "x"}', "[" * 100_000],
)  # fmt: skip
def test_a_line_that_is_none_is_told(line: str, tmp_path: Path) -> None:
    """With its number, and never passed over: an approval may have stood there."""
    ledger = Ledger(tmp_path / "l")
    ledger.append([entry("one")])
    ledger.path.write_text(ledger.path.read_text() + line + "\n")
    with pytest.raises(EnvironmentMissing, match="line 2 is no entry") as caught:
        ledger.entries()
    assert caught.value.code == "E-CAP-LEDGER"


def test_links_and_folders_are_refused(tmp_path: Path) -> None:
    """Nothing is written through a link."""
    (tmp_path / "other").write_text("")
    (tmp_path / "l").symlink_to(tmp_path / "other")
    (tmp_path / "d").mkdir()
    for name in ("l", "d"):
        with pytest.raises(EnvironmentMissing):
            Ledger(tmp_path / name).append([entry()])
    assert (tmp_path / "other").read_text() == ""


def _append(path: Path, name: str, count: int) -> None:
    for number in range(count):
        Ledger(path).append([entry(f"{name} {number}")])


def test_several_writers_lose_nothing(tmp_path: Path) -> None:
    """Four processes at once: every line is whole and follows the one before."""
    path = tmp_path / "l"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_append, args=(path, str(worker), 25)) for worker in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    found = [one.text for one in Ledger(path).entries()]
    assert sorted(found) == sorted(f"{worker} {number}" for worker in range(4) for number in range(25))
    assert Ledger(path).broken() == []
    for worker in range(4):
        assert [text for text in found if text.startswith(f"{worker} ")] == [f"{worker} {number}" for number in range(25)]


@pytest.mark.parametrize(
    ("last", "said", "filed", "now"),
    [
        (None, "x", True, ("x", "")),
        (None, None, True, (None, "")),
        (entry("x", "approved"), "x", True, ("x", "approved")),
        (entry("x", "approved"), " x \n", True, (" x \n", "approved")),
        (entry("x", "approved"), "y", True, ("y", "edited")),
        (entry("x", "draft"), None, True, (None, "")),
        (entry("x", "found"), "x", True, ("x", "")),
        (entry("x", "approved", over=None), None, False, ("x", "approved")),
        (entry("x", "draft", over="old"), "old", False, ("x", "draft")),
        (entry("x", "draft", over="old"), "new", False, ("new", "edited")),
        (entry("x", "draft", over="old"), "x", False, ("x", "draft")),
        (entry("x", "draft", over="old"), None, False, (None, "")),
        (entry("e\u0301", "approved"), "é", True, ("é", "approved")),
    ],
)
def test_what_stands(last: Entry | None, said: str | None, filed: bool, now: tuple[str | None, str]) -> None:
    """A file is the caption; without one the ledger is, until the source says something else."""
    assert standing(last, said, filed=filed) == now


def test_renamed_images_keep_their_state() -> None:
    """By content, when no image has the old name any more; a copy under another name has a state of its own."""
    latest = {("1", "old.png"): entry(key="old.png", image="1")}
    assert entry_of(latest, "1", "new.png", keys={"new.png"}) == latest["1", "old.png"]
    assert entry_of(latest, "1", "new.png", keys={"new.png", "old.png"}) is None
    assert entry_of(latest, "2", "old.png", keys={"old.png"}) is None


def test_samples_take_caption_and_state(tmp_path: Path) -> None:
    """An image that was edited has no state; data without a folder keeps its ledger beside the spec."""
    import hashlib

    spec, data = tmp_path / "daumier.toml", b"bytes"
    image = hashlib.sha256(data).hexdigest()
    sample = Sample("a.png", 1, 1, None, "own", "", lambda: data)
    path = ledger_path(None, spec)
    assert path == tmp_path / "daumier.captions.jsonl"
    assert ledger_path(tmp_path / "images", spec) == tmp_path / "images" / "captions.jsonl"
    assert known([sample], spec, Ledgers()) == [sample]
    Ledger(path).append([entry("x", "approved", image=image)])
    [found] = known([sample], spec, Ledgers())
    assert (found.caption, found.state) == ("x", "approved")
    other = Sample("a.png", 1, 1, None, "own", "", lambda: b"other")
    assert [(one.caption, one.state) for one in known([other], spec, Ledgers())] == [(None, "")]


def test_plain() -> None:
    """One line, composed."""
    assert plain(" e\u0301\n b\t") == "é b"


def test_lines_are_json_with_what_is_known(tmp_path: Path) -> None:
    """What another tool reads."""
    Ledger(tmp_path / "l").append([entry("x", "approved")])
    row = json.loads((tmp_path / "l").read_text())
    assert row == {"image": "0" * 64, "key": "a.png", "text": "x", "state": "approved", "author": "person", "over": None,
                   "when": row["when"], "previous": ""}  # fmt: skip
    assert (tmp_path / "l").stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
