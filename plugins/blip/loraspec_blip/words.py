"""From a model's sentences to descriptors, as the guide's captions have them; imports nothing heavy."""

from __future__ import annotations

import re

_PICTURE = "(?:image|picture|photo|photograph|painting|illustration|drawing)"
_OPENINGS = re.compile(
    rf"^(?:(?:in|at|on) (?:the|this) {_PICTURE},? |"
    rf"(?:the|this) {_PICTURE} (?:shows|depicts|is of|is|features|contains|captures) |"
    rf"(?:a|an) {_PICTURE} (?:of|showing) |a close[ -]up of |"
    r"(?:this is|there (?:is|are)|we (?:can )?see|it (?:is|shows|depicts)) )+",
    re.IGNORECASE,
)  # fmt: skip
_MARKS = re.compile(r"</?s>|<pad>|<unk>|\[(?:CLS|SEP|PAD|UNK)\]")
_ENDS = re.compile(r"(?<=[^\W_])[)\"']?\s*[.!?;]+(?:\s+|$)")
_SMALL = {
    "a", "an", "the", "in", "on", "at", "he", "she", "they", "it", "his", "her", "their", "there", "two", "three", "several", "some",
    "many", "behind", "around", "next", "to",
}  # fmt: skip


def descriptors(text: str, style_tag: str = "") -> str:
    """Return a model's answer as descriptors: sentences apart, openings that show nothing taken off, the style tag at the end.

    Args:
        text: The answer.
        style_tag: Added as a descriptor of its own unless it stands there; "" adds nothing.
    """
    plain = " ".join(_MARKS.sub(" ", text).split())
    found = [_begun(part.strip(" ,.")) for part in _ENDS.split(plain)]
    if style_tag and style_tag.casefold() not in plain.casefold():
        found.append(style_tag)
    return ", ".join(part for part in found if part)


def _begun(sentence: str) -> str:
    rest = _OPENINGS.sub("", sentence).strip(" ,")
    first = rest.partition(" ")[0]
    return rest[0].lower() + rest[1:] if first.lower() in _SMALL and first[1:] == first[1:].lower() else rest
