"""Captions in text files: strict in encoding, one line, in Unicode's composed form; what cannot be seen in them is told."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from attrs import frozen

from loraspec import Problem
from loraspec.captions import flatten
from loraspec.escape import code_point
from loraspec.textfile import NotTextError, TooLargeError, decode, read_plain

MAX_CAPTION = 64 * 1024  # bytes
_SYNTAX = re.compile(
    r"\([^()\n]{1,200}:\s*-?[0-9.]+\s*\)|\[[^\[\]\n]{1,200}:\s*-?[0-9.]+\s*\]|\{[^{}\n]{0,200}\|[^{}\n]{0,200}\}"
    r"|(?<!\w)__[\w/-]{1,80}__(?!\w)|<(?:lora|lyco|hypernet|embedding):"
)
_JOINER = "\u200d"


@frozen
class Caption:
    """A caption as it is trained: ``text``, and (code, detail) of what is odd in its file."""

    text: str
    remarks: tuple[tuple[str, str], ...] = ()


def read_caption(key: str, path: Path) -> Caption | Problem:
    """Return the caption of image ``key``, or why its file is none."""
    try:
        text, mark = decode(read_plain(path, MAX_CAPTION))
    except NotTextError as error:
        message = f"its caption {path.name} {error.message} in line {error.line}, column {error.column}"
        return Problem(key, message, "save it as UTF-8", code="E-CAP-ENCODING")
    except TooLargeError as error:
        return Problem(key, f"its caption {path.name} {error}", "a caption is a line of text", code="E-CAP-SIZE")
    except OSError as error:
        return Problem(key, f"its caption {path.name} cannot be read: {error.strerror or error}", code="E-CAP-READ")
    return caption_of(key, text, mark=mark, name=path.name)


def caption_of(key: str, text: str, *, mark: bool = False, name: str = "") -> Caption | Problem:
    """Return the caption of image ``key`` from its text; ``mark``: its file, of this name, began with a byte order mark."""
    control = sorted({code_point(sign) for sign in text if unicodedata.category(sign) in ("Cc", "Cs") and sign not in "\t\n\r\x85"})
    if control:
        message = f"its caption{f' {name}' if name else ''} holds control characters: {', '.join(control[:8])}"
        return Problem(key, message, "take them out", code="E-CAP-CONTROL")
    composed = unicodedata.normalize("NFC", text)
    hidden = ", ".join(sorted(set(map(code_point, _invisible(composed)))))
    found = {"W-CAP-BOM": mark, "W-CAP-NORM": composed != text, "W-CAP-INVISIBLE": bool(hidden), "W-CAP-SYNTAX": bool(_SYNTAX.search(text))}
    remarks = tuple((code, hidden if code == "W-CAP-INVISIBLE" else "") for code, there in found.items() if there)
    return Caption(flatten(composed), remarks)


def _invisible(text: str) -> list[str]:
    """Return the characters that are not seen; the joiner inside an emoji is part of it."""
    return [
        sign
        for at, sign in enumerate(text)
        if unicodedata.category(sign) == "Cf" and not (sign == _JOINER and at and unicodedata.category(text[at - 1]) in ("So", "Sk", "Mn"))
    ]
