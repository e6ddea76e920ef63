"""What a place for files may look like."""

from __future__ import annotations

from pathlib import Path

import pytest

from loraspec.choices import bad_export
from loraspec.places import broken_place, is_absolute, leaves_folder, resolve


@pytest.mark.parametrize("text", ["images", "../data/daumier", "a b/ü", "package:x/y", "org/name", "100%/$", "it~s", "C++/x"])
def test_ordinary_places_are_fine(text: str) -> None:
    """Signs that mean nothing in a path are part of it."""
    assert broken_place(text) is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("~/x", "E-PATH-EXPAND"), ("~user/x", "E-PATH-EXPAND"), ("a/$HOME", "E-PATH-EXPAND"), ("${HOME}", "E-PATH-EXPAND"),
        ("$(id)", "E-PATH-EXPAND"), ("%USERPROFILE%", "E-PATH-EXPAND"), ("a\\b", "E-PATH-SEP"), ("https://a/b", "E-PATH-URL"),
        ("file:///etc", "E-PATH-URL"), ("hf://a/b", "E-PATH-URL"), ("a\u202eb", "E-PATH-NAME"), ("a\nb", "E-PATH-NAME"),
    ],
)  # fmt: skip
def test_places_that_mean_something_else_are_told(text: str, code: str) -> None:
    """Nothing is expanded, fetched or guessed."""
    found = broken_place(text)
    assert found is not None
    assert found[0] == code


def test_absolute_places_and_those_that_climb() -> None:
    """Of this system and of others; going down and up again stays inside."""
    assert [is_absolute(text) for text in ("/a", "C:/a", "c:\\a", "a/b", "C:")] == [True, True, True, False, False]
    assert [leaves_folder(text) for text in ("..", "a/../..", "../a", "a/../b", "./a", "a")] == [True, True, True, False, False, False]


def test_nothing_is_expanded(tmp_path: Path) -> None:
    """A folder that is called ~ is a folder."""
    assert resolve("~/x", tmp_path) == (tmp_path / "~" / "x").resolve()


@pytest.mark.parametrize("path", ["../x.safetensors", "/x.safetensors", "a/../../x", "a\\x", "C:/x"])
def test_exporters_write_below_the_folder_of_the_epochs(path: str) -> None:
    """A plugin's file name cannot leave it."""
    found = bad_export("exporters[0]", path, [])
    assert found is not None
    assert found.code == "E-PATH-ESCAPE"
    assert bad_export("exporters[0]", "diffusers/x.safetensors", ["x.safetensors"]) is None
