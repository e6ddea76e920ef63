"""Files of text from anywhere: read without blocking and within a size, decoded as UTF-8 or refused with the place."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_MARKS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


class NoPlainFileError(OSError):
    """What was to be read is a folder, a pipe, a socket or a device."""


class TooLargeError(ValueError):
    """A file is larger than its kind may be."""


class NotTextError(ValueError):
    """Bytes that are no UTF-8: ``message`` says which, ``line`` and ``column`` where, from 1."""

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        self.message, self.line, self.column = message, line, column
        super().__init__(message)


def read_plain(path: Path, most: int) -> bytes:
    """Return the content of a plain file; a pipe or a device is not waited for.

    Raises:
        NoPlainFileError: It is something else than a file.
        TooLargeError: It has more than ``most`` bytes.
        OSError: It cannot be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):  # before opening: opening some devices does something
        raise NoPlainFileError(_kind(path.stat().st_mode))
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise NoPlainFileError(_kind(os.fstat(handle).st_mode))
        data = file.read(most + 1)
    if len(data) > most:
        raise TooLargeError(f"is larger than {most // 2**20} MiB" if most >= 2**20 else f"is larger than {most // 1024} KiB")
    return data


def _kind(mode: int) -> str:
    """Say what a file is that is no file."""
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"),
             (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"))
    return next((word for test, word in kinds if test(mode)), "no plain file")


def decode(data: bytes) -> tuple[str, bool]:
    """Return the text of UTF-8 bytes, and whether a byte order mark stood in front (it is taken off).

    Raises:
        NotTextError: Another encoding, named where it can be told.
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            raise NotTextError(f"is {name}, not UTF-8")
    half = data[:400]
    if len(half) >= 4 and max(half[0::2].count(0), half[1::2].count(0)) > len(half) // 5:
        raise NotTextError("looks like UTF-16 without a mark, not UTF-8")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        byte = data[error.start : error.start + 1]
        meant = byte.decode("cp1252", "replace")
        guess = f", {meant!r} in Windows-1252" if meant.isprintable() and meant != "\ufffd" else ""
        cut = "; or it is cut short" if error.reason == "unexpected end of data" else ""
        raise NotTextError(f"is not UTF-8: byte 0x{byte.hex()}{guess}{cut}", line, column) from None
    return (text[1:], True) if text.startswith("\ufeff") else (text, False)
