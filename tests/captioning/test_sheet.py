"""The text of `review --editor`: marks and words for each image; nothing is applied of a text that is not understood."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from captioned import JUDGE, NURSE, items, write_images, write_spec

from loraspec.captioning.items import write
from loraspec.captioning.sheet import SheetError, changes, sheet
from loraspec.captionlint.rules import Finding


@pytest.fixture
def plan(tmp_path: Path, make_plan: Callable[..., Any], tiny_plugin: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Two captions and a picture without."""
    write_images(tmp_path, {"a.png": JUDGE, "b.png": NURSE, "sub/c.png": None})
    monkeypatch.chdir(tmp_path)
    path = write_spec(tmp_path)
    return lambda: make_plan(path)


def applied(text: str, plan: Callable[[], Any]) -> list[tuple[str, str, str]]:
    return [(one.item.key, one.text, one.state) for one in changes(text, list(items(plan()).values()))]


def test_an_untouched_sheet_changes_nothing(plan: Callable[[], Any]) -> None:
    """With remarks and states as comments."""
    found = items(plan())
    write(found["a.png"], JUDGE, "approved")
    text = sheet(list(items(plan()).values()), {"b.png": [Finding("C105", "warning", "b.png", "names no colour")]}, spec="s.toml")
    assert f"[ok] a.png\n{JUDGE}\n# approved\n" in text
    assert f"[keep] b.png\n{NURSE}\n# C105 names no colour\n" in text
    assert "[keep] sub/c.png\n\n# missing\n" in text
    assert applied(text, plan) == []


def test_marks_and_words_are_taken(plan: Callable[[], Any]) -> None:
    """Approve, reject, edit, fill in, over several lines; what is taken out is left alone."""
    text = sheet(list(items(plan()).values()), {}, spec="s.toml")
    assert applied(text.replace("[keep] a.png", "[ok] a.png"), plan) == [("a.png", JUDGE, "approved")]
    assert applied(text.replace("[keep] b.png", "[reject] b.png"), plan) == [("b.png", NURSE, "rejected")]
    running = NURSE.replace("a nurse in a hurry", "a nurse, running")
    assert applied(text.replace("a nurse in a hurry", "a nurse,\nrunning"), plan) == [("b.png", running, "edited")]
    assert applied(text.replace("[keep] sub/c.png\n", "[ok] sub/c.png\na boat\n"), plan) == [("sub/c.png", "a boat", "approved")]
    assert applied("[ok] a.png\na judge\n", plan) == [("a.png", "a judge", "approved")]
    assert applied("[ok] sub/c.png\n\n", plan) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[good] a.png\nx\n", r"line 1: \[good\] is no mark"),
        ("[ok] z.png\nx\n", "line 1: 'z.png' is no image"),
        ("[ok] a.png\nx\n\n[ok] a.png\ny\n", "line 4: a.png stands twice"),
        ("words\n[ok] a.png\nx\n", "line 1: words before"),
        ("[ok] a.png\n\n", r"a\.png: no words are left"),
        ("[ok] a.png\n...\n", r"a\.png: its caption holds no words"),
    ],
)
def test_what_is_not_understood_is_told(text: str, said: str, plan: Callable[[], Any]) -> None:
    """With its line."""
    with pytest.raises(SheetError, match=said):
        applied(text, plan)


def test_the_command_opens_an_editor(
    plan: Callable[[], Any], loraspec_cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What it saves is applied; an image that another program changed meanwhile is left alone and named."""
    script = tmp_path / "editor.py"
    script.write_text(
        "import pathlib, sys\npath = pathlib.Path(sys.argv[1])\ntext = path.read_text(encoding='utf-8')\n"
        "path.write_text(text.replace('[keep]', '[ok]').replace('[ok] sub/c.png', '[keep] sub/c.png'), encoding='utf-8')\n"
        f"pathlib.Path({str(tmp_path / 'images/b.txt')!r}).write_text('by another')\n"
    )
    monkeypatch.setenv("EDITOR", f"{sys.executable} {script}")
    outcome = loraspec_cli("captions", "review", "spec.toml", "--editor")
    assert outcome.code == 1, outcome.err
    assert "1 caption changed: 1 approved, 1 found, 1 missing" in outcome.out
    assert "b.png" in outcome.err
    assert "was changed elsewhere meanwhile" in outcome.err
    assert (tmp_path / "images/b.txt").read_text() == "by another"


def test_leaving_the_editor_changes_nothing(
    plan: Callable[[], Any], loraspec_cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An editor that saves nothing."""
    monkeypatch.setenv("EDITOR", "true")
    assert loraspec_cli("captions", "review", "spec.toml", "--editor").out == "nothing was changed\n"
    assert items(plan())["a.png"].state == "found"
