"""What is published says nothing of who made it: canaries in the environment, the paths, the files and the captions."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostile.conftest import CAPTION, EXIF, FILE, HOME, HOST, PLACE, TOKENS, USER, Watched

MACHINE = (USER, HOST, HOME, PLACE, *TOKENS.values())
PUBLISHED = ("epochs/*.safetensors", "epochs/index.json", "grid/**/*.png", "grid/**/*.json", "grid/**/*.webp", "report.html")
LOCAL = ("spec.toml", "resolved.toml", "run.json", "lock.json", "manifest.jsonl", "events.jsonl", "journal.jsonl", ".held", "state/*/*")
KEPT = ("prompt", "seed", "negative", "sampler", "steps", "guidance", "width", "height", "epoch", "weight", "epoch_file_sha256", "prompts")


def layers(data: bytes, depth: int = 0) -> Iterator[bytes]:
    """Yield bytes, and what is inside them: chunks of PNGs, base64, zlib streams."""
    yield data
    if depth == 3:
        return
    if data.startswith(b"\x89PNG"):
        for kind, content in chunks(data):
            if kind in (b"zTXt", b"iTXt", b"tEXt", b"eXIf"):
                yield from layers(content, depth + 1)
    for found in re.findall(rb"[A-Za-z0-9+/]{24,}={0,2}", data):
        yield from layers(base64.b64decode(found[: len(found) // 4 * 4] + b"=" * 0), depth + 1) if len(found) >= 24 else ()
    for start in (found.start() for found in re.finditer(rb"\x78[\x01\x5e\x9c\xda]", data[:200_000])):
        try:
            yield zlib.decompressobj().decompress(data[start:], 10_000_000)
        except zlib.error:
            continue


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of a PNG's chunks."""
    at = 8
    while at < len(data):
        [size] = struct.unpack(">I", data[at : at + 4])
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        at += 12 + size


def holds(data: bytes, word: str) -> bool:
    """Whether a word stands in bytes in a usual encoding, in any case."""
    return any(word.lower().encode(code) in data.lower() for code in ("utf-8", "utf-16-le", "utf-16-be"))


def files(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    return sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})


def test_every_file_of_a_run_is_published_or_local(watched: Watched) -> None:
    """A new kind of file has to be put on one side or the other."""
    known = {*files(watched.folder, PUBLISHED), *files(watched.folder, LOCAL)}
    assert {path for path in watched.folder.rglob("*") if path.is_file()} == known
    assert len(files(watched.folder, PUBLISHED)) > 8


@pytest.mark.parametrize("pattern", PUBLISHED)
def test_published_files_know_no_machine(watched: Watched, pattern: str) -> None:
    """No user, host, home, folder or secret in any byte of what is published, in text, PNG chunks, base64 or zlib."""
    for path in files(watched.folder, (pattern,)):
        for data in layers(path.read_bytes()):
            found = [word for word in (*MACHINE, EXIF) if holds(data, word)]
            assert not found, f"{path}: {found}"


def test_weights_know_no_picture(watched: Watched) -> None:
    """Epoch files, their index, cells and sheets hold no caption and no file name; the report shows both, and says so in the docs."""
    for path in files(watched.folder, PUBLISHED[:-1]):
        for data in layers(path.read_bytes()):
            assert not [word for word in (FILE, CAPTION) if holds(data, word)], path
    shown = (watched.folder / "report.html").read_text()
    assert CAPTION in shown
    assert FILE in shown


def test_local_files_hold_no_secret(watched: Watched) -> None:
    """Nothing of the environment is written down at all, not even into the files that stay with the user."""
    for path in files(watched.folder, LOCAL):
        for data in layers(path.read_bytes()):
            found = [word for word in (USER, HOST, HOME, *TOKENS.values()) if holds(data, word)]
            assert not found, f"{path}: {found}"


def test_pictures_have_settings_and_nothing_else(watched: Watched) -> None:
    """A PNG's only text chunk holds what generated it; there is no EXIF, no time and no path."""
    import json

    pictures = files(watched.folder, ("grid/**/*.png",))
    assert pictures
    for path in pictures:
        kinds = [kind for kind, _ in chunks(path.read_bytes())]
        texts = [content for kind, content in chunks(path.read_bytes()) if kind == b"tEXt"]
        assert {*kinds} <= {b"IHDR", b"PLTE", b"IDAT", b"tEXt", b"IEND"}, path
        for text in texts:
            name, _, value = text.partition(b"\0")
            assert name == b"loraspec"
            assert {*json.loads(value)} <= {*KEPT}, path


def test_canaries_are_found_where_they_are() -> None:
    """The search sees a word in base64, in zlib, in a PNG's chunk, and in UTF-16."""
    word = "zqCanaryZq"
    packed = zlib.compress(word.encode() * 5)
    chunk = struct.pack(">I", len(packed) + 3) + b"zTXt" + b"a\0\0" + packed + b"\0\0\0\0"
    for data in (
        word.encode(),
        word.encode("utf-16-le"),
        b"x " + base64.b64encode(b"--- " + word.encode() + b" ----------- --") + b" x",
        packed,
        b"\x89PNG\r\n\x1a\n" + chunk,
    ):
        assert any(holds(layer, word) for layer in layers(data))
