"""C: captions. Each case spoils the caption of one image among two good ones."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

from corpus.case import Case, Outcome
from corpus.images_bad import encoded
from corpus.specs import CAPTION, noise, write_good, write_spec

PLAN = (("plan", "spec.toml"),)
BOTH = (("plan", "spec.toml"), ("run", "spec.toml"))
PREVIEW = (("plan", "spec.toml"), ("captions", "preview", "spec.toml"), ("captions", "preview", "spec.toml", "--json"))
SECRET = "root:x:0:0: a secret that nobody may see"


def put(caption: bytes | str | None, *, name: str = "x") -> Callable[[Path], None]:
    """Write the good set and one more image with this caption, or without one."""

    def make(folder: Path) -> None:
        path = write_good(folder) / f"{name}.png"
        path.write_bytes(encoded(noise(seed=11)))
        if caption is not None:
            path.with_suffix(".txt").write_bytes(caption if isinstance(caption, bytes) else caption.encode("utf-8", "surrogatepass"))

    return make


def bad(number: str, title: str, code: str, make: Callable[[Path], Any], *says: str, variant: str = "", **more: Any) -> Case:
    """Captions that stop ``plan`` and ``run`` alike."""
    return Case(number, title, make, (code,), 2, BOTH, says, variant=variant, **more)


def odd(number: str, title: str, code: str, make: Callable[[Path], Any], *says: str, variant: str = "", **more: Any) -> Case:
    """Captions that are taken, with a warning or none."""
    return Case(number, title, make, tuple(code.split()), 0, says=says, variant=variant, **{"commands": PLAN, **more})


def one_line(outcome: Outcome) -> None:
    """What training will see is one line, in one form, without the mark."""
    if outcome.command.endswith("--json"):
        assert '"caption": "a square, café, by Tiny"' in outcome.text.replace("by Tiny, café", "café, by Tiny"), outcome.text
        assert unicodedata.is_normalized("NFC", outcome.text)


def seen(text: str) -> dict[str, Any]:
    """A case whose captions are previewed too, and hold ``text``."""

    def check(outcome: Outcome) -> None:
        if "preview" in outcome.command:
            assert text in outcome.text, outcome.text

    return {"commands": PREVIEW, "check": check}


def symlink(target: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        put(None)(folder)
        (folder / "secret.txt").write_text(SECRET, encoding="utf-8")
        (folder / "images" / "x.txt").symlink_to(target)

    return make


def pair(folder: Path) -> None:
    put(CAPTION)(folder)
    (folder / "images" / "x.jpg").write_bytes(encoded(noise(seed=12), "JPEG"))


def upper(folder: Path) -> None:
    put(None)(folder)
    (folder / "images" / "X.txt").write_text(CAPTION, encoding="utf-8")


def orphan(folder: Path) -> None:
    (write_good(folder) / "left.txt").write_text(CAPTION, encoding="utf-8")


def many(count: int, caption: bytes) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        images = write_good(folder)
        for number in range(count):
            (images / f"m{number:03}.png").write_bytes(encoded(noise(16, 16, seed=100 + number)))
            (images / f"m{number:03}.txt").write_bytes(caption)

    return make


def jsonl(folder: Path) -> None:
    put(None)(folder)
    rows = '{"file_name": "x.png", "text": "a"}\n' * 16 + "{broken\n" + '{"file_name": "../../etc/passwd"}\n{"file_name": "http://a/b.png"}\n'
    (folder / "images" / "metadata.jsonl").write_text(rows, encoding="utf-8")


def long(folder: Path) -> None:
    put("a square, " + "very " * 200 + "long, by Tiny")(folder)


def no_tag(folder: Path) -> None:
    put("a square, ink")(folder)
    (folder / "images" / "good-0.txt").write_text("a square", encoding="utf-8")


def formula_everywhere(folder: Path) -> None:
    put("=cmd|' /C calc'!A0, by Tiny")(folder)
    write_spec(folder)


def no_formula(outcome: Outcome) -> None:
    """No table for spreadsheets is written, so no cell can be a formula."""
    assert not [file for file in outcome.files if file.endswith((".csv", ".tsv", ".xlsx"))]


SCRIPTS = (
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "</script><svg/onload=alert(1)>", "{{7*7}}", "javascript:alert(1)",
)

CASES = (
    bad("C01", "no caption", "E-CAP-MISSING", put(None), "1 of 3 images without a caption: x.png", "[captions.captioner]"),
    bad("C02", "an empty caption", "E-CAP-EMPTY", put(""), "x.png"),
    bad("C02", "white space for a caption", "E-CAP-EMPTY", put(" \n\t\u2003\n"), "x.png", variant="space"),
    odd("C03", "a byte order mark", "W-CAP-BOM", put("a square, café, by Tiny".encode("utf-8-sig")), commands=PREVIEW[:1], variant="told"),
    Case("C03", "a byte order mark is no part of the caption", put("a square, café, by Tiny".encode("utf-8-sig")), (), 0, PREVIEW[2:],
         check=one_line),
    bad("C04", "UTF-16, little end first", "E-CAP-ENCODING", put(CAPTION.encode("utf-16")), "x.txt", "is UTF-16", variant="le"),
    bad("C04", "UTF-16, big end first", "E-CAP-ENCODING", put(b"\xfe\xff" + CAPTION.encode("utf-16-be")), "is UTF-16", variant="be"),
    bad("C04", "UTF-16 without a mark", "E-CAP-ENCODING", put(CAPTION.encode("utf-16-le")), "UTF-16 without a mark", variant="bare"),
    bad("C05", "a byte of Windows-1252", "E-CAP-ENCODING", put("a square,\nl\u2019encre".encode("cp1252")),
        "x.txt", "line 2, column 2", "byte 0x92", "'\u2019' in Windows-1252"),
    bad("C06", "cut in the middle of a letter", "E-CAP-ENCODING", put("a square, café".encode()[:-1]), "line 1, column 14", "cut short"),
    bad("C07", "NUL", "E-CAP-CONTROL", put("a square\0, by Tiny"), "U+0000", variant="nul"),
    bad("C07", "several control characters", "E-CAP-CONTROL", put("a\x07 \x7f\x1c square, by Tiny"), "U+0007, U+001C, U+007F",
        variant="several"),
    *(Case("C08", "lines and line ends", put(text.encode()), (), 0, PREVIEW[2:], check=one_line, variant=variant) for variant, text in {
        "crlf": "a square,\r\ncafé, by Tiny\r\n", "cr": "a square,\rcafé, by Tiny", "lf": "a square,\ncafé,\nby Tiny\n\n",
        "u2028": "a square,\u2028café,\u2029by Tiny",
    }.items()),
    odd("C09", "letters in pieces", "W-CAP-NORM", put("a square, cafe\u0301, by Tiny"), "x.png", variant="told"),
    Case("C09", "letters in pieces reach training whole", put("a square, cafe\u0301, by Tiny"), (), 0, PREVIEW[2:], check=one_line),
    odd("C10", "text that reads backwards", "W-CAP-INVISIBLE", put("a square, \u202eyniT yb, by Tiny"), "x.png (U+202E)", variant="bidi"),
    odd("C10", "zero width", "W-CAP-INVISIBLE", put("a squ\u200bare\u2060\u00ad, by Tiny"), "U+00AD, U+200B, U+2060", variant="zero"),
    odd("C10", "tags that nobody sees", "W-CAP-INVISIBLE", put("a square\U000e0041, by Tiny"), "U+E0041", variant="tags"),
    odd("C10", "a joiner inside an emoji is part of it", "", put("\U0001f468\u200d\U0001f3a8 a square, by Tiny"), variant="emoji"),
    bad("C11", "1 MB", "E-CAP-SIZE", put("a " * 500_000), "x.txt", "64 KiB"),
    Case("C12", "more tokens than the text encoder reads", long, ("W-CAP-TOKENS",), 0, (("run", "spec.toml"),), ("x.png (",),
         torch=True),
    *(odd("C13", "markup is text", "", put(f"a square, {text}, by Tiny"), variant=str(number),
          **seen(text if "\"" not in text else "onerror"))
      for number, text in enumerate(SCRIPTS)),
    bad("C14", "clears the screen", "E-CAP-CONTROL", put("a square\x1b[2J, by Tiny"), "U+001B", variant="esc"),
    bad("C14", "a link for the terminal", "E-CAP-CONTROL", put("\x1b]8;;http://example.org\x07a\x1b]8;;\x07"), "U+0007, U+001B",
        variant="osc"),
    bad("C14", "the same in one byte", "E-CAP-CONTROL", put("a \u009b31m square"), "U+009B", variant="c1"),
    odd("C14", "a line written over", "", put("by Tiny, a square\rnothing wrong"), variant="cr", **seen("a square nothing wrong")),
    Case("C14", "backwards in the preview", put("a \u202esquare, by Tiny"), (), 0, PREVIEW[1:2], ("\\u202esquare",), variant="bidi"),
    bad("C15", "a link to a secret", "E-PATH-SYMLINK", symlink("../secret.txt"), "x.txt", never=("root:x", "secret"), variant="above"),
    bad("C15", "a link to the users of this machine", "E-PATH-SYMLINK", symlink("/etc/passwd"), never=("root:",), variant="etc"),
    bad("C16", "one caption for two images", "E-CAP-AMBIGUOUS", pair, "x.png", "x.jpg"),
    bad("C17", "another case", "E-CAP-CASE", upper, "X.txt, not x.txt"),
    odd("C18", "a caption without an image", "W-CAP-ORPHAN", orphan, "left.txt"),
    bad("C19", "captions in metadata.jsonl: not read, so its lines can do nothing", "E-CAP-MISSING", jsonl, "x.png",
        never=("passwd", "http")),
    *(odd("C20", "prompt syntax", "W-CAP-SYNTAX", put(f"a square, {text}, by Tiny"), "x.png", variant=str(number)) for number, text in
      enumerate(("(ink:1.2)", "{ink|chalk}", "__color__", "<lora:x:1>"))),
    odd("C20", "brackets that are none", "", put("a square (ink, 1850), ratio 1:2, by Tiny"), variant="plain"),
    odd("C21", "the style tag is missing", "W-CAP-TRIGGER", no_tag, "2 of 3 captions", "good-0.png, x.png"),
    odd("C22", "a formula for a spreadsheet", "", formula_everywhere, check=no_formula),
    bad("C05", "120 captions of another encoding", "E-CAP-ENCODING", many(120, b"a \x92"), "m000.png", "m049.png",
        "... and 70 more errors", "120 errors", never=("m050.png",), variant="many"),
    odd("C10", "120 captions with something invisible", "W-CAP-INVISIBLE", many(120, "a\u200b square, by Tiny".encode()), "120 captions",
        "and 112 more", never=("m008.png",), variant="many"),
)
