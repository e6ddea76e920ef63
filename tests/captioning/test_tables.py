"""Captions as tables: what is written is read again, in each format, and what is no table is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loraspec.captioning.tables import KINDS, read_table, table_bytes
from loraspec.errors import SpecError

CAPTIONS = {"a.png": "a judge, black robe", "sub/b ü.jpg": 'a "nurse", brown bag', "c.webp": "a boat"}


@pytest.mark.parametrize("kind", KINDS)
def test_tables_come_back(kind: str, tmp_path: Path) -> None:
    """Every text, by its image."""
    path = tmp_path / f"captions{kind}"
    path.write_bytes(table_bytes(kind, CAPTIONS))
    assert read_table(path, list(CAPTIONS)) == (CAPTIONS, [])


def test_rows_are_what_other_programs_read() -> None:
    """Hugging Face's columns, and kohya's keys."""
    assert json.loads(table_bytes(".jsonl", CAPTIONS).splitlines()[1]) == {"file_name": "sub/b ü.jpg", "text": 'a "nurse", brown bag'}
    assert table_bytes(".csv", CAPTIONS).decode().splitlines()[:2] == ["file_name,text", 'a.png,"a judge, black robe"']
    assert json.loads(table_bytes(".json", CAPTIONS))["sub/b ü"] == {"caption": 'a "nurse", brown bag'}


def test_kohya_names_images_in_several_ways(tmp_path: Path) -> None:
    """Full paths of another machine, with backslashes, stems; caption and tags are one."""
    path = tmp_path / "meta.json"
    path.write_text(json.dumps({
        "D:\\train\\10_style\\a.png": {"caption": "a judge", "tags": "robe, wig"}, "b ü": {"tags": "nurse"},
        "/data/x.png": {"caption": "gone"}, "c": {"train_resolution": [512, 512]},
    }))  # fmt: skip
    assert read_table(path, list(CAPTIONS)) == ({"a.png": "a judge, robe, wig", "sub/b ü.jpg": "nurse"}, ["/data/x.png"])


def test_a_folder_of_texts(tmp_path: Path) -> None:
    """By the images' paths, or all in one folder."""
    (tmp_path / "t").mkdir()
    (tmp_path / "t/a.txt").write_text("a judge\n")
    (tmp_path / "t/b ü.txt").write_text("a nurse")
    assert read_table(tmp_path / "t", list(CAPTIONS)) == ({"a.png": "a judge\n", "sub/b ü.jpg": "a nurse"}, [])


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("x.txt", "words", "neither a folder nor a table"),
        ("x.json", "[]", "no table of images"),
        ("x.json", "{", "cannot be read"),
        ("x.json", '{"a": {"caption": 7}}', "are texts"),
        ("x.json", "[" * 100_000, "cannot be read"),
        ("x.jsonl", "7", "row 1 has no 'file_name'"),
        ("x.jsonl", '{"file_nam": "a.png", "text": "x"}', "is it 'file_nam'?"),
        ("x.jsonl", '{"file_name": "a.png", "text": ["x"]}', "no file name and text"),
        ("x.jsonl", '{"file_name": "a.png", "text": "x"}\n{"file_name": "a.png", "text": "y"}', "'a.png' twice"),
        ("x.csv", "file_name,caption\na.png,x\n", "has no 'text'"),
        ("x.csv", 'file_name,text\na.png,"x\n', "cannot be read"),
    ],
)
def test_what_is_no_table_is_told(name: str, text: str, said: str, tmp_path: Path) -> None:
    """With the file's name."""
    (tmp_path / name).write_text(text)
    with pytest.raises(SpecError, match="x") as caught:
        read_table(tmp_path / name, ["a.png"])
    [problem] = caught.value.problems
    assert said in problem.message
    assert (problem.path, problem.code) == (name, "E-DATA-TABLE")


def test_a_name_that_fits_several_images_is_told(tmp_path: Path) -> None:
    """Nothing is guessed."""
    (tmp_path / "x.csv").write_text("file_name,text\na.png,x\n")
    assert read_table(tmp_path / "x.csv", ["one/a.png"])[0] == {"one/a.png": "x"}
    with pytest.raises(SpecError, match="means one of several"):
        read_table(tmp_path / "x.csv", ["one/a.png", "two/a.png"])
