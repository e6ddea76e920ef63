"""A person's review of captions: what the page shows, what it changes, and how that is taken back. Knows no HTTP."""

from __future__ import annotations

import io
import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, get_args

from attrs import asdict, define

from loraspec.captioning.items import ChangedError, Item, items_of, note_outside, refreshed, write_all
from loraspec.captionlint.data import of_images
from loraspec.captionlint.gather import setting_of
from loraspec.captionlint.rules import Caption, Finding, one_by_one, tokens_of
from loraspec.captionlint.together import all_together
from loraspec.drafts import LONGEST, cleaned
from loraspec.imagefile import ImageError
from loraspec.ledger import Ledgers, State, plain
from loraspec.scan import scanned

if TYPE_CHECKING:
    from loraspec.plan import Plan

LARGE, SMALL = 1600, 160  # px, longest side of pictures and of thumbnails
KEPT = 600  # encoded pictures
AT_ONCE = 100  # captions looked at before the page hears of them
STATES = get_args(State)


@define
class Row:
    """An image on the page.

    Attributes:
        item: Image and caption.
        alone: What the rules of one caption find.
        together: What the rules of all captions find.
        pictured: What the rules of images find.
        tokens: Of the caption.
        version: Grows with every change, over all rows.
    """

    item: Item
    alone: tuple[Finding, ...] = ()
    together: tuple[Finding, ...] = ()
    pictured: tuple[Finding, ...] = ()
    tokens: int = 0
    version: int = 0


class Review:
    """A review. Every method may be called from several threads.

    Args:
        plan: Whose captions.

    Raises:
        EnvironmentMissing: Data or ledger are not here, or the ledger cannot be written.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        items, self.problems = items_of(plan)
        self.rows = [Row(item) for item in note_outside(items)]
        self.setting = setting_of(plan)
        self._ignored = frozenset(plan.spec.captions.lint.ignore)
        self._undo: list[list[tuple[int, str | None, str, str | None]]] = []  # (row, text and state before, text after)
        self._pictures: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._ledgers, self._lock = Ledgers(), threading.RLock()
        self._version, self._closed = 0, False

    def _told(self, one: Finding) -> bool:
        return one.code not in self._ignored

    # -- what is shown -------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return what does not change, and every row."""
        captions, setting = self.plan.spec.captions, self.setting
        return {
            "spec": self.plan.document.path.name, "separator": captions.separator, "tag": setting.style_tag, "limit": setting.max_tokens,
            "exact": setting.tokens is not None, "encoders": len(self.plan.model.text_widths), "required": captions.review == "required",
            "unreadable": sum(problem.severity == "error" for problem in self.problems), "longest": LONGEST, **self.since(-1),
        }  # fmt: skip

    def since(self, version: int) -> dict[str, Any]:
        """Return the rows that changed after ``version``, and the version now."""
        with self._lock:
            changed = [self.plain(number) for number, row in enumerate(self.rows) if row.version > version]
            return {"version": self._version, "undo": len(self._undo), "rows": changed}

    def plain(self, number: int) -> dict[str, Any]:
        """Return a row as plain data."""
        row = self.rows[number]
        entry, state = row.item.entry, row.item.state
        author = entry.author if entry is not None and state not in ("missing", "found") else ""
        findings = sorted({(one.code, one.severity, one.message) for one in (*row.alone, *row.together, *row.pictured)})
        return {"n": number, "key": row.item.key, "text": row.item.text, "state": state, "author": author, "tokens": row.tokens,
                "lint": [{"code": code, "severity": severity, "message": message} for code, severity, message in findings]}  # fmt: skip

    def fresh(self, number: int) -> dict[str, Any]:
        """Look at a row's files again (another program may have changed them) and return it."""
        with self._lock:
            [now] = refreshed([self.rows[number].item], self._ledgers)
            if (now.text, now.state) != (self.rows[number].item.text, self.rows[number].item.state):
                [now] = note_outside([now])
                self._put(number, now)
            return self.plain(number)

    def lint_text(self, number: int, text: str) -> dict[str, Any]:
        """Return what would be said of another text."""
        caption = Caption(self.rows[number].item.key, plain(text), self.setting.separator)
        found = [asdict(one) for one in one_by_one([caption], self.setting) if self._told(one)]
        return {"tokens": tokens_of(caption.line, self.setting), "lint": found}

    def picture(self, number: int, *, side: int = LARGE) -> bytes | None:
        """Return an image as WebP, the pixels alone; None when it cannot be read any more."""
        with self._lock:
            if (number, side) in self._pictures:
                self._pictures.move_to_end((number, side))
                return self._pictures[number, side]
        from loraspec.images import decode

        try:
            image = decode(self.rows[number].item.sample.read())
        except (OSError, ValueError, ImageError):
            return None
        image.thumbnail((side, side))
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=90 if side == LARGE else 80, method=2)
        with self._lock:
            self._pictures[number, side] = buffer.getvalue()
            while len(self._pictures) > KEPT:
                self._pictures.popitem(last=False)
        return buffer.getvalue()

    # -- what is changed -----------------------------------------------------------------------------------------------

    def save(self, number: int, *, seen: str | None, text: str, state: str) -> bool:
        """Write a caption; False when it is not ``seen`` any more.

        Raises:
            ValueError: The text is no caption, or the state none.
            EnvironmentMissing, OSError: It cannot be written.
        """
        return self._write([(number, seen, cleaned(text), _state(state))])

    def replace(self, numbers: Sequence[int], find: str, by: str, *, case: bool, apply: bool) -> dict[str, Any]:
        """Replace text in the captions of some rows, or only say what would become of them.

        Raises:
            ValueError: Nothing to find, or a caption would be empty.
            EnvironmentMissing, OSError: See ``save``.
        """
        if not find:
            raise ValueError("write what is to be found")
        pattern = re.compile(re.escape(find), 0 if case else re.IGNORECASE)
        with self._lock:
            changes = []
            for number in sorted({number for number in numbers if 0 <= number < len(self.rows)}):
                before = self.rows[number].item.text
                after = pattern.sub(lambda _: by, before) if before is not None else None
                if before is None or after is None or after == before:
                    continue
                try:
                    changes.append((number, before, cleaned(after)))
                except ValueError as error:
                    raise ValueError(f"{self.rows[number].item.key}: {str(error).replace('the answer', 'the caption')}") from None
            done = apply and self._write([(number, before, after, "edited") for number, before, after in changes])
            return {"applied": done, "changes": [{"n": number, "before": before, "after": after} for number, before, after in changes]}

    def undo(self) -> int | None:
        """Take the last change back; return the row that it was about, None when there is none or it changed since.

        Raises:
            EnvironmentMissing, OSError: See ``save``.
        """
        with self._lock:
            if not self._undo:
                return None
            last = self._undo.pop()
            back = [(number, after, text or "", _state("found" if state == "missing" else state)) for number, text, state, after in last]
            return last[0][0] if self._write(back, kept=False) else None

    def _write(self, changes: Sequence[tuple[int, str | None, str, State]], *, kept: bool = True) -> bool:
        with self._lock:
            befores = [(number, self.rows[number].item.text, self.rows[number].item.state) for number, *_ in changes]
            if any(text != seen for (_, text, _), (_, seen, _, _) in zip(befores, changes, strict=True)):
                return False
            try:
                made = write_all([(self.rows[number].item, text, state) for number, _, text, state in changes], ledgers=self._ledgers)
            except ChangedError as error:
                number = next(number for number, *_ in changes if self.rows[number].item.key == error.item.key)
                self._put(number, note_outside([error.item])[0])
                return False
            for (number, *_), item in zip(changes, made, strict=True):
                self._put(number, item)
            if kept and changes:
                self._undo.append([(*before, item.text) for before, item in zip(befores, made, strict=True)])
            return True

    def _put(self, number: int, item: Item) -> None:
        """Take a row's item over, and look at its caption."""
        row = self.rows[number]
        row.item = item
        self._look(row)
        self._version += 1
        row.version = self._version

    # -- lint ----------------------------------------------------------------------------------------------------------

    def lint(self) -> None:
        """Look at every caption, first each by itself, then all together, and at the images; the page hears of it on the way."""
        for start in range(0, len(self.rows), AT_ONCE):
            with self._lock:
                if self._closed:
                    return
                self._version += 1
                for row in self.rows[start : start + AT_ONCE]:
                    self._look(row)
                    row.version = self._version
        self.lint_together()
        self.lint_images()

    def lint_images(self) -> None:
        """Look at the images once: no edit of a caption changes what is found."""
        found: dict[str, list[Finding]] = {}
        for one in filter(self._told, of_images(self.plan, *scanned(self.plan))):
            found.setdefault(one.image, []).append(one)
        with self._lock:
            self._version += 1
            for row in self.rows:
                row.pictured = tuple(found.get(row.item.key, ()))
                row.version = self._version if row.pictured else row.version

    def lint_together(self) -> None:
        """Look at all captions at once."""
        with self._lock:
            captions = [self._caption(row) for row in self.rows]
        found: dict[str, list[Finding]] = {}
        for one in filter(self._told, all_together(captions, self.setting)):
            found.setdefault(one.image, []).append(one)
        with self._lock:
            self._version += 1
            for row in self.rows:
                told = tuple(found.get(row.item.key, ()))
                if told != row.together:
                    row.together, row.version = told, self._version

    def close(self) -> None:
        """Let a lint that is going on end early."""
        self._closed = True

    def _look(self, row: Row) -> None:
        caption = self._caption(row)
        row.alone = tuple(filter(self._told, one_by_one([caption], self.setting)))
        row.tokens = tokens_of(caption.line, self.setting)

    def _caption(self, row: Row) -> Caption:
        return Caption(row.item.key, row.item.text, self.setting.separator, row.item.sample.caption_path)


def _state(text: str) -> State:
    found: State | None = next((one for one in STATES if one == text), None)
    if found is None:
        raise ValueError(f"{text!r} is no state")
    return found
