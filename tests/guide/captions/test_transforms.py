"""The caption transforms of the guide."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from loraspec_guide.captions import registry

from loraspec.errors import SpecError
from loraspec.randomness import generator
from loraspec.spec.convert import options_of
from loraspec.testing import CaptionTransformSuite
from loraspec.values import Sample

COMPONENTS = {component.name: component for component in registry.CAPTION_TRANSFORMS}
WORDS = ("man", "coat", "street", "dog", "ink")


def apply(name: str, words: tuple[str, ...], draw: int = 0, **options: Any) -> tuple[str, ...]:
    """One call of a transform."""
    component = COMPONENTS[name]
    sample = Sample("a.png", 64, 64, None, "own", "", lambda: b"")
    found: tuple[str, ...] = component.build(component.options(**options))(words, sample=sample, rng=generator(3, "test", draw))
    return found


class TestTidy(CaptionTransformSuite):
    """``tidy`` keeps the contract."""

    use = "guide:tidy"


class TestEnsure(CaptionTransformSuite):
    """``ensure`` keeps the contract."""

    use = "guide:ensure"
    options = {"descriptors": ["lithography", "by Nobody"]}  # noqa: RUF012


class TestShuffle(CaptionTransformSuite):
    """``shuffle`` keeps the contract."""

    use = "guide:shuffle"


class TestAffix(CaptionTransformSuite):
    """``affix`` keeps the contract."""

    use = "guide:affix"
    options = {"first": ["caricature"], "last": ["by Nobody"]}  # noqa: RUF012


class TestWildcard(CaptionTransformSuite):
    """``wildcard`` keeps the contract."""

    use = "guide:wildcard"
    descriptors = ("a {tall|small} man", "green coat", "dark {street|road", "lane}")


class TestDropout(CaptionTransformSuite):
    """``dropout`` keeps the contract."""

    use = "guide:dropout"
    options = {"caption": 0.1, "descriptor": 0.3}  # noqa: RUF012


class TestDropoutOfNothing(CaptionTransformSuite):
    """``dropout`` with its defaults draws nothing and says so."""

    use = "guide:dropout"


def test_tidy_cleans_and_keeps_the_first_of_equals() -> None:
    """Space, line breaks, Unicode form, empty and repeated descriptors."""
    decomposed = "Honore\u0301  Daumier"

    assert apply("tidy", (" a\n b ", "", "A b", decomposed, "Honor\u00e9 Daumier", "  ")) == ("a b", "Honor\u00e9 Daumier")


def test_ensure_appends_only_what_is_missing() -> None:
    """Case and Unicode form do not count; the order is that of the option."""
    asked = ("by Honore\u0301", "ink", "ink", "paper")

    assert apply("ensure", ("man", "Ink"), descriptors=asked) == ("man", "Ink", "by Honor\u00e9", "paper")
    assert apply("ensure", (), descriptors=("ink",)) == ("ink",)


def test_shuffle_keeps_the_first_descriptors_and_loses_none() -> None:
    """Descriptors move, tokens never: each stays whole."""
    for draw in range(50):
        for keep in range(7):
            found = apply("shuffle", WORDS, draw, keep=keep)
            assert found[:keep] == WORDS[:keep]
            assert sorted(found) == sorted(WORDS)


def test_shuffle_is_uniform() -> None:
    """All 24 orders of 4 descriptors are equally likely (chi-squared, 23 degrees of freedom, p = 0.001)."""
    count = 4800
    orders = Counter(apply("shuffle", WORDS, draw) for draw in range(count))

    assert len(orders) == math.factorial(4)
    assert sum((seen - count / 24) ** 2 / (count / 24) for seen in orders.values()) < 49.73


@pytest.mark.parametrize(("caption", "descriptor"), [(0.25, 0.0), (0.0, 0.4), (0.1, 0.5), (1.0, 0.0), (0.0, 1.0)])
def test_dropout_keeps_its_rates(caption: float, descriptor: float) -> None:
    """Rates are met within four standard errors; kept descriptors only fall with the whole caption."""
    count = 3000
    found = [apply("dropout", WORDS, draw, caption=caption, descriptor=descriptor, keep=2) for draw in range(count)]
    whole = [words for words in found if words]

    def near(seen: float, rate: float, trials: int) -> bool:
        return abs(seen - rate) <= 4 * math.sqrt(rate * (1 - rate) / trials) + 1e-12

    assert near(1 - len(whole) / count, caption, count)
    assert all(words[:2] == WORDS[:2] for words in whole)
    for word in WORDS[2:]:
        if whole:
            assert near(sum(word not in words for words in whole) / len(whole), descriptor, len(whole))


def test_dropout_keeps_the_order() -> None:
    """What is left stands as it stood."""
    for draw in range(50):
        found = apply("dropout", WORDS, draw, descriptor=0.5)
        assert list(found) == [word for word in WORDS if word in found]


def test_affix_puts_and_moves() -> None:
    """Descriptors that are there already stand once, in the new place; nothing is put into an empty caption."""
    given = {"first": ("a drawing",), "last": ("ink", "by Nobody")}
    assert apply("affix", WORDS, **given) == ("a drawing", "man", "coat", "street", "dog", "ink", "by Nobody")
    assert apply("affix", (), **given) == ()


def test_wildcards_are_uniform_nested_and_may_hold_separators() -> None:
    """Each part is as likely; what stands in braces without a bar is text."""
    counts = Counter(apply("wildcard", ("a {red|blue|green} coat",), draw) for draw in range(3000))
    assert set(counts) == {("a red coat",), ("a blue coat",), ("a green coat",)}
    assert all(abs(count - 1000) < 4 * math.sqrt(3000 * 2 / 9) for count in counts.values())
    assert {apply("wildcard", ("{a", "b|c}", "d"), draw) for draw in range(50)} == {("a", "b", "d"), ("c", "d")}
    assert {apply("wildcard", ("{a|{b|c}}",), draw) for draw in range(50)} == {("a",), ("b",), ("c",)}
    assert apply("wildcard", ("{a}", "b|c", "}{")) == ("{a}", "b|c", "}{")


@pytest.mark.parametrize(
    ("words", "first", "last"),
    [
        (("man", "coat ||| street", "dog", "ink"), ("man", "coat"), ()),
        (("man", "coat", "||| street", "dog ||| ink"), ("man", "coat"), ("ink",)),
        (("||| man", "coat", "street", "dog", "ink"), (), ()),
        (("man", "coat", "street", "dog", "ink |||"), ("man", "coat", "street", "dog", "ink"), ()),
        (("man", "coat", "street", "dog", "ink"), ("man",), ()),
    ],
)
def test_what_stands_outside_of_the_mark_stays(words: tuple[str, ...], first: tuple[str, ...], last: tuple[str, ...]) -> None:
    """Kohya's keep_tokens_separator: the mark is never trained; captions without it keep ``keep`` descriptors."""
    found = [apply("shuffle", words, draw, keep_separator="|||") for draw in range(60)]
    for caption in found:
        assert sorted(caption) == sorted(("man", "coat", "street", "dog", "ink"))
        assert caption[: len(first)] == first
        assert caption[len(caption) - len(last) :] == last
    free = 5 - len(first) - len(last)
    assert len(set(found)) > min(free, 2) - 1


@pytest.mark.parametrize(
    ("name", "raw", "path"),
    [
        ("shuffle", {"keep": -1}, "captions.transforms[0].keep"),
        ("dropout", {"caption": 1.5}, "captions.transforms[0].caption"),
        ("dropout", {"descriptor": -0.1}, "captions.transforms[0].descriptor"),
        ("ensure", {}, "captions.transforms[0].descriptors"),
        ("ensure", {"descriptors": []}, "captions.transforms[0].descriptors"),
        ("ensure", {"descriptors": ["  "]}, "captions.transforms[0].descriptors"),
        ("tidy", {"keep": 1}, "captions.transforms[0].keep"),
    ],
)
def test_bad_options_are_told(name: str, raw: dict[str, Any], path: str) -> None:
    """Each wrong value is a problem at its own path."""
    made, problems = options_of(COMPONENTS[name].options, raw, "captions.transforms[0]")

    assert made is None
    assert [problem.path for problem in problems] == [path]


def test_ensured_descriptor_with_a_separator_is_refused(tmp_path: Path) -> None:
    """It would be two descriptors, never found again and added to each caption for ever."""
    from loraspec.plan import resolve

    spec = tmp_path / "s.toml"
    spec.write_text(
        'loraspec = 1\n[run]\nname = "a"\n[model]\nuse = "sdxl"\ncheckpoint = "a/b"\n[[data.sources]]\nuse = "folder"\npath = "x"\n'
        'rights = "own"\n'
            '[[captions.transforms]]\nuse = "tidy"\n[[captions.transforms]]\nuse = "ensure"\ndescriptors = ["ink", "by X, of Y"]\n'
    )
    with pytest.raises(SpecError, match="holds the separator") as caught:
        resolve(spec)
    assert [(p.path, p.line) for p in caught.value.problems] == [("captions.transforms[1].descriptors[1]", 15)]
