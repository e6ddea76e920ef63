"""Captions with their states, and the one way in which they are changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from captioned import JUDGE, NURSE, items, write_images, write_spec

from loraspec.captioning.items import ChangedError, note_outside, refreshed, write, write_all
from loraspec.errors import SpecError
from loraspec.ledger import Entry, Ledger


@pytest.fixture
def plan(tmp_path: Path, make_plan: Callable[..., Any], tiny_plugin: None) -> Callable[[], Any]:
    """Resolve the spec over two captioned pictures and one without."""
    write_images(tmp_path, {"a.png": JUDGE, "b.png": NURSE, "sub/c.png": None})
    path = write_spec(tmp_path)
    return lambda: make_plan(path)


def states(plan: Any) -> dict[str, str]:
    return {key: item.state for key, item in items(plan).items()}


def test_states_follow_what_happens(plan: Callable[[], Any], tmp_path: Path) -> None:
    """Found and missing, then draft, approved, edited elsewhere, rejected; the file is always what stands."""
    assert states(plan()) == {"a.png": "found", "b.png": "found", "sub/c.png": "missing"}
    found = items(plan())
    write(found["sub/c.png"], "a boat", "draft", author="model:x")
    write(found["a.png"], JUDGE, "approved")
    assert states(plan()) == {"a.png": "approved", "b.png": "found", "sub/c.png": "draft"}
    assert (tmp_path / "images/sub/c.txt").read_text() == "a boat\n"
    assert (tmp_path / "images/a.txt").read_text(encoding="utf-8") == JUDGE  # nothing to change, nothing written
    (tmp_path / "images/a.txt").write_text("a judge, by hand")
    again = items(plan())
    assert (again["a.png"].state, again["a.png"].outside, again["a.png"].text) == ("edited", True, "a judge, by hand")
    note_outside(list(again.values()))
    last = Ledger(tmp_path / "images/captions.jsonl").entries()[-1]
    assert (last.text, last.state, last.author) == ("a judge, by hand", "edited", "person")
    assert not items(plan())["a.png"].outside
    write(items(plan())["sub/c.png"], "a boat", "rejected")
    (tmp_path / "images/b.txt").unlink()
    assert states(plan()) == {"a.png": "edited", "b.png": "missing", "sub/c.png": "rejected"}


def test_an_edited_picture_is_not_approved_any_more(plan: Callable[[], Any], tmp_path: Path) -> None:
    """A person approved words about other pixels; a renamed picture keeps what was said."""
    write(items(plan())["a.png"], JUDGE, "approved")
    (tmp_path / "images/a.png").rename(tmp_path / "images/z.png")
    (tmp_path / "images/a.txt").rename(tmp_path / "images/z.txt")
    assert states(plan())["z.png"] == "approved"
    (tmp_path / "images/z.png").write_bytes((tmp_path / "images/b.png").read_bytes())
    assert states(plan())["z.png"] == "found"


def test_what_was_changed_meanwhile_is_not_overwritten(plan: Callable[[], Any], tmp_path: Path) -> None:
    """Another program wrote the file, or another page decided: nothing of the whole batch is written."""
    found = items(plan())
    (tmp_path / "images/b.txt").write_text("other words")
    with pytest.raises(ChangedError) as caught:
        write_all([(found["a.png"], "new", "edited"), (found["b.png"], "new", "edited")])
    assert (caught.value.item.key, caught.value.item.text) == ("b.png", "other words")
    assert (tmp_path / "images/a.txt").read_text(encoding="utf-8") == JUDGE
    assert not (tmp_path / "images/captions.jsonl").exists()
    write(found["a.png"], JUDGE, "approved")
    with pytest.raises(ChangedError):
        write(found["a.png"], "a draft of an hour ago", "draft")
    assert states(plan())["a.png"] == "approved"


def test_several_sources_have_ledgers_of_their_own(tmp_path: Path, make_plan: Callable[..., Any], tiny_plugin: None) -> None:
    """Keys in a ledger are those inside its source, so that a source can be moved to another spec."""
    write_images(tmp_path, {"a.png": JUDGE})
    (tmp_path / "more").mkdir()
    (tmp_path / "more/a.png").write_bytes((tmp_path / "images/a.png").read_bytes())
    source = 'use = "folder"\npath = "images"\nrights = "own"\n[[data.sources]]\nuse = "folder"\npath = "more"'
    path = write_spec(tmp_path, source=source)
    found = items(make_plan(path))
    write(found["2/a.png"], "a judge, other", "approved")
    assert [entry.key for entry in Ledger(tmp_path / "more/captions.jsonl").entries()] == ["a.png"]
    assert states(make_plan(path)) == {"1/a.png": "found", "2/a.png": "approved"}


def test_tables_keep_their_text_and_the_ledger_counts(tmp_path: Path, make_plan: Callable[..., Any], tiny_plugin: None) -> None:
    """Data without caption files: the ledger is the caption, training uses it, and an edit of the table is seen."""
    write_images(tmp_path, {"a.png": None, "b.png": None})
    table = tmp_path / "images/metadata.csv"
    table.write_text("file_name,text\na.png,old words\n")
    path = write_spec(tmp_path, source='use = "imagefolder"\npath = "images"')
    found = items(make_plan(path))
    write(found["a.png"], "new words", "edited")
    write(found["b.png"], "words", "draft", author="model:x")
    assert table.read_text() == "file_name,text\na.png,old words\n"
    plan = make_plan(path)
    assert {item.key: item.text for item in items(plan).values()} == {"a.png": "new words", "b.png": "words"}
    assert dict(plan.data.raw_captions) == {"a.png": "new words", "b.png": "words"}
    table.write_text("file_name,text\na.png,newest words\n")
    assert items(make_plan(path))["a.png"].text == "newest words"
    assert states(make_plan(path)) == {"a.png": "edited", "b.png": "draft"}


@pytest.mark.usefixtures("tiny_plugin")
def test_a_package_is_not_written(tmp_path: Path, make_plan: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of an installed package have their ledger beside the spec, and no file of the package changes."""
    package = tmp_path / "site/pack"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    write_images(package, {"a.png": JUDGE})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    path = write_spec(tmp_path, source='use = "folder"\npath = "package:pack/images"')
    write(items(make_plan(path))["a.png"], "a judge, by Nobody", "approved")
    assert (package / "images/a.txt").read_text(encoding="utf-8") == JUDGE
    assert [entry.text for entry in Ledger(tmp_path / "spec.captions.jsonl").entries()] == ["a judge, by Nobody"]
    assert make_plan(path).data.raw_captions == {"a.png": "a judge, by Nobody"}


def test_nothing_is_trained_before_it_is_approved(plan: Callable[[], Any], tmp_path: Path, make_plan: Callable[..., Any]) -> None:
    """``review = "required"``: every caption that is not approved is named with its state, and none is left when all are."""
    path = write_spec(tmp_path, captions='review = "required"')
    write(items(make_plan(path))["sub/c.png"], "a boat", "draft", author="model:x")
    write(items(make_plan(path))["a.png"], JUDGE, "approved")
    with pytest.raises(SpecError) as caught:
        _ = make_plan(path).data
    [problem] = [one for one in caught.value.problems if one.code == "E-CAP-REVIEW"]
    assert problem.message == "2 of 3 captions are not approved: b.png (not looked at), sub/c.png (draft)"
    assert problem.line == path.read_text().splitlines().index('review = "required"') + 1
    assert problem.hint == f"loraspec captions review {path}"
    for item in items(make_plan(path)).values():
        if item.state != "approved":
            write(item, item.text or "", "approved")
    assert {placed.sample.state for placed in make_plan(path).data.images} == {"approved"}


@pytest.mark.usefixtures("tiny_plugin")
def test_a_run_says_in_what_state_captions_were(tmp_path: Path, run_spec: Callable[..., Any], make_plan: Callable[..., Any]) -> None:
    """In its manifest, per image."""
    import json

    write_images(tmp_path, {"a.png": JUDGE, "b.png": NURSE})
    path = write_spec(tmp_path)
    write(items(make_plan(path))["a.png"], JUDGE, "approved")
    outcome = run_spec(path, "--set", "train.epochs=1", "--set", "evaluators=[]")
    outcome.assert_success()
    rows = [json.loads(line) for line in (tmp_path / "run/manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {row["key"]: row["caption_state"] for row in rows} == {"a.png": "approved", "b.png": "found"}


def test_refreshing_sees_files_and_ledgers(plan: Callable[[], Any], tmp_path: Path) -> None:
    """What another process did since."""
    item = items(plan())["a.png"]
    Ledger(item.ledger).append([Entry(item.sha256, "a.png", JUDGE, "approved", "person")])
    assert refreshed([item])[0].state == "approved"
    (tmp_path / "images/a.txt").write_bytes(b"\xff\xff")
    assert refreshed([item])[0].state == "missing"
