"""The data source ``imagefolder``: captions from one table, as Hugging Face's ``datasets`` reads the same folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from guide.data.test_folder import picture, told
from loraspec_guide.data.registry import DATA_SOURCES

from loraspec.errors import EnvironmentMissing
from loraspec.randomness import rng_of
from loraspec.testing import DataSourceSuite
from loraspec.values import Context, Scan

ROWS = [{"file_name": "a.png", "text": "a man, ink"}, {"file_name": "sub/b.jpg", "text": "a dog, ink"}]


class TestImageFolder(DataSourceSuite):
    """``imagefolder`` keeps the contract."""

    use = "guide:imagefolder"

    def prepare(self, folder: Path) -> dict[str, Any]:
        """Two pictures and a table."""
        images(folder)
        return {"path": "images", "rights": "own", "credits": "Nobody"}


def images(folder: Path, rows: Any = ROWS, *, table: str = "metadata.jsonl") -> None:
    """Write two pictures and a table of rows, or of lines as they are."""
    for name in ("a.png", "sub/b.jpg"):
        picture(folder / "images" / name, caption=None)
    lines = rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "images" / table).write_text(lines, encoding="utf-8")


def scan(folder: Path, **options: Any) -> Scan:
    [component] = [one for one in DATA_SOURCES if one.name == "imagefolder"]
    context = Context(folder=folder, rng=rng_of(0), extensions=lambda hook: [])
    found: Scan = component.build(component.options(**{"path": "images", "rights": "own", **options})).scan(context)
    return found


def captions(found: Scan) -> dict[str, str | None]:
    return {sample.key: sample.caption for sample in found.samples}


@pytest.mark.parametrize(("table", "rows"), [
    ("metadata.jsonl", ROWS), ("metadata.jsonl", "\n" + "\r\n".join(map(json.dumps, ROWS))),
    ("metadata.csv", 'file_name,text\na.png,"a man, ink"\nsub/b.jpg,"a dog, ink"\n'),
    ("metadata.csv", 'id,text,file_name\r\n1,"a man,\r\nink",./a.png\r\n2,"a dog, ink",sub/b.jpg\r\n'),
])  # fmt: skip
def test_captions_come_from_the_table(tmp_path: Path, table: str, rows: Any) -> None:
    """JSON lines and CSV, more columns in any order, line breaks inside a text."""
    images(tmp_path, rows, table=table)
    found = scan(tmp_path)
    assert found.problems == ()
    assert captions(found) == {"a.png": "a man, ink", "sub/b.jpg": "a dog, ink"}
    assert all(sample.caption_path is None for sample in found.samples)


def test_other_columns_and_images_without_a_row(tmp_path: Path) -> None:
    """Columns are named in the spec; no row and an empty field are no caption, which the plan tells."""
    images(tmp_path, "file,caption\na.png,\n", table="metadata.csv")
    found = scan(tmp_path, file_column="file", text_column="caption")
    assert captions(found) == {"a.png": None, "sub/b.jpg": None}
    assert found.problems == ()


def test_text_files_beside_it_are_no_captions(tmp_path: Path) -> None:
    """And are not told as left over."""
    images(tmp_path)
    (tmp_path / "images" / "a.txt").write_text("something else")
    (tmp_path / "images" / "z.txt").write_text("something else")
    found = scan(tmp_path)
    assert captions(found)["a.png"] == "a man, ink"
    assert found.problems == ()


@pytest.mark.parametrize(("rows", "message"), [
    ("{", "metadata.jsonl:1 is no JSON"), ("[]\n", "metadata.jsonl:1 is no object, but list"),
    ([{"file": "a.png", "text": "x"}], "metadata.jsonl:1 has no 'file_name'"), ([{"file_name": "a.png"}], "metadata.jsonl:1 has no 'text'"),
    ([{"file_name": "a.png", "text": 5}], "is no file name and text"), ([*ROWS, ROWS[0]], "metadata.jsonl:3 names 'a.png' a second time"),
    ([{"file_name": "../a.png", "text": "x"}], "which is no place inside the folder"),
    ([{"file_name": "/etc/a.png", "text": "x"}], "which is no place inside the folder"),
    ([{"file_name": "sub\\b.jpg", "text": "x"}], "which is no place inside the folder"),
    ([*ROWS, {"file_name": "gone.png", "text": "x"}], "names 1 images that are not there: gone.png"),
])  # fmt: skip
def test_a_table_that_is_wrong(tmp_path: Path, rows: Any, message: str) -> None:
    """Line and reason; the images are looked at all the same."""
    images(tmp_path, rows)
    found = scan(tmp_path)
    assert any(message in said for _, said in told(found)), told(found)
    assert {problem.code for problem in found.problems if problem.severity == "error"} == {"E-DATA-TABLE"}
    assert len(found.samples) == 2


def test_captions_keep_the_rules_of_text_files(tmp_path: Path) -> None:
    """Control characters and sizes are refused by name; letters in pieces are put together and told."""
    images(tmp_path, [{"file_name": "a.png", "text": "a\x1b[31m man"}, {"file_name": "sub/b.jpg", "text": "Honore\u0301"}])
    found = scan(tmp_path)
    assert told(found) == [("a.png", "its caption holds control characters: U+001B")]
    assert captions(found)["sub/b.jpg"] == "Honoré"
    assert [problem.code for problem in found.problems if problem.severity == "warning"] == ["W-CAP-NORM"]
    images(tmp_path, [{"file_name": "a.png", "text": "a " * 40_000}, ROWS[1]])
    assert [problem.code for problem in scan(tmp_path).problems] == ["E-CAP-SIZE"]


def test_no_table_two_tables_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    """Each says what is there."""
    images(tmp_path)
    (tmp_path / "images" / "metadata.csv").write_text("file_name,text\n")
    assert "holds both metadata.jsonl and metadata.csv" in told(scan(tmp_path))[0][1]
    (tmp_path / "images" / "metadata.jsonl").unlink()
    (tmp_path / "images" / "metadata.csv").write_bytes(b"file_name,text\na.png,\xff\n")
    assert "in line 2" in told(scan(tmp_path))[0][1]
    (tmp_path / "images" / "metadata.csv").write_text('file_name,text\na.png,"open\n')
    assert any("is no CSV" in message for _, message in told(scan(tmp_path)))
    (tmp_path / "images" / "metadata.csv").write_text("file_name,text\na.png,b,c\n")
    assert "has 3 fields; the first line names 2 columns" in told(scan(tmp_path))[0][1]
    (tmp_path / "images" / "metadata.csv").unlink()
    assert "holds neither" in told(scan(tmp_path))[0][1]
    with pytest.raises(EnvironmentMissing, match=r"(?s)'gone' is not there.*table metadata\.jsonl"):
        scan(tmp_path, path="gone")
