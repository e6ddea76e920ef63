"""What the bytes of an image file say before anything decodes them: kind, size, wholeness, and what would only cost time.

PNG, JPEG and WebP are read; nothing here imports Pillow.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

from attrs import frozen

from loraspec.errors import LoraspecError

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 64_000_000
MAX_CHUNKS = 2**16
MAX_SCANS = 100
MAX_TEXT = 2**20  # bytes of one text chunk, unpacked
MAX_TEXTS = 8 * 2**20  # bytes of all of them
AGAIN = "get it again from where it came"

_LOOKS = (
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"%!PS", "EPS"),
    (b"%PDF", "PDF"),
    (b"8BPS", "PSD"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"<svg", "SVG"),
    (b"<?xml", "SVG"),
)


class ImageError(LoraspecError, ValueError):
    """An image that is not trained on; ``hint`` says how to mend it."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        self.message, self.hint = message, hint
        super().__init__(message)
        self.code = code


@frozen
class FileFacts:
    """What a file says of itself: ``kind`` of ``FORMATS``, size in px as stored, bytes behind its end."""

    kind: str
    width: int
    height: int
    trailing: int = 0


def inspect(data: bytes) -> FileFacts:
    """Return what the bytes of an image say.

    Raises:
        ImageError: It is no PNG, JPEG or WebP file, cut short, damaged, too large, or made to be slow.
    """
    if not data:
        raise ImageError("E-IMG-EMPTY", "is empty (0 bytes)", AGAIN)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png(data)
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data)
    raise _other(data)


def _other(data: bytes) -> ImageError:
    start = data[:64].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html")):
        return ImageError("E-IMG-FORMAT", "is a web page, probably a failed download", AGAIN)
    known = " nor ".join(FORMATS).replace(" nor ", ", ", len(FORMATS) - 2)
    look = next((name for mark, name in _LOOKS if data.startswith(mark)), "")
    if data[4:8] == b"ftyp":
        look = "AVIF" if data[8:11] == b"avi" else "HEIC"
    return ImageError("E-IMG-FORMAT", f"is neither {known}" + (f"; it looks like {look}" if look else ""), "save it as one of these")


def _sized(kind: str, width: int, height: int, trailing: int = 0) -> FileFacts:
    """Return the facts of a file whose picture has a size that can be."""
    if not width or not height:
        raise ImageError("E-IMG-FORMAT", f"says to be {width} x {height} px", AGAIN)
    if width * height > MAX_PIXELS:
        message = f"has {width} x {height} px, more than {MAX_PIXELS // 10**6} million pixels"
        raise ImageError("E-IMG-PIXELS", message, "make it smaller")
    return FileFacts(kind, width, height, trailing)


# -- PNG ---------------------------------------------------------------------------------------------------------------


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (kind, begin, end) of each chunk's content up to IEND; every checksum is compared."""
    at, view = 8, memoryview(data)
    for _ in range(MAX_CHUNKS):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 8 + length
        if end + 4 > len(data):
            raise ImageError("E-IMG-TRUNCATED", "is cut short: its last part is missing", AGAIN)
        if zlib.crc32(view[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            name = kind.decode("ascii") if kind.isalpha() else "one"
            raise ImageError("E-IMG-CORRUPT", f"is broken: the checksum of its part {name} is wrong", AGAIN)
        yield kind, at + 8, end
        if kind == b"IEND":
            return
        at = end + 4
    raise ImageError("E-IMG-SLOW", f"is cut into more than {MAX_CHUNKS} pieces", "save it anew")


def _png(data: bytes) -> FileFacts:
    if data[12:16] == b"IHDR":  # before its parts are walked: what it says of itself is enough to refuse it
        _sized("PNG", int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big"))
        if len(data) > 24 and data[24] == 16:
            raise ImageError("E-IMG-DEPTH", "has 16 bits per channel", "save it with 8 bits per channel")
    texts, last = 0, 8
    for kind, begin, end in _chunks(data):
        last = end + 4
        if kind in (b"zTXt", b"iTXt", b"tEXt"):
            texts += _unpacked(kind, data[begin:end])
        if texts > MAX_TEXTS:
            raise _metadata()
    return _sized("PNG", int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big"), len(data) - last)


def _unpacked(kind: bytes, content: bytes) -> int:
    """Return how many bytes a text chunk has, unpacked; never unpacks more than ``MAX_TEXT``."""
    name, _, rest = content.partition(b"\0")
    if kind == b"iTXt" and rest[:1] == b"\1":
        packed = rest[2:].split(b"\0", 2)[-1]
    elif kind == b"zTXt":
        packed = rest[1:]
    else:
        packed = b""
    if len(content) > MAX_TEXT:
        raise _metadata()
    if not packed:
        return len(content)
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(packed, MAX_TEXT)
    except zlib.error:
        return 0  # a decoder passes over it
    if unpacker.unconsumed_tail:
        raise _metadata()
    return len(name) + len(text)


def _metadata() -> ImageError:
    return ImageError("E-IMG-METADATA", f"holds more than {MAX_TEXT // 2**20} MiB of text beside its pixels", "save it without metadata")


# -- JPEG and WebP -----------------------------------------------------------------------------------------------------


def _jpeg(data: bytes) -> FileFacts:
    size = next(_frames(data), None)
    if size is None:
        raise ImageError("E-IMG-TRUNCATED", "is cut short: it holds no picture", AGAIN)
    facts = _sized("JPEG", *size)
    scans = len(re.findall(b"\xff\xda", data))  # cannot stand in compressed pixels
    if scans > MAX_SCANS or scans * size[0] * size[1] > 20 * MAX_PIXELS:
        raise ImageError("E-IMG-SLOW", f"is drawn in {scans} passes, which would take long", "save it anew")
    return facts


def _frames(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield (width, height) of a JPEG's frame header."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        mark = data[at + 1]
        if mark == 0xFF:
            at += 1
            continue
        if 0xC0 <= mark <= 0xCF and mark not in (0xC4, 0xC8, 0xCC):
            yield int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
            return
        at += 2 + (0 if mark == 0x01 or 0xD0 <= mark <= 0xD8 else int.from_bytes(data[at + 2 : at + 4], "big"))


def _webp(data: bytes) -> FileFacts:
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise ImageError("E-IMG-TRUNCATED", f"is cut short: {end - len(data)} bytes are missing", AGAIN)
    kind = data[12:16]
    if kind == b"VP8X":
        size = 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    elif kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        size = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        size = int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    return _sized("WEBP", *size, len(data) - end - (end % 2 and len(data) > end))
