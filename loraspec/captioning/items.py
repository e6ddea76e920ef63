"""The captions of a spec's images with what the ledger says of them; and the one way in which they are changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from loraspec.errors import Problem
from loraspec.ledger import PERSON, Entry, Ledger, Ledgers, State, entry_of, ledger_path, plain, standing
from loraspec.scan import scanned
from loraspec.textfile import NotTextError, TooLargeError, decode, read_plain
from loraspec.values import Sample

if TYPE_CHECKING:
    from loraspec.plan import Plan

MOST = 64 * 1024  # bytes of a caption's file


class ChangedError(Exception):
    """A caption is not what it was when it was looked at; ``item`` is what it is now."""

    def __init__(self, item: Item) -> None:
        self.item = item
        super().__init__(f"{item.key}: its caption was changed meanwhile")


@frozen(eq=False)
class Item:
    """An image and its caption.

    Attributes:
        sample: The image; its caption is what the source itself says.
        own: Its key inside its source.
        sha256: Of the image's bytes.
        ledger: Path of its ledger.
        entry: The ledger's last one about it.
    """

    sample: Sample
    own: str
    sha256: str
    ledger: Path
    entry: Entry | None = None

    @property
    def key(self) -> str:
        """The image's key in the data."""
        return self.sample.key

    @property
    def text(self) -> str | None:
        """The caption as it stands, None without one."""
        return standing(self.entry, self.sample.caption, filed=self.filed)[0]

    @property
    def state(self) -> str:
        """``draft``, ``edited``, ``approved``, ``rejected``, ``found`` (nobody looked at it yet) or ``missing``."""
        text, state = standing(self.entry, self.sample.caption, filed=self.filed)
        return "missing" if text is None else state or "found"

    @property
    def filed(self) -> bool:
        """Whether the caption has a file of its own."""
        return self.sample.caption_path is not None

    @property
    def outside(self) -> bool:
        """Whether somebody changed the caption without the ledger's knowledge."""
        return self.state == "edited" and self.entry is not None and plain(self.text or "") != plain(self.entry.text)


def items_of(plan: Plan) -> tuple[list[Item], list[Problem]]:
    """Return every image that can be read, sorted by key, and what is wrong with the others.

    Raises:
        EnvironmentMissing: A source or a ledger is not there, or cannot be read.
    """
    found, problems = scanned(plan, told=False)
    ledgers, several = Ledgers(), len(plan.many("data_source")) > 1
    keys: dict[int, set[str]] = {}
    for source, sample in found:
        keys.setdefault(source, set()).add(_own(source, sample.key, several))
    items = []
    for source, sample in sorted(found, key=lambda pair: pair[1].key):
        own, path = _own(source, sample.key, several), ledger_path(sample.home, plan.document.path)
        content = hashlib.sha256(sample.read()).hexdigest()
        items.append(Item(sample, own, content, path, entry_of(ledgers.of(path), content, own, keys=keys[source])))
    return items, problems


def _own(source: int, key: str, several: bool) -> str:
    return key.removeprefix(f"{source + 1}/") if several else key


def write(item: Item, text: str, state: State, *, author: str = PERSON, settings: str = "", seconds: float = 0.0) -> Item:
    """Give an image a caption and a state: first in the ledger, then in its file; return what it is now.

    Raises:
        EnvironmentMissing: The ledger cannot be written.
        OSError: The caption's file cannot be written; the ledger says what it should hold.
        ChangedError: The caption's file, or the ledger, is not what it was.
    """
    return write_all([(item, text, state)], author=author, settings=settings, seconds=seconds)[0]


def write_all(
    changes: Sequence[tuple[Item, str, State]], *, author: str = PERSON, settings: str = "", seconds: float = 0.0,
    ledgers: Ledgers | None = None,
) -> list[Item]:
    """The same for several images, each ledger in one piece. An empty text takes a caption away.

    Raises:
        EnvironmentMissing, OSError, ChangedError: See ``write``; nothing was written when a caption was changed meanwhile.
    """
    from loraspec.engine.disk import discard, write_file

    for item, now in zip([item for item, *_ in changes], refreshed([item for item, *_ in changes], ledgers), strict=True):
        if (now.text, now.state) != (item.text, item.state):
            raise ChangedError(now)
    entries = [
        (item, Entry(item.sha256, item.own, plain(text), state, author, None if item.filed else item.sample.caption, settings, seconds))
        for item, text, state in changes
    ]
    for path in dict.fromkeys(item.ledger for item, _ in entries):
        Ledger(path).append(entry for item, entry in entries if item.ledger == path)
    made = []
    for item, entry in entries:
        sample = item.sample
        if sample.caption_path is not None:
            if not entry.text and sample.caption_path.exists():
                discard(sample.caption_path)
            elif entry.text and (sample.caption is None or plain(sample.caption) != entry.text):
                write_file(sample.caption_path, f"{entry.text}\n".encode())
            sample = evolve(sample, caption=entry.text or None)
        made.append(evolve(item, sample=sample, entry=entry))
    return made


def refreshed(items: Iterable[Item], ledgers: Ledgers | None = None) -> list[Item]:
    """Return items as their files and ledgers have them now; ``ledgers`` that are kept spare reading what did not change.

    Raises:
        EnvironmentMissing: A ledger cannot be read.
    """
    ledgers, found = ledgers or Ledgers(), []
    for item in items:
        entry = ledgers.of(item.ledger).get((item.sha256, item.own), item.entry)
        path = item.sample.caption_path
        sample = item.sample if path is None else evolve(item.sample, caption=_text(path))
        found.append(evolve(item, sample=sample, entry=entry))
    return found


def note_outside(items: Sequence[Item]) -> list[Item]:
    """Enter in the ledger what was edited elsewhere; return all items.

    Raises:
        EnvironmentMissing: A ledger cannot be written.
    """
    changed = iter(write_all([(item, item.text or "", "edited") for item in items if item.outside]))
    return [next(changed) if item.outside else item for item in items]


def _text(path: Path) -> str | None:
    try:
        return plain(decode(read_plain(path, MOST))[0])
    except (OSError, NotTextError, TooLargeError):
        return None
