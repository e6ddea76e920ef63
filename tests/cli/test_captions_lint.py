"""``loraspec captions lint``: rows, exit codes, what ``--fix`` writes, what a spec silences."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from corpus.specs import noise

from loraspec.testing import TINY_SPEC

TAG = "by Honoré Daumier"
CAPTIONS = {
    "good": f"a tailor with round glasses, green tweed coat, red leather hat, cobbled street, lithography, {TAG}",
    "plain": "a judge with a wig, black robe, open book, wooden courtroom, lithography",
    "messy": f"a sailor in a storm; blue coat,, Blue Coat,\nwooden ship, grey sea, lithography {TAG}",
    "typo": "a baker in his shop, white apron, golden bread, brick oven, lithography, by Honore Daumier",
    "empty": "",
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_plugin: None) -> Path:
    """Images with captions of every kind; the working folder."""
    images = tmp_path / "images"
    images.mkdir()
    for number, (name, text) in enumerate(CAPTIONS.items()):
        noise(seed=number).save(images / f"{name}.png")
        (images / f"{name}.txt").write_text(text, encoding="utf-8")
    noise(seed=9).save(images / "none.png")
    noise(seed=10).save(images / "marked.png")
    (images / "marked.txt").write_bytes(b"\xef\xbb\xbf" + CAPTIONS["good"].replace("tailor", "nurse").encode())
    noise(seed=11).save(images / "broken.png")
    (images / "broken.txt").write_bytes(b"a boat \xff")
    (images / "left.txt").write_text("an image that is gone")
    text = TINY_SPEC.replace('use = "tiny:tiny"\nrights = "own"', 'use = "folder"\npath = "images"\nrights = "own"')
    text = text.replace("[adapter]", f'[captions]\nstyle_tag = "{TAG}"\nmax_tokens = 60\n\n[adapter]')
    (tmp_path / "spec.toml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(outcome: Any) -> dict[str, set[str]]:
    """Codes by image."""
    found: dict[str, set[str]] = {}
    for row in json.loads(outcome.out):
        assert set(row) == {"code", "severity", "image", "message", "fixable"}
        assert row["severity"] in ("error", "warning", "info")
        found.setdefault(row["image"], set()).add(row["code"])
    return found


def test_every_caption_is_looked_at_in_one_go(place: Path, loraspec_cli: Callable[..., Any]) -> None:
    """Files that are no text, images without one and texts without an image too; exit code 1 for errors."""
    outcome = loraspec_cli("captions", "lint", "spec.toml", "--json")
    found = rows(outcome)
    assert outcome.code == 1
    assert "C003" in found[""]
    assert found["none.png"] == {"C001"}
    assert found["empty.png"] == {"C002"}
    assert found["broken.png"] == {"C004"}
    assert {code for name, seen in found.items() if name in ("good.png", "marked.png") for code in seen} <= {"C004", "C110", "C112"}
    assert "C106" in found["plain.png"]
    assert {"C107", "C115"} <= found["messy.png"]
    assert "C108" in found["typo.png"]


def test_people_get_it_by_image_and_summed_up(place: Path, loraspec_cli: Callable[..., Any]) -> None:
    """Marked where ``--fix`` helps; an estimate of tokens says so."""
    outcome = loraspec_cli("captions", "lint", "spec.toml")
    assert "plain.png\n  C106 error  lacks the style tag" in outcome.out
    assert "(--fix)" in outcome.out
    assert outcome.out.splitlines()[-1].startswith("7 captions: ")
    assert "tokens are estimated" in outcome.err


def test_fix_writes_what_needs_no_judgement(place: Path, loraspec_cli: Callable[..., Any]) -> None:
    """Four files change, the others keep their bytes; a second time nothing is left to fix."""
    before = {path.name: path.read_bytes() for path in (place / "images").glob("*.txt")}
    outcome = loraspec_cli("captions", "lint", "spec.toml", "--fix", "--json")
    after = {path.name: path.read_bytes() for path in (place / "images").glob("*.txt")}
    assert {name for name in before if before[name] != after[name]} == {"plain.txt", "messy.txt", "marked.txt"}
    assert after["plain.txt"].decode() == f"{CAPTIONS['plain']}, {TAG}\n"
    assert after["messy.txt"].decode() == f"a sailor in a storm, blue coat, wooden ship, grey sea, lithography, {TAG}\n"
    assert after["marked.txt"].decode() == CAPTIONS["good"].replace("tailor", "nurse") + "\n"
    assert "3 captions put in order: marked.png, messy.png, plain.png" in outcome.err
    assert not any(row["fixable"] for row in json.loads(outcome.out))
    assert "0 captions put in order" in loraspec_cli("captions", "lint", "spec.toml", "--fix").err


def test_a_spec_silences_codes(place: Path, loraspec_cli: Callable[..., Any]) -> None:
    """Without errors the exit code is 0; a code that is none is a mistake of the spec."""
    errors = ["C001", "C002", "C004", "C106", "C108"]
    outcome = loraspec_cli("captions", "lint", "spec.toml", "--json", "--set", f"captions.lint.ignore={json.dumps(errors)}")
    outcome.assert_success()
    assert not {code for seen in rows(outcome).values() for code in seen} & set(errors)
    loraspec_cli("captions", "lint", "spec.toml", "--set", 'captions.lint.ignore=["all"]').assert_failed(2, "captions.lint.ignore")


def test_the_base_s_tokenizer_counts(place: Path, loraspec_cli: Callable[..., Any]) -> None:
    """On the embedded base the numbers are exact, and say what is cut off."""
    text = (place / "spec.toml").read_text(encoding="utf-8")
    text = text.replace('use = "tiny:tiny"\n\n[data]', 'use = "sdxl"\ncheckpoint = "package:loraspec_picturebook/base"\n\n[data]')
    (place / "spec.toml").write_text(text.replace("max_tokens = 60", "max_tokens = 10"), encoding="utf-8")
    outcome = loraspec_cli("captions", "lint", "spec.toml", "--json")
    [cut] = [row["message"] for row in json.loads(outcome.out) if row["code"] == "C110" and row["image"] == "good.png"]
    assert cut[0].isdigit()
    assert "of which 10 are read" in cut
    assert "estimated" not in outcome.err


def test_missing_data_says_where_to_get_it(place: Path, loraspec_cli: Callable[..., Any]) -> None:
    """Exit code 3, as for every command that needs it."""
    gone = 'data.sources=[{use="folder", path="gone", rights="own"}]'
    loraspec_cli("captions", "lint", "spec.toml", "--set", gone).assert_failed(3, "gone")
