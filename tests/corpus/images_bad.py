"""I: images. Each case spoils one image among two good ones; what is refused stops ``plan`` and ``run`` alike."""

from __future__ import annotations

import io
import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image, ImageCms

from corpus.case import Case, Outcome
from corpus.specs import CAPTION, noise, write_good, write_spec

PLAN = (("plan", "spec.toml"),)
BOTH = (("plan", "spec.toml"), ("run", "spec.toml"))
Maker = Callable[[], bytes]


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """An image as a file's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    """One part of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *, depth: int = 8, colour: int = 2, before: bytes = b"", pixels: bytes | None = None) -> bytes:
    """A PNG from its parts; without pixels next to nothing is in it."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"\0" * 64 if pixels is None else pixels))
    return b"\x89PNG\r\n\x1a\n" + head + before + body + chunk(b"IEND", b"")


def put(name: str, data: Maker | bytes) -> Callable[[Path], None]:
    """Write the good set and one more image, with its caption."""

    def make(folder: Path) -> None:
        path = write_good(folder) / name
        path.write_bytes(data if isinstance(data, bytes) else data())
        path.with_suffix(".txt").write_text(CAPTION, encoding="utf-8")

    return make


def bad(number: str, title: str, code: str, data: Maker | bytes, *says: str, name: str = "x.png", variant: str = "", **more: Any) -> Case:
    """An image that is refused, by name."""
    return Case(number, title, put(name, data), (code,), 2, BOTH, (name, *says), variant=variant, **more)


def odd(number: str, title: str, code: str, data: Maker | bytes, *says: str, name: str = "x.png", variant: str = "", **more: Any) -> Case:
    """An image that is taken, with a warning or none."""
    return Case(number, title, put(name, data), tuple(code.split()), 0, PLAN, says, variant=variant, **more)


def made(number: str, title: str, code: str, make: Callable[[Path], Any], *says: str, variant: str = "", **more: Any) -> Case:
    """A file that is refused before it is opened."""
    return Case(number, title, make, (code,), 2, BOTH, ("x.png", *says), variant=variant, **more)


# -- generators --------------------------------------------------------------------------------------------------------


def jpeg(**options: Any) -> bytes:
    return encoded(noise(64, 64, seed=7), "JPEG", **options)


def rgba() -> Image.Image:
    image = noise(seed=8).convert("RGBA")
    image.paste((255, 0, 255, 0), (0, 0, 16, 16))
    return image


def grey16() -> bytes:
    return encoded(Image.new("I;16", (32, 32), 40_000))


def frames(kind: str) -> bytes:
    return encoded(noise(seed=1), kind, save_all=True, append_images=[noise(seed=2), noise(seed=3)])


def flipped() -> bytes:
    data = bytearray(jpeg())
    for at in range(len(data) - 400, len(data) - 380):
        data[at] ^= 0x11 if data[at] not in (0xFF, 0xEE) and data[at - 1] != 0xFF else 0
    return bytes(data)


def crc() -> bytes:
    data = bytearray(encoded(noise()))
    data[data.index(b"IDAT") + 40] ^= 0xFF
    return bytes(data)


def profile(garbage: bool) -> bytes:
    if garbage:
        return encoded(noise(seed=4), icc_profile=b"junk" * 40)
    return encoded(noise(seed=4), icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes())


def wide_gamut() -> bytes:
    """The sRGB profile with its red and green primaries exchanged: colours of its own, and a profile that is whole."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = data.replace(b"rXYZ", b"tmp0").replace(b"gXYZ", b"rXYZ").replace(b"tmp0", b"gXYZ")
    return encoded(noise(seed=4), icc_profile=swapped)


def srgb() -> bytes:
    return encoded(noise(seed=4), icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())


def text_bomb() -> bytes:
    bomb = b"Comment\0\0" + zlib.compress(b"\0" * 80_000_000, 9)
    return png(4, 4, before=chunk(b"zTXt", bomb))


def rotated(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(noise(40, 24, seed=5), "JPEG", quality=95, exif=exif)


def scans() -> bytes:
    """A progressive JPEG whose last pass is drawn 500 times."""
    data = jpeg(progressive=True)
    at = data.rindex(b"\xff\xda")
    return data[:-2] + data[at:-2] * 500 + b"\xff\xd9"


def tiny_chunks() -> bytes:
    return png(32, 32, before=chunk(b"teSt", b"") * 100_000)


def link(target: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        images = write_good(folder)
        (folder / "secret.png").write_bytes(encoded(noise(seed=6)))
        (images / "x.png").symlink_to(target)

    return make


def special(kind: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        path = write_good(folder) / "x.png"
        if kind == "folder":
            path.mkdir()
        elif kind == "fifo":
            os.mkfifo(path)
        elif kind == "device":
            path.symlink_to("/dev/zero")
        elif kind == "mode":
            path.write_bytes(encoded(noise()))
            path.chmod(0)
        else:
            here = Path.cwd()
            os.chdir(path.parent)
            socket.socket(socket.AF_UNIX).bind(path.name)
            os.chdir(here)

    return make


def twice(folder: Path) -> None:
    """The same picture three times: the same bytes, and encoded anew."""
    images = write_good(folder)
    first = images / "good-0.png"
    (images / "copy.png").write_bytes(first.read_bytes())
    Image.open(first).save(images / "again.png", compress_level=1)
    for name in ("copy", "again"):
        (images / f"{name}.txt").write_text(CAPTION, encoding="utf-8")


def small(upscale: bool) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        put("x.png", encoded(noise(10, 10)))(folder)
        if upscale:
            write_spec(folder, "max = 64", "max = 64, upscale = true")

    return make


def changes_while_used(folder: Path) -> None:
    """Plan, change a file, read it as training would."""
    from loraspec.plan import resolve

    data = resolve("spec.toml").data
    (folder / "images" / "good-1.png").write_bytes(encoded(noise(seed=9)))
    for placed in data.images:
        placed.sample.read()


def same_turned(outcome: Outcome) -> None:
    """What was turned by EXIF is what somebody turned by hand: the plan counts portraits."""
    assert "24 x 40: 7" in outcome.text, outcome.text


def all_turned(folder: Path) -> None:
    images = write_good(folder)
    for path in images.iterdir():
        path.unlink()
    for orientation in range(2, 9):
        data = rotated(orientation) if orientation > 4 else rotated(5 + orientation % 4)
        (images / f"{orientation}.jpg").write_bytes(data + bytes(0))
        (images / f"{orientation}.txt").write_text(CAPTION, encoding="utf-8")


WEB = b"<!DOCTYPE html><html><body>404 not found</body></html>"
BAD_XMP = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta tiff:Orientation=\"6\">\xff\xfe\x80</x:xmpmeta>"
HALF = "get it again from where it came"

CASES = (
    bad("I01", "no bytes", "E-IMG-EMPTY", b"", "0 bytes"),
    bad("I02", "a web page", "E-IMG-FORMAT", WEB, "a web page, probably a failed download", name="x.jpg"),
    bad("I03", "text", "E-IMG-FORMAT", b"nothing", "neither PNG, JPEG nor WEBP"),
    bad("I04", "a JPEG cut in half", "E-IMG-TRUNCATED", lambda: jpeg()[: len(jpeg()) // 2], HALF, name="x.jpg"),
    bad("I05", "a JPEG less its end", "E-IMG-TRUNCATED", lambda: jpeg()[:-2], HALF, name="x.jpg"),
    bad("I06", "a PNG cut in half", "E-IMG-TRUNCATED", lambda: encoded(noise())[:1500], HALF),
    bad("I06", "a WebP cut in half", "E-IMG-TRUNCATED", lambda: encoded(noise(), "WEBP")[:200], HALF, name="x.webp", variant="webp"),
    bad("I07", "a PNG without its last part", "E-IMG-TRUNCATED", lambda: encoded(noise())[:-12], "its last part is missing"),
    bad("I08", "a PNG with a wrong checksum", "E-IMG-CORRUPT", crc, "the checksum of its part IDAT is wrong"),
    odd("I09", "a JPEG with changed bytes that still decodes: only a lock can tell", "", flipped, name="x.jpg"),
    odd("I10", "a PNG named .jpg", "W-IMG-EXT", lambda: encoded(noise(seed=3)), "x.jpg (PNG)", name="x.jpg"),
    Case("I11", "turned by EXIF", all_turned, ("W-DATA-DUP", "W-DATA-NEAR"), 0, PLAN, check=same_turned),
    odd("I12", "an absurd orientation", "W-IMG-EXIF", lambda: rotated(99), "x.jpg", name="x.jpg", variant="99"),
    odd("I12", "garbage for EXIF", "W-IMG-EXIF", lambda: jpeg(exif=b"Exif\0\0garbage"), "x.jpg", name="x.jpg", variant="garbage"),
    odd("I12", "XMP that is no UTF-8", "", lambda: jpeg(xmp=BAD_XMP.partition(b"\0")[2]), name="x.jpg", variant="xmp"),
    bad("I13", "hidden colours under alpha", "E-IMG-ALPHA", lambda: encoded(rgba()), "alpha", "flatten it"),
    bad("I14", "a palette with a transparent colour", "E-IMG-ALPHA", lambda: encoded(noise().quantize(8), transparency=0), "transparent"),
    bad("I15", "grey with alpha", "E-IMG-ALPHA", lambda: encoded(rgba().convert("LA")), "alpha"),
    bad("I16", "RGB with a transparent colour", "E-IMG-ALPHA", lambda: encoded(noise(), transparency=(1, 2, 3)), "transparent"),
    bad("I17", "16-bit grey", "E-IMG-DEPTH", grey16, "16 bits"),
    bad("I18", "16-bit RGB", "E-IMG-DEPTH", lambda: png(4, 4, depth=16), "16 bits"),
    bad("I19", "a floating-point TIFF", "E-IMG-FORMAT", lambda: encoded(Image.new("F", (9, 9)), "TIFF"), "it looks like TIFF"),
    bad("I20", "CMYK", "E-IMG-MODE", lambda: encoded(noise().convert("CMYK"), "JPEG"), "CMYK", "colour profile", name="x.jpg"),
    bad("I21", "CMYK, inverted as Adobe does", "E-IMG-MODE", lambda: encoded(noise().convert("CMYK"), "JPEG", quality=90), "CMYK",
        name="x.jpg"),
    odd("I22", "grey among colours", "W-IMG-GREY", lambda: encoded(noise(seed=3).convert("L")), "x.png", variant="grey"),
    odd("I22", "one bit among colours", "W-IMG-GREY", lambda: encoded(noise(seed=3).convert("1")), "x.png", variant="bit"),
    odd("I22", "a palette", "", lambda: encoded(noise(seed=3).quantize(64)), variant="palette"),
    odd("I23", "another colour profile", "W-IMG-ICC", wide_gamut, "x.png", "not sRGB"),
    odd("I23", "sRGB's own profile", "", srgb, variant="srgb"),
    odd("I24", "garbage for a colour profile", "W-IMG-ICC", lambda: profile(True), "x.png"),
    odd("I24", "a colour profile of no device", "W-IMG-ICC", lambda: profile(False), "x.png", variant="xyz"),
    bad("I25", "an animated PNG", "E-IMG-ANIMATED", lambda: frames("PNG"), "3 frames", variant="apng"),
    bad("I25", "an animated WebP", "E-IMG-ANIMATED", lambda: frames("WEBP"), "frames", name="x.webp", variant="webp"),
    bad("I25", "a GIF under another name", "E-IMG-FORMAT", lambda: frames("GIF"), "it looks like GIF", variant="gif"),
    bad("I26", "20,000 x 20,000 px in few bytes", "E-IMG-PIXELS", lambda: encoded(Image.new("1", (20_000, 20_000))), "64 million"),
    bad("I27", "13,000 x 7,000 px", "E-IMG-PIXELS", lambda: png(13_000, 7_000), "13000 x 7000 px"),
    bad("I28", "a header that lies", "E-IMG-PIXELS", lambda: png(60_000, 60_000), "60000 x 60000 px", variant="60000"),
    bad("I28", "a header that lies more", "E-IMG-PIXELS", lambda: png(2**31 - 1, 2**31 - 1), variant="most"),
    bad("I28", "a header that lies a little", "E-IMG-TRUNCATED", lambda: png(500, 500), variant="little"),
    bad("I29", "no width", "E-IMG-FORMAT", lambda: png(0, 10), "0 x 10 px"),
    bad("I30", "80 MB of text in few bytes", "E-IMG-METADATA", text_bomb, "of text"),
    bad("I31", "1 x 1", "E-IMG-SMALL", lambda: encoded(noise(1, 1)), "1 x 1 px", variant="small"),
    bad("I31", "long and thin", "E-IMG-ASPECT", lambda: encoded(noise(1000, 30)), "1000 x 30 px", variant="thin"),
    Case("I32", "smaller than its bucket", small(False), ("W-IMG-SMALL",), 0, PLAN, ("x.png", "below 16 px")),
    Case("I32", "enlarged", small(True), ("W-IMG-UPSCALE",), 0, PLAN, ("x.png (3.2 times)",), variant="upscale"),
    *(bad("I33", f"{kind} under another name", "E-IMG-FORMAT", data, variant=kind) for kind, data in {
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>', "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "psd": b"8BPS\0\1",
        "pdf": b"%PDF-1.7\n", "bmp": encoded(noise(), "BMP"),
    }.items()),
    odd("I33", "kinds that are not read, by name", "W-IMG-FORMAT", b"\0\0\0\x18ftypheic", "photo.heic", name="photo.heic", variant="named"),
    bad("I34", "EPS", "E-IMG-FORMAT", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "it looks like EPS"),
    bad("I35", "AVIF", "E-IMG-FORMAT", b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "it looks like AVIF", variant="avif"),
    bad("I35", "JPEG XL", "E-IMG-FORMAT", b"\xff\x0a\0\0", "it looks like JPEG XL", variant="jxl"),
    made("I36", "a link out of the folder", "E-PATH-SYMLINK", link("/etc/hostname"), "out of the folder", variant="etc"),
    made("I36", "a link to the folder above", "E-PATH-SYMLINK", link("../secret.png"), never=("secret",), variant="above"),
    made("I37", "a link to nowhere", "E-PATH-SYMLINK", link("gone.png"), "leads nowhere", variant="dangling"),
    made("I37", "a link to itself", "E-PATH-SYMLINK", link("x.png"), variant="loop"),
    made("I38", "a folder", "E-IMG-READ", special("folder"), "is a folder"),
    made("I39", "a named pipe", "E-IMG-READ", special("fifo"), "not opened", variant="fifo"),
    made("I39", "a socket", "E-IMG-READ", special("socket"), "not opened", variant="socket"),
    made("I39", "a device", "E-PATH-SYMLINK", special("device"), variant="device"),
    made("I40", "a file that may not be read", "E-IMG-READ", special("mode"), "Permission denied", user=True),
    Case("I41", "a file that changes", write_good, ("E-DATA-DRIFT",), 2, act=changes_while_used, says=("good-1.png  changed while",)),
    Case("I42", "the same pixels more than once", twice, ("W-DATA-DUP", "W-DATA-NEAR"), 0, PLAN,
         ("copy.png (as again.png)", "good-0.png (as again.png)")),
    odd("I43", "one colour", "W-IMG-FLAT", lambda: encoded(Image.new("RGB", (32, 32), "red")), "x.png"),
    odd("I44", "an archive behind the end", "W-IMG-TRAILING", lambda: encoded(noise(seed=3)) + b"PK\3\4" + bytes(100), "x.png"),
    odd("I44", "something behind the end of a WebP", "W-IMG-TRAILING", lambda: encoded(noise(seed=3), "WEBP") + bytes(99), "x.webp",
        name="x.webp", variant="webp"),
    bad("I45", "500 passes", "E-IMG-SLOW", scans, "passes", name="x.jpg"),
    bad("I46", "100,000 parts", "E-IMG-SLOW", tiny_chunks, "65536 pieces"),
)
