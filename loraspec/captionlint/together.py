"""The rules that look at all captions at once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from loraspec.captionlint.rules import FEW, MOST_MEDIUM, Caption, Finding, Setting, is_medium, same
from loraspec.captionlint.words import words_of

SPARSE = 0.15  # distinct words / words below which a set of captions repeats itself
FAR = 3.5  # robust deviations from the median length (Iglewicz and Hoaglin 1993)
ROWS = 512


def all_together(captions: Sequence[Caption], setting: Setting) -> Iterator[Finding]:
    """Yield what the rules of the whole set find."""
    known = [caption for caption in captions if caption.descriptors]
    yield from _medium(known, setting)
    yield from _alike(known, setting)
    if len(known) >= FEW:
        yield from _fused(known, setting)
        yield from _vocabulary(known)
        yield from _lengths(known)


def _medium(captions: Sequence[Caption], setting: Setting) -> Iterator[Finding]:
    """C109: a medium that most captions name, and this one does not."""
    ensured = set(map(same, setting.ensured))
    named = Counter(part for caption in captions for part in {same(one) for one in caption.descriptors if is_medium(one)})
    common = [part for part, count in named.items() if MOST_MEDIUM * len(captions) <= count < len(captions) and part not in ensured]
    for caption in captions:
        own = set(map(same, caption.descriptors))
        for part in sorted(common):
            if part not in own:
                yield Finding("C109", "warning", caption.key, f"does not name the medium {part!r}, as {named[part]} others do")


def _alike(captions: Sequence[Caption], setting: Setting) -> Iterator[Finding]:
    """C111, C112: captions that are identical, in whatever order, or share nearly all their words."""
    groups: dict[tuple[str, ...], list[Caption]] = defaultdict(list)
    for caption in captions:
        groups[tuple(sorted(map(same, caption.descriptors)))].append(caption)
    for first, *others in groups.values():
        for other in others:
            yield Finding("C111", "error", other.key, f"has the caption of {first.key}: say what tells the two pictures apart")
    singles = [group[0] for group in groups.values()]
    for one, other, share in _near(singles, setting.near):
        yield Finding("C112", "warning", other.key, f"shares {share:.0%} of its words with {one.key}: say what tells the two apart")


def _near(captions: Sequence[Caption], least: float) -> Iterator[tuple[Caption, Caption, float]]:
    """Yield pairs whose words overlap by ``least`` or more (Dice 1945), each caption with the first that it is near to."""
    import numpy as np

    bags = [Counter(words_of(caption.line)) for caption in captions]
    column = {word: number for number, word in enumerate(sorted({word for bag in bags for word in bag}))}
    table = np.zeros((len(bags), len(column)), np.float32)
    for row, bag in enumerate(bags):
        for word in bag:
            table[row, column[word]] = 1
    sizes = table.sum(1)
    for start in range(0, len(bags), ROWS):
        part = slice(start, start + ROWS)
        share = 2 * (table[part] @ table.T) / np.maximum(sizes[part, None] + sizes[None], 1)
        for row in range(share.shape[0]):
            earlier = share[row, : start + row]
            if earlier.size and earlier.max() >= least:
                first = int(earlier.argmax())
                yield captions[first], captions[start + row], float(earlier[first])


def _fused(captions: Sequence[Caption], setting: Setting) -> Iterator[Finding]:
    """C117: a descriptor that nearly every caption has becomes part of the style."""
    declared = {same(setting.style_tag), *map(same, setting.ensured)}
    counts = Counter(part for caption in captions for part in set(map(same, caption.descriptors[1:])))
    for part, count in sorted(counts.items()):
        if count >= setting.fused * len(captions) and part not in declared and not is_medium(part):
            words = f"{part!r} stands in {count} of {len(captions)} captions and will fuse with the style"
            yield Finding("C117", "warning", "", f"{words}: vary it, or declare it by 'ensure'")


def _vocabulary(captions: Sequence[Caption]) -> Iterator[Finding]:
    """C118: the same few words everywhere."""
    words = [word for caption in captions for word in words_of(caption.line)]
    if words and len(set(words)) < SPARSE * len(words):
        yield Finding("C118", "info", "", f"{len(set(words))} distinct words among {len(words)}: the captions repeat themselves")


def _lengths(captions: Sequence[Caption]) -> Iterator[Finding]:
    """C119: a caption much longer or shorter than the others."""
    import numpy as np

    lengths = np.array([len(words_of(caption.line)) for caption in captions], float)
    middle = float(np.median(lengths))
    spread = max(float(np.median(np.abs(lengths - middle))) / 0.6745, 1.0)
    for caption, length in zip(captions, lengths, strict=True):
        if abs(length - middle) > FAR * spread:
            kind = "longer" if length > middle else "shorter"
            yield Finding("C119", "info", caption.key, f"{length:.0f} words, much {kind} than the others (median {middle:.0f})")
