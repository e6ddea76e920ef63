"""What is odd in single files and passes, as one warning for each kind: a good data set has none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from attrs import field, frozen

from loraspec import Problem

SHOWN = 8  # names in one warning; the rest is counted

_TOLD = {
    "W-CAP-BOM": ("captions begin with a byte order mark, which is taken off", "save them as UTF-8 without one"),
    "W-CAP-NORM": ("captions have letters in pieces (not in Unicode's form NFC); they are put together", "save them in form NFC"),
    "W-CAP-INVISIBLE": ("captions hold characters that cannot be seen and are trained as they are", "take them out"),
    "W-CAP-SYNTAX": ("captions hold what looks like prompt syntax; it is text to all but wildcard", "write (word:1.2) as word"),
    "W-IMG-EXT": ("images have another format than their name says; they are read by content", "rename them"),
    "W-IMG-EXIF": ("images hold EXIF data that cannot be read; they are taken as they lie", "look whether they lie on their side"),
    "W-IMG-ICC": ("images have a colour profile that is not sRGB; it is passed over, so colours shift", "convert them to sRGB"),
    "W-IMG-FLAT": ("images have one colour only", "take them out, or get them again"),
    "W-IMG-TRAILING": ("images hold something behind their end, which is passed over", "save them anew"),
    "W-IMG-GREY": ("images are grey while others are in colour", "take them out if the style has colours"),
    "W-IMG-FORMAT": ("files are images of kinds that are not read", "save them as PNG, JPEG or WebP"),
    "W-CAP-FOLDER": ("images have no caption; the words of their folder are taken", "write a caption for each: loraspec captions draft"),
    "W-DATA-OUTSIDE": ("images lie outside folders named NUMBER_WORDS and are not used", "move them, or leave it so"),
    "W-FETCH-STRANGER": ("images in this folder were not fetched, and are not used", "put them into a folder of their own"),
    "W-CAP-ORPHAN": ("captions have no image", "they may be left over from a renamed one"),
    "W-DATA-DUP": ("images show the same pixels as another one", "keep one of each, or raise data.repeats"),
}


@frozen(eq=False)
class Remarks:
    """Collects (code, key, detail)."""

    _found: dict[str, list[str]] = field(init=False, factory=lambda: defaultdict(list))

    def add(self, code: str, key: str, detail: str = "") -> None:
        """Note one file."""
        self._found[code].append(f"{key} ({detail})" if detail else key)

    def problems(self) -> Iterator[Problem]:
        """Yield one warning per code, in the order of the codes."""
        for code in sorted(self._found):
            named = sorted(self._found[code])
            rest = len(named) - SHOWN
            message, hint = _TOLD[code]
            shown = ", ".join(named[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")
            yield Problem("", f"{len(named)} {message}: {shown}", hint, severity="warning", code=code)
