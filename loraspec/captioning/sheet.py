"""Captions as one text to edit, as `git rebase -i` has commits: a mark and a caption for each image, and what to remark as comments."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from attrs import frozen

from loraspec.captioning.items import Item
from loraspec.captionlint.rules import Finding
from loraspec.drafts import cleaned
from loraspec.ledger import State, plain

MARKS = ("ok", "keep", "reject")
HEAD = """\
# The captions of {spec}. Edit the words; lines that begin with # are left out.
# The mark before an image says what becomes of its caption:
#   [ok]      it is approved
#   [keep]    it stays as it is; with other words it is edited
#   [reject]  a captioner may draft it again
# An image whose lines are taken out is left alone. Close the editor to go on; an empty file changes nothing.
"""
_MARK = re.compile(r"\[([a-z]*)\]\s+(.+?)\s*")


class SheetError(ValueError):
    """A sheet that cannot be understood: nothing of it is applied."""


@frozen(eq=False)
class Change:
    """What the sheet says of one image."""

    item: Item
    text: str
    state: State


def sheet(items: Sequence[Item], findings: Mapping[str, Sequence[Finding]], *, spec: str) -> str:
    """Return the text to edit."""
    parts = [HEAD.format(spec=spec)]
    for item in items:
        state = "" if item.state == "found" else f"# {item.state}\n"
        told = "".join(f"# {one.code} {one.message}\n" for one in findings.get(item.key, ()))
        parts.append(f"[{'ok' if item.state == 'approved' else 'keep'}] {item.key}\n{plain(item.text or '')}\n{state}{told}")
    return "\n".join(parts)


def changes(text: str, items: Sequence[Item]) -> list[Change]:
    """Return what an edited sheet changes.

    Raises:
        SheetError: An unknown mark or image, an image twice, or words that are no caption.
    """
    by_key, found = {item.key: item for item in items}, dict[str, tuple[str, list[str]]]()
    current: list[str] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#"):
            continue
        mark = _MARK.fullmatch(line)
        if mark is not None and mark[2] in by_key:
            if mark[1] not in MARKS:
                raise SheetError(f"line {number}: [{mark[1]}] is no mark; marks are {', '.join(f'[{name}]' for name in MARKS)}")
            if mark[2] in found:
                raise SheetError(f"line {number}: {mark[2]} stands twice")
            current = []
            found[mark[2]] = (mark[1], current)
        elif mark is not None and mark[1] in MARKS:
            raise SheetError(f"line {number}: {mark[2]!r} is no image of this sheet")
        elif line.strip():
            if current is None:
                raise SheetError(f"line {number}: words before the first image")
            current.append(line)
    made = []
    for key, (mark_of, lines) in found.items():
        change = _change(by_key[key], mark_of, " ".join(lines))
        if change is not None:
            made.append(change)
    return made


def _change(item: Item, mark: str, words: str) -> Change | None:
    if not words.strip():
        if item.text is None or mark == "keep":
            return None
        raise SheetError(f"{item.key}: no words are left; take its lines out to leave it alone")
    try:
        text = cleaned(words)
    except ValueError as error:
        raise SheetError(f"{item.key}: {str(error).replace('the answer', 'its caption')}") from None
    same = text == plain(item.text or "")
    state: State = {"ok": "approved", "reject": "rejected"}.get(mark, "edited")  # type: ignore[assignment]
    if same and (mark == "keep" or item.state == state):
        return None
    return Change(item, text, state)
