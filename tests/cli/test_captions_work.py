"""``loraspec captions draft``, ``status``, ``diff``, ``import`` and ``export``: from nothing to approved, by commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from captioned import JUDGE, NURSE, TAG, items, write_images, write_spec

from loraspec.captioning.items import write

TEMPLATE = '[captions.captioner]\nuse = "template"'


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_plugin: None) -> Path:
    """Two captioned pictures and two without, in the working folder."""
    write_images(tmp_path, {"a.png": JUDGE, "b.png": NURSE, "old_boat.png": None, "sub/c.png": None})
    write_spec(tmp_path, captions=TEMPLATE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def states(cli: Callable[..., Any]) -> dict[str, str]:
    return {row["image"]: row["state"] for row in json.loads(cli("captions", "status", "spec.toml", "--json").out)}


def test_from_nothing_to_approved(place: Path, loraspec_cli: Callable[..., Any]) -> None:
    """Draft, look, correct in any editor, approve a table of them; then training may begin."""
    write_spec(place, captions=f'review = "required"\n{TEMPLATE}')
    outcome = loraspec_cli("captions", "status", "spec.toml")
    assert outcome.code == 1
    assert "4 images: 2 found, 2 missing" in outcome.out
    assert "nothing is trained: loraspec captions review spec.toml" in outcome.err
    outcome = loraspec_cli("captions", "draft", "spec.toml")
    assert outcome.code == 0, outcome.err
    assert f"old_boat.png  old boat, {TAG}" in outcome.out
    assert "2 drafts written" in outcome.err
    assert states(loraspec_cli) == {"a.png": "found", "b.png": "found", "old_boat.png": "draft", "sub/c.png": "draft"}
    assert loraspec_cli("captions", "draft", "spec.toml").out == "every image has a caption; nothing to draft\n"
    (place / "images/old_boat.txt").write_text(f"an old boat, grey sea, lithography, {TAG}", encoding="utf-8")
    assert states(loraspec_cli)["old_boat.png"] == "edited"
    outcome = loraspec_cli("captions", "diff", "spec.toml")
    assert outcome.code == 1
    assert "old_boat.png\n  - old boat\n  + an old boat\n  + grey sea\n  + lithography\n" in outcome.out
    assert loraspec_cli("validate", "spec.toml").code == 0
    refused = loraspec_cli("plan", "spec.toml")
    assert refused.code != 0
    assert "E-CAP-REVIEW" in refused.err
    assert loraspec_cli("captions", "export", "spec.toml", "all.csv").out == "4 captions written to all.csv\n"
    assert loraspec_cli("captions", "import", "spec.toml", "all.csv", "--approve").out == "4 captions taken from all.csv, 0 as they were\n"
    assert loraspec_cli("captions", "status", "spec.toml").out == "4 images: 4 approved\n"
    assert loraspec_cli("plan", "spec.toml").code == 0
    assert "approved  a.png" in loraspec_cli("captions", "status", "spec.toml", "--all").out


def test_drafts_that_fail_are_named(place: Path, loraspec_cli: Callable[..., Any]) -> None:
    """The others are kept, and the exit code is 1; the next call asks about the rest alone."""
    code = "import sys, json; key = json.load(sys.stdin)['key']; print('a sea, ' + key) if 'boat' in key else sys.exit('no model')"
    write_spec(place, captions=f"[captions.captioner]\nuse = 'command'\nprogram = [{sys.executable!r}, '-c', {code!r}]".replace(
        repr(code), json.dumps(code)))  # fmt: skip
    refused = loraspec_cli("captions", "draft", "spec.toml")
    assert refused.code == 2
    assert "this program will be run" in refused.err
    assert "add --yes" in refused.err
    outcome = loraspec_cli("captions", "draft", "spec.toml", "--yes")
    assert outcome.code == 1
    assert outcome.out == "old_boat.png  a sea, old_boat.png\n"
    assert "sub/c.png" in outcome.err
    assert "no model  [E-CAP-DRAFT]" in outcome.err
    assert states(loraspec_cli)["sub/c.png"] == "missing"


def test_a_run_starts_no_program(place: Path, run_spec: Callable[..., Any]) -> None:
    """A spec that a stranger wrote cannot run one by being trained."""
    path = write_spec(place, captions=f"[captions.captioner]\nuse = 'command'\nprogram = ['touch', '{place}/made']")
    outcome = run_spec(path)
    assert outcome.code != 0
    assert "works outside of a run" in outcome.err
    assert "loraspec captions draft" in outcome.err
    assert not (place / "made").exists()


def test_a_run_drafts_what_is_missing(place: Path, run_spec: Callable[..., Any]) -> None:
    """With a captioner that only looks at names; the data stays as it was."""
    outcome = run_spec(place / "spec.toml", "--set", "train.epochs=1", "--set", "evaluators=[]")
    outcome.assert_success()
    rows = [json.loads(line) for line in (place / "run/manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {row["key"]: row["caption_state"] for row in rows}["old_boat.png"] == "draft"
    assert not (place / "images/old_boat.txt").exists()
    assert not (place / "images/captions.jsonl").exists()


def test_wrong_words_are_told(place: Path, loraspec_cli: Callable[..., Any]) -> None:
    """No captioner; an image that is none."""
    outcome = loraspec_cli("captions", "draft", "spec.toml", "--overwrite", "aa.png")
    assert outcome.code != 0
    assert "did you mean 'a.png'?" in outcome.err
    write_spec(place)
    outcome = loraspec_cli("captions", "draft", "spec.toml")
    assert "the spec names no captioner" in outcome.err
    assert "spec.toml:21:2" in outcome.err


def test_importing_keeps_what_was_approved(place: Path, loraspec_cli: Callable[..., Any], make_plan: Callable[..., Any]) -> None:
    """Unless it is asked to overwrite; what is no image, or no caption, is told."""
    write(items(make_plan(place / "spec.toml"))["a.png"], JUDGE, "approved")
    (place / "new.jsonl").write_text(
        json.dumps({"file_name": "a.png", "text": "other"}) + "\n" + json.dumps({"file_name": "b.png", "text": "a nurse"}) + "\n"
        + json.dumps({"file_name": "x.png", "text": "gone"}) + "\n"
    )  # fmt: skip
    outcome = loraspec_cli("captions", "import", "spec.toml", "new.jsonl")
    assert outcome.code == 1
    assert outcome.out == "1 caption taken from new.jsonl, 0 as they were\n"
    assert "is approved and was kept" in outcome.err
    assert "x.png" in outcome.err
    assert states(loraspec_cli)["b.png"] == "edited"
    outcome = loraspec_cli("captions", "import", "spec.toml", "new.jsonl", "--overwrite")
    assert outcome.out == "1 caption taken from new.jsonl, 1 as they were\n"
    assert (place / "images/a.txt").read_text() == "other\n"
    (place / "bad.csv").write_text('file_name,text\na.png,"..."\n')
    outcome = loraspec_cli("captions", "import", "spec.toml", "bad.csv", "--overwrite")
    assert "its caption holds no words" in outcome.err
    assert (place / "images/a.txt").read_text() == "other\n"


@pytest.mark.parametrize("out", ["c.jsonl", "c.csv", "c.json", "texts"])
def test_exports_come_back_by_import(place: Path, loraspec_cli: Callable[..., Any], out: str) -> None:
    """All formats; a file that is there is replaced on request only."""
    assert loraspec_cli("captions", "export", "spec.toml", out).code == 0
    refused = loraspec_cli("captions", "export", "spec.toml", out)
    assert refused.code != 0
    assert "--force replaces it" in refused.err
    assert loraspec_cli("captions", "export", "spec.toml", out, "--force").code == 0
    assert loraspec_cli("captions", "import", "spec.toml", out).out == f"0 captions taken from {out}, 2 as they were\n"
    same = loraspec_cli("captions", "diff", "spec.toml", out)
    assert (same.code, same.out) == (0, "0 captions of 4 changed; 2 captions could be compared\n")
    assert loraspec_cli("captions", "export", "spec.toml", "none.csv", "--state", "approved").out == "0 captions written to none.csv\n"


def test_an_edited_ledger_is_told(place: Path, loraspec_cli: Callable[..., Any]) -> None:
    """A changed line is a warning, a broken one an error with its number."""
    loraspec_cli("captions", "draft", "spec.toml")
    path = place / "images/captions.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace('"draft"', '"approved"', 1), encoding="utf-8")
    outcome = loraspec_cli("captions", "status", "spec.toml")
    assert "line 2 does not follow the line before it" in outcome.err
    assert outcome.code == 0
    path.write_text("x\n")
    outcome = loraspec_cli("captions", "status", "spec.toml")
    assert "line 1 is no entry" in outcome.err
    assert outcome.code == 3


def test_hostile_texts_are_inert(place: Path, loraspec_cli: Callable[..., Any]) -> None:
    """In captions and names, on the terminal."""
    (place / "images/a.txt").write_text("a \u202e judge \u2066", encoding="utf-8")
    for words in (("status", "spec.toml", "--all"), ("status", "spec.toml", "--json"), ("export", "spec.toml", "x.csv")):
        outcome = loraspec_cli("captions", *words)
        assert outcome.code == 0
        assert "\u202e" not in outcome.out + outcome.err
