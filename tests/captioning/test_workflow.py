"""The commands of ``docs/captions.md``, one after the other, on a folder of sixty pictures as people have them."""

from __future__ import annotations

import csv
import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from captioned import TAG, write_spec
from corpus.specs import noise

PAGE = (Path(__file__).parents[2] / "docs" / "captions.md").read_text(encoding="utf-8")
PART = PAGE[PAGE.index("workflow: begin") : PAGE.index("workflow: end")]
COMMANDS = re.findall(r"^    loraspec (.*)$", PART, re.MULTILINE)
IMAGES = 60
TEXT = "a {name}, grey sky, wet quay, two ropes, ink, {style_tag}"
CAPTIONER = f'review = "required"\n\n[captions.captioner]\nuse = "template"\ntext = "{TEXT}"'


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_plugin: None) -> Path:
    """Sixty pictures: twenty captioned well, ten badly, five with marks and odd line ends, the others not at all; two sub-folders."""
    for number in range(IMAGES):
        folder = tmp_path / "images" / ("", "scans", "more scans")[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"boat_{number:02}.{('png', 'jpg', 'webp')[number % 3]}"
        noise(seed=number).save(path)
        good = f"a boat of kind {number}, red sail, grey sea, three gulls, ink, {TAG}"
        text = {0: good, 1: good}.get(number // 10)
        if number // 10 == 2:
            text = f"The image shows boat {number}; possibly old,, ink"
        elif 30 <= number < 35:
            text = "\ufeff" + good.replace(", ", ",\r\n")
        if text is not None:
            path.with_suffix(".txt").write_bytes(text.encode())
    path = write_spec(tmp_path, captions=CAPTIONER, name="mine.toml")
    path.write_text(path.read_text().replace("images = [1, 9999]", "images = [30, 100]").replace("epochs = 2", "epochs = 3"))
    editor = tmp_path / "approve.py"
    editor.write_text("""
import pathlib, sys
path = pathlib.Path(sys.argv[1])
text = path.read_text(encoding="utf-8").replace("[keep]", "[ok]").replace("The image shows boat", "an old boat")
path.write_text(text.replace(", possibly old, ink", ", red sail, grey sea, ink"), encoding="utf-8")
""")
    monkeypatch.setenv("EDITOR", f"{shlex.quote(sys.executable)} {shlex.quote(str(editor))}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_from_nothing_to_approved_by_the_pages_commands(place: Path, loraspec_cli: Callable[..., Any]) -> None:
    """Each command does what the page says of it; at the end everything is approved and trained."""
    said: dict[str, Any] = {}
    loraspec_cli("plan", "mine.toml").assert_failed(2, "60 of 60 captions are not approved")
    for line in COMMANDS:
        words = shlex.split(line)
        if words[:2] == ["captions", "review"]:
            loraspec_cli("plan", "mine.toml").assert_failed(2, "E-CAP-REVIEW")
            words.append("--editor")
        said[line] = loraspec_cli(*words)
        assert "Traceback" not in said[line].err, line
    codes = {line: outcome.code for line, outcome in said.items()}
    assert codes == {
        "captions status mine.toml": 1, "captions draft mine.toml --limit 5": 0, "captions draft mine.toml": 0,
        "captions lint mine.toml --fix": 1, "captions review mine.toml": 0, "captions diff mine.toml": 0,
        "captions export mine.toml captions.csv": 0, "captions preview mine.toml --epoch 3": 0, "run mine.toml": 0,
    }  # fmt: skip
    assert "60 images: 35 found, 25 missing" in said["captions status mine.toml"].out
    assert "5 drafts written" in said["captions draft mine.toml --limit 5"].err
    assert "20 drafts written" in said["captions draft mine.toml"].err
    assert "60 approved" in said["captions review mine.toml"].out
    rows = json.loads(loraspec_cli("captions", "status", "mine.toml", "--all", "--json").out)
    assert {row["state"] for row in rows} == {"approved"}
    assert len(rows) == IMAGES
    with (place / "captions.csv").open(encoding="utf-8", newline="") as file:
        table = {row["file_name"]: row["text"] for row in csv.DictReader(file)}
    assert len(table) == IMAGES
    assert not [key for key, text in table.items() if "\ufeff" in text or "\n" in text or ",," in text or not text.endswith(TAG)]
    assert len(list((place / "images").rglob("captions.jsonl"))) == 1


def test_every_kind_of_caption_was_there(place: Path, loraspec_cli: Callable[..., Any]) -> None:
    """The folder is mixed: the lint finds what is wrong in it before anything is drafted."""
    rows = json.loads(loraspec_cli("captions", "lint", "mine.toml", "--json").out)
    found = {code: {row["image"] for row in rows if row["code"] == code} for code in {row["code"] for row in rows}}
    assert len(found["C004"]) == 5
    assert len(found["C114"]) == 10
    assert {"C107", "C115", "C120"} & set(found) >= {"C115", "C120"}
