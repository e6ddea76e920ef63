"""The rules of the style tag: there, once, by itself, and spelt as declared."""

from __future__ import annotations

from collections.abc import Iterator

from loraspec.captionlint.rules import Caption, Setting, bare, rule, same
from loraspec.captions import flatten


@rule("C106", "error", fixable=True)
def _no_tag(caption: Caption, setting: Setting) -> Iterator[str]:
    tag = setting.style_tag
    if not tag or not caption.descriptors or same(tag) in map(same, setting.ensured):
        return
    if not _holds_tag(caption, tag) and not _variants(caption, tag):
        yield f"lacks the style tag {tag!r}"


@rule("C107", "warning", fixable=True)
def _odd_tag(caption: Caption, setting: Setting) -> Iterator[str]:
    tag = same(setting.style_tag)
    if not tag:
        return
    count = sum(same(part) == tag for part in caption.descriptors)
    inside = [part for part in caption.descriptors if same(part) != tag and _inside(tag, part)]
    if count + len(inside) > 1:
        yield f"has the style tag {count + len(inside)} times"
    elif inside:
        yield f"the style tag is no descriptor of its own in {inside[0]!r}"


@rule("C108", "error")
def _tag_variant(caption: Caption, setting: Setting) -> Iterator[str]:
    for part in _variants(caption, setting.style_tag):
        yield f"{part!r} is not quite the style tag {setting.style_tag!r}: to the model these are other words"


def _holds_tag(caption: Caption, tag: str) -> bool:
    return any(_inside(same(tag), part) for part in caption.descriptors)


def _inside(tag: str, descriptor: str) -> bool:
    return f" {tag} " in f" {same(descriptor)} "


def _variants(caption: Caption, tag: str) -> list[str]:
    """Return descriptors that are the tag but for case, accents or two letters."""
    if not tag:
        return []
    wanted, most = bare(tag), 2 if len(tag) > 6 else 1
    return [part for part in caption.descriptors
            if flatten(part) != flatten(tag) and (bare(part) == wanted or within(bare(part), wanted, most))]  # fmt: skip


def within(one: str, other: str, most: int) -> bool:
    """Whether at most so many letters are inserted, left out or exchanged between two texts (Levenshtein 1966)."""
    if abs(len(one) - len(other)) > most:
        return False
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, right in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (left != right))
    return row[-1] <= most
