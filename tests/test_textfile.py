"""Text from anywhere: decoded, or refused with its place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from loraspec.textfile import NoPlainFileError, NotTextError, TooLargeError, decode, read_plain


def test_utf_8_is_read_and_a_mark_is_taken_off() -> None:
    """The text is the same with and without a byte order mark."""
    assert decode("Honoré, 日本".encode()) == ("Honoré, 日本", False)
    assert decode("Honoré".encode("utf-8-sig")) == ("Honoré", True)
    assert decode(b"") == ("", False)


@pytest.mark.parametrize(
    ("data", "said", "place"),
    [
        ("ab".encode("utf-16"), "UTF-16", (1, 1)),
        ("ab".encode("utf-32"), "UTF-32", (1, 1)),
        ("a longer text".encode("utf-16-be"), "UTF-16 without a mark", (1, 1)),
        ("one\ntwo’".encode("cp1252"), "byte 0x92, '’' in Windows-1252", (2, 4)),
        (b"one\n\x81", "byte 0x81", (2, 1)),
        ("é".encode()[:1], "cut short", (1, 1)),
        ("aé".encode() + b"\xe2\x82", "cut short", (1, 3)),
    ],
)
def test_other_encodings_are_named_with_their_place(data: bytes, said: str, place: tuple[int, int]) -> None:
    """Line and column are counted in characters, from 1."""
    with pytest.raises(NotTextError) as caught:
        decode(data)
    assert said in caught.value.message
    assert (caught.value.line, caught.value.column) == place


def test_only_plain_files_are_read(tmp_path: Path) -> None:
    """A pipe is not waited for; a large file is not read whole."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"12345")
    with pytest.raises(NoPlainFileError, match="named pipe"):
        read_plain(tmp_path / "pipe", 10)
    with pytest.raises(NoPlainFileError, match="folder"):
        read_plain(tmp_path, 10)
    with pytest.raises(TooLargeError):
        read_plain(tmp_path / "file", 4)
    assert read_plain(tmp_path / "file", 5) == b"12345"
