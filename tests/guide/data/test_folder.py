"""The data source ``folder``: what it finds, and everything that it refuses."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from loraspec_guide.data.registry import DATA_SOURCES
from PIL import Image

from loraspec.errors import EnvironmentMissing
from loraspec.randomness import rng_of
from loraspec.testing import DataSourceSuite
from loraspec.values import Context, Scan


class TestFolder(DataSourceSuite):
    """``folder`` keeps the contract."""

    use = "guide:folder"

    def prepare(self, folder: Path) -> dict[str, Any]:
        """Write four pictures, one of them in a sub-folder."""
        picture(folder / "images" / "a.png")
        picture(folder / "images" / "b.jpg")
        picture(folder / "images" / "sub" / "c.webp")
        image = Image.new("RGB", (30, 20), "green")
        exif = Image.Exif()
        exif[0x0112] = 6
        image.save(folder / "images" / "d.jpg", exif=exif)
        (folder / "images" / "d.txt").write_text("turned")
        return {"path": "images", "rights": "own", "credits": "Nobody"}


def picture(path: Path, caption: str | bytes | None = "a man, ink", size: tuple[int, int] = (30, 20)) -> Path:
    """Write an image and its caption."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", size, "red")
    image.putpixel((0, 0), tuple(hashlib.sha256(path.name.encode()).digest()[:3]))  # pictures of their own, and not flat
    image.save(path, {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}.get(path.suffix.lower(), "PNG"))
    if caption is not None:
        path.with_suffix(".txt").write_bytes(caption if isinstance(caption, bytes) else caption.encode())
    return path


def scan(folder: Path, **options: Any) -> Scan:
    """Scan ``folder/images``."""
    component = DATA_SOURCES[0]
    context = Context(folder=folder, rng=rng_of(0), extensions=lambda hook: [])
    found: Scan = component.build(component.options(**{"path": "images", **options})).scan(context)
    return found


def told(found: Scan, severity: str = "error") -> list[tuple[str, str]]:
    """(image, message) of every problem."""
    return [(problem.path, problem.message) for problem in found.problems if problem.severity == severity]


def test_images_and_captions_are_found(tmp_path: Path) -> None:
    """Keys, sizes after EXIF orientation, captions, rights and credits."""
    options = TestFolder().prepare(tmp_path)
    found = scan(tmp_path, **options)

    assert told(found) == []
    assert [(s.key, s.width, s.height, s.caption) for s in found.samples] == [
        ("a.png", 30, 20, "a man, ink"),
        ("b.jpg", 30, 20, "a man, ink"),
        ("d.jpg", 20, 30, "turned"),
        ("sub/c.webp", 30, 20, "a man, ink"),
    ]
    assert {(s.rights, s.credits) for s in found.samples} == {("own", "Nobody")}
    assert found.samples[0].read() == (tmp_path / "images" / "a.png").read_bytes()


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    """Hidden files, other extensions, sub-folders when not asked for."""
    images = tmp_path / "images"
    for name in ("a.PNG", "b.jpeg", ".hidden.png", "__MACOSX/x.png", "sub/c.png"):
        picture(images / name)
    (images / "notes.md").write_text("no image")

    assert [s.key for s in scan(tmp_path, recursive=False).samples] == ["a.PNG", "b.jpeg"]
    assert [s.key for s in scan(tmp_path, extensions=(".jpeg",)).samples] == ["b.jpeg"]


def test_every_bad_image_is_named_at_once(tmp_path: Path) -> None:
    """One scan tells all of them, and still finds the good ones."""
    images = tmp_path / "images"
    picture(images / "good.png")
    picture(images / "cut.png").write_bytes((images / "cut.png").read_bytes()[:60])
    picture(images / "page.jpg").write_bytes(b"<html>not found</html>")
    picture(images / "zero.webp").write_bytes(b"")
    picture(images / "clear.png")
    Image.new("RGBA", (20, 20)).save(images / "clear.png")
    picture(images / "ink.jpg")
    Image.new("CMYK", (20, 20)).save(images / "ink.jpg")
    found = scan(tmp_path)

    assert [key for key, _ in told(found)] == ["clear.png", "cut.png", "ink.jpg", "page.jpg", "zero.webp"]
    assert [s.key for s in found.samples] == ["good.png"]


@pytest.mark.parametrize(
    ("caption", "said"),
    [
        ("caf\xe9".encode("latin-1"), "is not UTF-8: byte 0xe9, .*cut short in line 1, column 4"),
        (b"one\ntwo \x92", "is not UTF-8: byte 0x92, .* in line 2, column 5"),
        ("two words".encode("utf-16"), "is UTF-16, not UTF-8"),
        (b"bell \x07", "control characters: U\\+0007"),
        (b"nul \x00", "control characters: U\\+0000"),
        (b"x" * 70_000, "larger than 64 KiB"),
    ],
)
def test_bad_captions_are_named(tmp_path: Path, caption: bytes, said: str) -> None:
    """Encoding, control characters and size, with the file."""
    import re

    picture(tmp_path / "images" / "a.png", caption)
    (problem,) = told(scan(tmp_path))

    assert problem[0] == "a.png"
    assert re.search(said, problem[1])
    assert "a.txt" in problem[1]


@pytest.mark.parametrize("caption", [b"\xef\xbb\xbfa man,\r\nink\r\n", b"a man, ink\n\n", b"  a man,\tink "])
def test_caption_becomes_one_line(tmp_path: Path, caption: bytes) -> None:
    """A byte order mark and line breaks are no part of it."""
    picture(tmp_path / "images" / "a.png", caption)
    found = scan(tmp_path)

    assert told(found) == []
    assert found.samples[0].caption == "a man, ink"


def test_missing_and_empty_captions_are_left_to_the_plan(tmp_path: Path) -> None:
    """A captioner may draft what is missing: absent is None, empty is empty."""
    picture(tmp_path / "images" / "a.png", None)
    picture(tmp_path / "images" / "b.png", "")

    assert [s.caption for s in scan(tmp_path).samples] == [None, ""]


def test_caption_extension_is_an_option(tmp_path: Path) -> None:
    """Captions of another kind of name."""
    picture(tmp_path / "images" / "a.png", None)
    (tmp_path / "images" / "a.caption").write_text("a man")

    assert scan(tmp_path, caption_extension=".caption").samples[0].caption == "a man"


@pytest.mark.parametrize("pair", [("a.png", "a.jpg"), ("A.png", "a.png"), ("\u00e9.png", "e\u0301.png")])
def test_images_that_share_a_caption_are_refused(tmp_path: Path, pair: tuple[str, str]) -> None:
    """One caption cannot be for both; names that are one on other systems count too."""
    for name in pair:
        picture(tmp_path / "images" / name)
    (problem,) = told(scan(tmp_path))

    assert problem[0] in pair
    assert "one caption cannot be for both" in problem[1]


def test_captions_without_image_are_a_warning(tmp_path: Path) -> None:
    """A renamed image leaves its caption behind."""
    picture(tmp_path / "images" / "a.png")
    (tmp_path / "images" / "b.txt").write_text("left behind")

    assert told(scan(tmp_path), "warning") == [("", "1 captions have no image: b.txt")]


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    """Images, captions and folders elsewhere are not read; nothing of them is shown; links inside are fine."""
    images = tmp_path / "images"
    picture(images / "a.png", None)
    picture(tmp_path / "elsewhere" / "secret.png")
    (tmp_path / "elsewhere" / "secret.txt").write_text("very secret")
    (images / "b.png").symlink_to(tmp_path / "elsewhere" / "secret.png")
    (images / "a.txt").symlink_to(tmp_path / "elsewhere" / "secret.txt")
    (images / "sub").symlink_to(tmp_path / "elsewhere")
    (images / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (images / "c.png").symlink_to(images / "a.png")
    (images / "c.txt").write_text("the same again")
    found = scan(tmp_path)

    assert [key for key, said in told(found) if "leads nowhere, or out" in said] == ["a.txt", "b.png", "gone.png", "sub"]
    assert len(told(found)) == 4
    assert [s.key for s in found.samples] == ["a.png", "c.png"]
    assert "secret" not in repr(found)


def test_loops_and_pipes_end(tmp_path: Path) -> None:
    """A link to a parent is no endless walk, a named pipe is not waited for."""
    images = tmp_path / "images"
    picture(images / "a.png")
    (images / "again").symlink_to(images)
    os.mkfifo(images / "pipe.png")
    found = scan(tmp_path)

    assert sorted(key for key, _ in told(found)) == ["again", "pipe.png"]


def test_unprintable_names_are_shown_escaped(tmp_path: Path) -> None:
    """A name cannot write to the terminal."""
    picture(tmp_path / "images" / "a.png")
    (tmp_path / "images" / "\x1b[2J.png").write_bytes(b"")
    ((key, said),) = told(scan(tmp_path))

    assert key == "\\u001b[2J.png"
    assert "cannot be printed" in said


def test_missing_folder_says_where_its_images_are(tmp_path: Path) -> None:
    """What, whose, and where to get it; a near name beside it."""
    (tmp_path / "image").mkdir()
    with pytest.raises(EnvironmentMissing, match=r"data folder 'images' is not there .images: Nobody.") as caught:
        scan(tmp_path, credits="Nobody", get="the set at example.org, unpacked to images")
    assert "the set at example.org" in caught.value.hint
    assert "did you mean 'image'" in caught.value.hint
    assert str(tmp_path) not in str(caught.value)


def test_file_instead_of_a_folder_is_told(tmp_path: Path) -> None:
    """An archive is not unpacked."""
    (tmp_path / "images").write_bytes(b"PK")
    with pytest.raises(EnvironmentMissing, match="is no folder"):
        scan(tmp_path)


def test_order_is_that_of_the_keys(tmp_path: Path) -> None:
    """However the system lists them."""
    for name in ("b.png", "a/z.png", "a.png", "B2.png", "10.png", "9.png"):
        picture(tmp_path / "images" / name)
    keys = [s.key for s in scan(tmp_path).samples]

    assert keys == sorted(keys)
