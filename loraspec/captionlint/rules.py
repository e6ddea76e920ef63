"""The rules: each looks at one caption, or at all of them, and yields findings."""

from __future__ import annotations

import itertools
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from attrs import field, frozen

from loraspec.captionlint.words import (
    BACKDROP,
    BACKDROP_PHRASES,
    COLOURS,
    FILLER,
    GENERIC,
    MEDIA,
    SIZES,
    TEXTURES,
    has,
    words_of,
)
from loraspec.captions import flatten, split

Severity = Literal["error", "warning", "info"]
ARTICLES = ("a", "an", "the")
MOST_MEDIUM, FEW = 0.8, 8  # share of captions that make a medium common; captions below which shares say nothing


@frozen(eq=False)
class Caption:
    """A caption as it lies in its file.

    Attributes:
        key: The image's.
        text: As written, line breaks and all; None when there is none.
        separator: Of the spec.
        path: Its file, where it has one.
    """

    key: str
    text: str | None
    separator: str
    path: Path | None = None

    @property
    def line(self) -> str:
        """The caption as it is trained: on one line, composed."""
        return flatten(unicodedata.normalize("NFC", self.text or ""))

    @property
    def descriptors(self) -> tuple[str, ...]:
        """What it consists of, without empty ones."""
        return tuple(part for part in split(self.line, self.separator) if part)


@frozen
class Setting:
    """What the spec says of captions.

    Attributes:
        separator, style_tag, first_prefix, max_tokens: As in ``[captions]``.
        ensured: Descriptors that a transform adds to every caption.
        min_descriptors, near, fused: As in ``[captions.lint]``.
        drafted: Whether a captioner writes what is missing.
        tokens: Counts the tokens of a text, start and end left out; None when there is no tokenizer.
    """

    separator: str = ","
    style_tag: str = ""
    first_prefix: str = ""
    max_tokens: int = 75
    ensured: tuple[str, ...] = ()
    min_descriptors: int = 5
    near: float = 0.92
    fused: float = 0.85
    drafted: bool = False
    tokens: Callable[[str], int] | None = field(default=None, eq=False, repr=False)


@frozen
class Finding:
    """What a rule found.

    Attributes:
        code: ``C102``.
        severity: ``error`` keeps the exit code from being 0.
        image: The image's key; "" for all of them.
        message: What was found, and what would be right.
        fixable: Whether ``--fix`` mends it.
    """

    code: str
    severity: Severity
    image: str
    message: str
    fixable: bool = False


Rule = Callable[[Caption, Setting], Iterable[str]]
ONE: dict[str, tuple[Severity, bool, Rule]] = {}
"""Rules of one caption by code: severity, whether it can be mended, and what yields messages."""


def rule(code: str, severity: Severity, *, fixable: bool = False) -> Callable[[Rule], Rule]:
    """Register a rule of one caption."""

    def register(made: Rule) -> Rule:
        ONE[code] = (severity, fixable, made)
        return made

    return register


def same(text: str) -> str:
    """What makes two descriptors equal: neither case nor white space."""
    return flatten(text).casefold()


def bare(text: str) -> str:
    """The same without accents and punctuation."""
    parts = unicodedata.normalize("NFKD", same(text))
    return "".join(sign for sign in parts if sign.isalnum() or sign == " ")


def content(caption: Caption, setting: Setting) -> list[str]:
    """Return the descriptors that are neither the style tag nor a medium nor ensured."""
    known = {same(setting.style_tag), *map(same, setting.ensured)}
    return [part for part in caption.descriptors if same(part) not in known and not is_medium(part)]


def is_medium(descriptor: str) -> bool:
    """Whether a descriptor names a technique, in at most four words: ``hand colored etching``."""
    words = words_of(descriptor)
    return 0 < len(words) <= 4 and has(words[-1], MEDIA)


@rule("C001", "error")
def _missing(caption: Caption, setting: Setting) -> Iterator[str]:
    if caption.text is None and not setting.drafted:
        yield "has no caption: write one, or choose a captioner"


@rule("C002", "error")
def _empty(caption: Caption, setting: Setting) -> Iterator[str]:
    if caption.text is not None and not caption.descriptors:
        yield "its caption is empty: describe the picture"


@rule("C101", "warning")
def _few(caption: Caption, setting: Setting) -> Iterator[str]:
    if 0 < len(caption.descriptors) < setting.min_descriptors:
        yield f"{len(caption.descriptors)} descriptors; {setting.min_descriptors} or more paint the picture"


@rule("C102", "warning")
def _subject(caption: Caption, setting: Setting) -> Iterator[str]:
    if not caption.descriptors:
        return
    first, prefix = caption.descriptors[0], setting.first_prefix
    if prefix and not same(first).startswith(same(prefix)):
        yield f"starts with {first!r}, not with {prefix!r}"
        return
    words = [word for word in words_of(same(first).removeprefix(same(prefix))) if word not in ARTICLES]
    if len(words) <= 1 and (not words or words[0] in GENERIC):
        yield f"{first!r} could be anybody or anything: say who or what, and how it looks"


@rule("C103", "warning")
def _context(caption: Caption, setting: Setting) -> Iterator[str]:
    if caption.descriptors and not any(_is_backdrop(part) for part in caption.descriptors):
        yield "says nothing of the place or the backdrop, and the style will learn it: name it, even a plain one"


def _is_backdrop(descriptor: str) -> bool:
    return has(descriptor, BACKDROP) or any(phrase in same(descriptor) for phrase in BACKDROP_PHRASES)


@rule("C104", "warning")
def _elements(caption: Caption, setting: Setting) -> Iterator[str]:
    others = [part for part in content(caption, setting)[1:] if not _is_backdrop(part) and not _is_quality(part)]
    if caption.descriptors and len(others) < 2:
        told = "no element is" if not others else "1 element is"
        yield f"{told} told apart beside the subject; name things and clothes one by one"


def _is_quality(descriptor: str) -> bool:
    return all(word in COLOURS or word in TEXTURES or word in SIZES for word in words_of(descriptor))


@rule("C105", "warning")
def _colour(caption: Caption, setting: Setting) -> Iterator[str]:
    parts = content(caption, setting)
    if parts and not any(has(part, COLOURS) or has(part, TEXTURES) for part in parts):
        yield "names no colour and no texture"


@rule("C110", "warning")
def _long(caption: Caption, setting: Setting) -> Iterator[str]:
    count = tokens_of(caption.line, setting)
    if count <= setting.max_tokens:
        return
    about = "" if setting.tokens else "about "
    kept: list[str] = []
    for part in caption.descriptors:
        if tokens_of(", ".join([*kept, part]), setting) > setting.max_tokens:
            break
        kept.append(part)
    cut = caption.descriptors[len(kept) :]
    yield f"{about}{count} tokens, of which {setting.max_tokens} are read; in this order it is cut off in {cut[0]!r}" + (
        f", and {len(cut) - 1} more are lost" if len(cut) > 1 else ""
    )


def tokens_of(text: str, setting: Setting) -> int:
    """Return the tokens of a text; without a tokenizer an estimate: a token for each sign and for each six letters of a word."""
    if setting.tokens is not None:
        return setting.tokens(text)
    signs = sum(not sign.isalnum() and not sign.isspace() for sign in text)
    return signs + sum(-(-len(word) // 6) for word in text.split())


@rule("C113", "warning", fixable=True)
def _repeated(caption: Caption, setting: Setting) -> Iterator[str]:
    counts = Counter(map(same, caption.descriptors))
    for part, count in counts.items():
        if count > 1 and part != same(setting.style_tag):
            yield f"says {part!r} {count} times"


@rule("C114", "warning")
def _filler(caption: Caption, setting: Setting) -> Iterator[str]:
    line = f" {same(caption.line)} "
    found = [phrase for phrase in FILLER if f" {phrase} " in line]
    if found:
        yield f"{found[0]!r} is a captioner's filler and shows nothing"


@rule("C115", "warning", fixable=True)
def _separators(caption: Caption, setting: Setting) -> Iterator[str]:
    text = (caption.text or "").strip()
    if not text:
        return
    mark = setting.separator.strip() or setting.separator
    parts = [part.strip() for part in text.split(mark)]
    signs = {
        "a line break": "\n" in text or "\r" in text, "a semicolon": ";" in text and mark != ";", "an empty descriptor": "" in parts,
        "letters in pieces (not NFC)": unicodedata.normalize("NFC", text) != text,
    }  # fmt: skip
    found = [name for name, there in signs.items() if there]
    if found:
        yield f"has {', '.join(found)}; descriptors are separated by {mark!r} on one line"


@rule("C116", "warning")
def _split_group(caption: Caption, setting: Setting) -> Iterator[str]:
    parts = caption.descriptors
    for part, after in itertools.pairwise(parts):
        lonely = len(words_of(part)) == 1 and _is_quality(part) and not is_medium(part)
        if lonely and same(after) != same(setting.style_tag) and not is_medium(after):
            yield f"{part!r} stands alone before {after!r}: put what belongs together into one descriptor, '{part} {after}'"
            return


def one_by_one(captions: Sequence[Caption], setting: Setting) -> Iterator[Finding]:
    """Yield what the rules of one caption find."""
    from loraspec.captionlint import tags  # noqa: F401  (registers its rules)

    for caption in captions:
        for code, (severity, fixable, look) in sorted(ONE.items()):
            for message in look(caption, setting):
                yield Finding(code, severity, caption.key, message, fixable and caption.path is not None)
