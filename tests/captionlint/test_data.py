"""The rules of images, D001 to D008, and those of a caption's state, C120 and C121: what trips each, and what nearly does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from loraspec.randomness import generator
from loraspec.testing import TINY_SPEC


@pytest.fixture
def lint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_plugin: None, loraspec_cli: Callable[..., Any]) -> Callable[..., Any]:
    """Lint ``images`` with a spec that expects three to five images of 30 px: ``lint(*changes)``, each (text, text in its place)."""
    text = TINY_SPEC.replace('use = "tiny:tiny"\nrights = "own"', 'use = "folder"\npath = "images"\nrights = "own"')
    text = text.replace("[adapter]", "[data.expect]\nimages = [3, 5]\nmin_side = 30\n\n[captions]\nreview = \"none\"\n\n[adapter]")
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        paint(tmp_path / "images" / f"{number}.png", number)

    def found(*changes: tuple[str, str], words: tuple[str, ...] = ()) -> dict[str, set[tuple[str, str]]]:
        made = text
        for before, after in changes:
            assert before in made, before
            made = made.replace(before, after)
        (tmp_path / "spec.toml").write_text(made)
        outcome = loraspec_cli("captions", "lint", "spec.toml", "--json", *words)
        seen: dict[str, set[tuple[str, str]]] = {}
        for row in json.loads(outcome.out):
            if row["code"].startswith("D") or row["code"] in ("C120", "C121"):
                seen.setdefault(row["code"], set()).add((row["severity"], row["image"]))
        return seen

    return found


def paint(path: Path, seed: int, size: tuple[int, int] = (40, 40), mode: str = "RGB", **more: Any) -> Path:
    """Write a picture of blots, which no other seed's is like, and its caption."""
    path.parent.mkdir(exist_ok=True)
    blots = Image.frombytes("RGB", (6, 6), generator(0, "blots", seed).bytes(108)).resize(size, Image.Resampling.BICUBIC)
    blots.convert(mode).save(path, **more)
    path.with_suffix(".txt").write_text(f"picture {seed}, noise")
    return path


def test_images_as_they_should_be(lint: Callable[..., Any]) -> None:
    """Nothing is told."""
    assert lint() == {}


def test_d001_counts_images(lint: Callable[..., Any], tmp_path: Path) -> None:
    """Three to five were expected: five are right, six are not, two are not."""
    for number in (3, 4):
        paint(tmp_path / "images" / f"{number}.png", number)
    assert lint() == {}
    paint(tmp_path / "images" / "5.png", 5)
    assert lint() == {"D001": {("warning", "")}}
    for number in range(2, 6):
        (tmp_path / "images" / f"{number}.png").unlink()
    assert lint()["D001"] == {("warning", "")}


def test_d002_measures_sides(lint: Callable[..., Any], tmp_path: Path) -> None:
    """29 px are too few, 30 are not; what no bucket takes is an error."""
    paint(tmp_path / "images" / "short.png", 7, (60, 30))
    assert "D002" not in lint()
    paint(tmp_path / "images" / "short.png", 7, (60, 29))
    assert lint()["D002"] == {("warning", "short.png")}
    paint(tmp_path / "images" / "short.png", 7, (6, 6))
    assert ("error", "short.png") in lint()["D002"]


def test_d003_tells_what_is_enlarged(lint: Callable[..., Any], tmp_path: Path) -> None:
    """By more than a twentieth, when the spec allows it."""
    paint(tmp_path / "images" / "small.png", 7, (12, 12))
    upscaled = ("max = 64 }", "max = 64, upscale = true }")
    assert lint(upscaled)["D003"] == {("warning", "small.png")}
    paint(tmp_path / "images" / "small.png", 7, (30, 30))
    assert lint(upscaled)["D003"] == {("warning", "small.png")}
    paint(tmp_path / "images" / "small.png", 7, (31, 31))
    assert "D003" not in lint(upscaled)


def test_d004_finds_nearly_the_same_picture(lint: Callable[..., Any], tmp_path: Path) -> None:
    """Saved anew and made smaller; another picture of the same size is none."""
    with Image.open(tmp_path / "images" / "0.png") as image:
        image.resize((36, 36)).save(tmp_path / "images" / "again.jpg", quality=80)
    assert lint()["D004"] == {("warning", "again.jpg")}
    assert lint(("[captions]", '[captions.lint]\nignore = ["D004"]\n\n[captions]')).get("D004") is None


def test_d005_wants_rights(tmp_path: Path, lint: Callable[..., Any], loraspec_cli: Callable[..., Any]) -> None:
    """A source whose own options lack them refuses the spec; one that brings images without has each of them told."""
    with pytest.raises(ValueError, match="Expecting value"):
        lint(('rights = "own"', 'rights = ""'))
    loraspec_cli("captions", "lint", "spec.toml").assert_failed(2, "does not say with which right")
    (tmp_path / "fetched").mkdir()
    data = (tmp_path / "images" / "0.png").read_bytes()
    (tmp_path / "fetched" / "a.png").write_bytes(data)
    chosen = {"artist": "", "classification": "", "medium": "", "title": "x", "years": [-9999, 9999], "size": 2048, "limit": 0}
    row = {"file": "a.png", "sha256": hashlib.sha256(data).hexdigest()}
    (tmp_path / "fetched" / "fetched.jsonl").write_text(json.dumps({"selection": chosen}) + "\n" + json.dumps(row) + "\n")
    found = lint(('use = "folder"\npath = "images"\nrights = "own"', 'use = "nga"\npath = "fetched"\ntitle = "x"'))
    assert "D005" not in found  # the gallery's rights stand for what its list does not say


@pytest.mark.parametrize(("mode", "ending", "code"), [
    ("RGBA", "png", {("error", "odd.png")}), ("CMYK", "jpg", {("error", "odd.jpg")}), ("L", "png", None), ("P", "png", None),
])  # fmt: skip
def test_d007_tells_how_colours_are_kept(lint: Callable[..., Any], tmp_path: Path, mode: str, ending: str, code: Any) -> None:
    """What a run refuses is an error here, with what to do; grey and palettes are read."""
    path = paint(tmp_path / "images" / f"odd.{ending}", 7, mode="RGB" if mode == "RGBA" else mode)
    if mode == "RGBA":
        with Image.open(path) as image:
            image.putalpha(100)
            image.save(path)
    assert lint().get("D007") == code


def test_d006_tells_exif_that_cannot_be_read(lint: Callable[..., Any], tmp_path: Path) -> None:
    """An orientation that can be read is applied, and needs no word."""
    exif = Image.Exif()
    exif[0x0112] = 6
    paint(tmp_path / "images" / "turned.jpg", 7, exif=exif)
    assert "D006" not in lint()
    paint(tmp_path / "images" / "turned.jpg", 7, exif=b"Exif\0\0rubbish that is no EXIF")
    assert lint()["D006"] == {("warning", "")}


def test_d008_tells_what_the_crop_takes(lint: Callable[..., Any], tmp_path: Path) -> None:
    """A strip loses more than a quarter to the widest bucket; above 10 : 1 it is refused."""
    paint(tmp_path / "images" / "strip.png", 7, (270, 30))
    found = lint()
    assert found["D008"] == {("warning", "strip.png")}
    paint(tmp_path / "images" / "strip.png", 7, (330, 30))
    assert lint()["D008"] == {("error", "strip.png")}
    paint(tmp_path / "images" / "strip.png", 7, (48, 40))
    assert "D008" not in lint()


def test_c120_wants_what_the_spec_wants(lint: Callable[..., Any], loraspec_cli: Callable[..., Any]) -> None:
    """Every caption approved, only when review is required."""
    required = ('review = "none"', 'review = "required"')
    assert lint(required)["C120"] == {("error", f"{number}.png") for number in range(3)}
    assert "C120" not in lint()


def test_c121_tells_captions_that_changed_since_the_lock(
    lint: Callable[..., Any], tmp_path: Path, loraspec_cli: Callable[..., Any]
) -> None:
    """By the lock beside the spec; silent without one, and when it is ignored."""
    lint()
    loraspec_cli("lock", "spec.toml").assert_success()
    assert "C121" not in lint()
    (tmp_path / "images" / "1.txt").write_text("another picture, noise")
    assert lint()["C121"] == {("warning", "1.png")}
    assert "C121" not in lint(("[captions]", '[captions.lint]\nignore = ["C121"]\n\n[captions]'))
    (tmp_path / "spec.lock").unlink()
    assert "C121" not in lint()
