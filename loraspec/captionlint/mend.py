"""What ``--fix`` makes of a caption: the same words, put in order."""

from __future__ import annotations

import re
import unicodedata

from loraspec.captionlint.rules import Caption, Setting, bare, same
from loraspec.captions import flatten, join

FIXED = frozenset({"C004", "C106", "C107", "C113", "C115"})


def mended(caption: Caption, setting: Setting) -> str | None:
    """Return the text that a caption's file should hold; None when there is nothing to put in order.

    Line breaks become spaces, semicolons separators; empty and repeated descriptors go; the style tag stands once, as a
    descriptor of its own, at the end when it was missing. Words are never changed, nor is a tag that is not quite the tag.
    """
    if not caption.descriptors:
        return None
    mark = setting.separator.strip() or setting.separator
    line = flatten(unicodedata.normalize("NFC", caption.text or ""))
    parts = [part.strip() for part in (line if mark == ";" else line.replace(";", mark)).split(mark)]
    tag = setting.style_tag
    if tag:
        parts = [one for part in parts for one in _apart(part, tag)]
    kept: dict[str, str] = {}
    for part in parts:
        if part:
            kept.setdefault(same(part), part)
    near = any(bare(part) == bare(tag) for part in kept.values())
    if tag and not near and same(tag) not in kept and same(tag) not in map(same, setting.ensured):
        kept[same(tag)] = tag
    text = join(tuple(kept.values()), setting.separator)
    return None if text == (caption.text or "").strip() else text


def _apart(part: str, tag: str) -> list[str]:
    """Return what stands before the style tag in a descriptor, the tag, and what stands behind it."""
    found = re.search(rf"(?<!\w){re.escape(tag)}(?!\w)", part, re.IGNORECASE)
    if found is None or same(part) == same(tag):
        return [part]
    return [side for side in (part[: found.start()].strip(), tag, part[found.end() :].strip()) if side]
