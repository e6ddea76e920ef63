"""The data source ``kohya``: repeats and words from the names of folders, captions from files, metadata, or those words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from guide.data.test_folder import picture, told
from loraspec_guide.data.registry import DATA_SOURCES

from loraspec.errors import SpecError
from loraspec.plan import resolve
from loraspec.randomness import rng_of
from loraspec.testing import DataSourceSuite
from loraspec.values import Context, Scan


class TestKohya(DataSourceSuite):
    """``kohya`` keeps the contract."""

    use = "guide:kohya"

    def prepare(self, folder: Path) -> dict[str, Any]:
        """Two folders, one image without a caption."""
        images(folder)
        return {"path": "images", "rights": "own"}


def images(folder: Path) -> None:
    """Write what a kohya user has."""
    picture(folder / "images" / "10_daumier print" / "a.png", "a man, ink")
    picture(folder / "images" / "10_daumier print" / "sub" / "b.jpg", None)
    picture(folder / "images" / "3_dogs" / "c.webp", "a dog, ink")


def scan(folder: Path, **options: Any) -> Scan:
    """Scan ``folder/images``."""
    [component] = [one for one in DATA_SOURCES if one.name == "kohya"]
    context = Context(folder=folder, rng=rng_of(0), extensions=lambda hook: [])
    found: Scan = component.build(component.options(**{"path": "images", "rights": "own", **options})).scan(context)
    return found


def warned(found: Scan) -> set[str]:
    return {problem.code for problem in found.problems if problem.severity == "warning"}


def test_names_of_folders_say_repeats_and_words(tmp_path: Path) -> None:
    """As there: 10_words is ten times an epoch, and the words caption what has no caption; that is told."""
    images(tmp_path)
    found = scan(tmp_path)
    assert [(one.key, one.repeats, one.caption) for one in found.samples] == [
        ("10_daumier print/a.png", 10, "a man, ink"), ("10_daumier print/sub/b.jpg", 10, "daumier print"),
        ("3_dogs/c.webp", 3, "a dog, ink"),
    ]  # fmt: skip
    assert told(found) == []
    assert warned(found) == {"W-CAP-FOLDER"}


@pytest.mark.parametrize("outside", ["d.png", "plain/d.png", "0_never/d.png", "_10/d.png", "10/d.png"])
def test_what_lies_elsewhere_is_not_used_and_told(tmp_path: Path, outside: str) -> None:
    """kohya's trainers pass it over in silence."""
    images(tmp_path)
    picture(tmp_path / "images" / outside)
    found = scan(tmp_path)
    assert len(found.samples) == 3
    [problem] = [problem for problem in found.problems if problem.code == "W-DATA-OUTSIDE"]
    assert outside in problem.message


NAMES = ["10_daumier print/sub/b.jpg", "10_daumier print/sub/b", "b.jpg", "b", "D:\\photos\\b.jpg", "/elsewhere/b"]


@pytest.mark.parametrize("name", NAMES)
def test_metadata_captions_what_has_no_file(tmp_path: Path, name: str) -> None:
    """Its names are paths as they once were; a text file beside the image goes first."""
    images(tmp_path)
    rows = {name: {"caption": "a woman", "tags": "ink, paper"}, "a": {"caption": "not taken"}}
    (tmp_path / "images" / "meta.json").write_text(json.dumps(rows))
    found = scan(tmp_path, metadata="meta.json")
    assert {one.key: one.caption for one in found.samples} == {
        "10_daumier print/a.png": "a man, ink", "10_daumier print/sub/b.jpg": "a woman, ink, paper",
        "3_dogs/c.webp": "a dog, ink",
    }  # fmt: skip
    assert warned(found) == set()


@pytest.mark.parametrize(("text", "said"), [
    (b"[1]", "no table of images"), (b"{", "cannot be read"), (b'{"a": "text"}', "'a'"), (b'{"a": {"caption": 3}}', "are texts"),
    (b'{"a": {"caption": "\xff"}}', "line 1"), (None, "cannot be read"), (b"[" * 100_000, "cannot be read"),
])  # fmt: skip
def test_metadata_that_is_odd_is_an_error(tmp_path: Path, text: bytes | None, said: str) -> None:
    """Never a caption that was silently not there."""
    images(tmp_path)
    if text is not None:
        (tmp_path / "images" / "meta.json").write_bytes(text)
    [(_, message)] = told(scan(tmp_path, metadata="meta.json"))
    assert said in message


def test_repeats_reach_the_plan(painted_spec: Path, tmp_path: Path) -> None:
    """Ten repeats of one folder and three of another, whatever data.repeats says."""
    images(tmp_path)
    text = painted_spec.read_text().replace('use = "folder"\npath = "pictures"', 'use = "kohya"\npath = "images"')
    painted_spec.write_text(text)
    data = resolve(painted_spec).data
    assert {item.key: data.repeats_of(item) for item in (*data.images, *data.heldout)} == {
        "10_daumier print/a.png": 10, "10_daumier print/sub/b.jpg": 10, "3_dogs/c.webp": 3,
    }  # fmt: skip


def test_rights_are_declared_or_the_plan_is_refused(painted_spec: Path) -> None:
    """The error stands at the key, with the line to write."""
    text = painted_spec.read_text()
    painted_spec.write_text(text.replace('rights = "own"\n', ""))
    assert painted_spec.read_text() != text
    with pytest.raises(SpecError) as caught:
        resolve(painted_spec)
    [problem] = caught.value.problems
    assert problem.code == "E-DATA-RIGHTS"
    assert 'rights = "own"' in problem.hint
