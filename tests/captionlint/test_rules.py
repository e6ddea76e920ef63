"""Each rule has captions that trip it and captions that do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from loraspec.captionlint.rules import ONE, Caption, Setting, one_by_one
from loraspec.captionlint.tags import within
from loraspec.captionlint.together import all_together

TAG = "by Honoré Daumier"
SETTING = Setting(style_tag=TAG, first_prefix="caricature of")
GOOD = f"caricature of a tailor with round glasses, long green tweed coat, red leather hat, cobbled city street, lithography, {TAG}"


def codes(text: str | None, setting: Setting = SETTING) -> set[str]:
    """What the rules of one caption say of a text."""
    return {one.code for one in one_by_one([Caption("a.png", text, setting.separator, Path("a.txt"))], setting)}


def test_a_good_caption_is_left_alone() -> None:
    """The guide's form: subject, clothes, place, medium, artist."""
    assert codes(GOOD) == set()


@pytest.mark.parametrize(("code", "text"), [
    ("C001", None),
    ("C002", ""), ("C002", " , ,"),
    ("C101", f"caricature of a tailor with glasses, green coat, street, {TAG}"),
    ("C102", GOOD.replace("caricature of a tailor with round glasses", "a tailor")),
    ("C102", GOOD.replace("a tailor with round glasses", "a man")), ("C102", GOOD.replace("a tailor with round glasses", "")),
    ("C103", GOOD.replace("cobbled city street", "wooden cane")),
    ("C104", GOOD.replace("long green tweed coat, red leather hat, ", "red, ")),
    ("C105", GOOD.replace("long green tweed", "long").replace("red leather ", "").replace("cobbled ", "")),
    ("C106", GOOD.replace(f", {TAG}", "")),
    ("C107", f"{GOOD}, {TAG}"), ("C107", GOOD.replace(f"lithography, {TAG}", f"lithography {TAG}")),
    ("C108", GOOD.replace("Honoré", "Honore")), ("C108", GOOD.replace("Daumier", "daumier")), ("C108", GOOD.replace("Daumier", "Daumir")),
    ("C110", GOOD.replace("cobbled", " ".join(["extraordinarily long cobbled and winding"] * 12))),
    ("C113", GOOD.replace("lithography", "Red leather hat, lithography")),
    ("C114", GOOD.replace("cobbled city street", "there is a cobbled city street")), ("C114", GOOD.replace("red", "possibly red")),
    ("C115", GOOD.replace(", red", ",\nred")), ("C115", GOOD.replace(", red", "; red")), ("C115", GOOD.replace(", red", ",, red")),
    ("C115", f"{GOOD},"), ("C115", GOOD.replace("é", "e\u0301")),
    ("C116", GOOD.replace("long green tweed coat", "black, torn, wide pants")),
])  # fmt: skip
def test_a_caption_that_trips_a_rule(code: str, text: str | None) -> None:
    """And the good one does not."""
    assert code in codes(text)
    assert code not in codes(GOOD)


def test_every_rule_of_one_caption_was_tripped() -> None:
    """The table above misses none."""
    [mark] = [mark for mark in test_a_caption_that_trips_a_rule.pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined]
    assert {code for code, _ in mark.args[1]} == set(ONE)


@pytest.mark.parametrize(("code", "text"), [
    ("C102", GOOD.replace("a tailor with round glasses", "a one-legged man")),
    ("C102", GOOD.replace("a tailor with round glasses", "Napoleon")),
    ("C103", GOOD.replace("cobbled city street", "plain backdrop")), ("C103", GOOD.replace("cobbled city street", "crowd in the distance")),
    ("C114", GOOD.replace("cobbled", "impossibly narrow")),
    ("C116", GOOD.replace("lithography", "red ink, lithography")), ("C116", GOOD.replace("lithography", "monochrome, lithography")),
    ("C107", GOOD.replace("tailor", "tailor standing by")),
])  # fmt: skip
def test_a_caption_that_looks_like_it_and_is_well(code: str, text: str) -> None:
    """Near misses of the rules."""
    assert code not in codes(text)


def test_what_a_transform_adds_is_not_missing() -> None:
    """``ensure`` gives every caption the style tag."""
    assert "C106" not in codes(GOOD.replace(f", {TAG}", ""), Setting(style_tag=TAG, ensured=(TAG,)))
    assert "C106" not in codes("a red boat", Setting())


def test_what_a_captioner_writes_is_not_missing() -> None:
    """With a captioner, images without a caption are no error."""
    assert codes(None, Setting(drafted=True)) == set()


def test_tokens_are_counted_by_the_base_s_tokenizer_where_there_is_one() -> None:
    """The message says what is lost in the order of the file; an estimate says that it is one."""
    counted = Setting(max_tokens=9, tokens=lambda text: len(text.split()))
    [cut] = [one for one in one_by_one([Caption("a", GOOD, ",")], counted) if one.code == "C110"]
    assert cut.message.startswith("21 tokens, of which 9 are read; in this order it is cut off in 'long green tweed coat', and 4")
    [about] = [one for one in one_by_one([Caption("a", GOOD, ",")], Setting(max_tokens=9)) if one.code == "C110"]
    assert about.message.startswith("about ")


@pytest.mark.parametrize(("one", "other", "most", "near"), [
    ("daumier", "daumier", 0, True), ("daumier", "daumir", 1, True), ("daumier", "domier", 2, True), ("daumier", "domir", 2, False),
    ("", "ab", 2, True), ("abc", "", 2, False),
])  # fmt: skip
def test_letters_apart(one: str, other: str, most: int, near: bool) -> None:
    """Levenshtein's distance, with an end."""
    assert within(one, other, most) is near


# -- all captions ----------------------------------------------------------------------------------------------------------


def together(texts: list[str], setting: Setting = SETTING) -> list[tuple[str, str]]:
    return [(one.code, one.image) for one in all_together([Caption(f"{n}.png", text, ",") for n, text in enumerate(texts)], setting)]


NAMES = ("tailor", "judge", "baker", "sailor", "nurse", "farmer", "dancer", "poet", "clerk", "singer")
PLACES = (
    "dim courtroom", "busy market", "stormy sea", "empty theatre", "narrow alley", "snowy field", "small kitchen", "wide bridge",
    "old attic", "green park",
)  # fmt: skip
MANY = [
    f"caricature of a {name}, {place} with {name}s, a very {name}ish hat, lithography, {TAG}"
    for name, place in zip(NAMES, PLACES, strict=True)
]


def test_many_different_captions_are_well() -> None:
    """The style tag and the medium are in all of them, as they should be."""
    assert together(MANY) == []


def test_a_medium_that_is_missing() -> None:
    """C109: nine of ten say lithography; not where a transform adds it, and not where only half do."""
    assert together([*MANY[:9], MANY[9].replace("lithography, ", "")]) == [("C109", "9.png")]
    assert together([*MANY[:9], MANY[9].replace("lithography, ", "")], Setting(style_tag=TAG, ensured=("lithography",))) == []
    assert together([*MANY[:5], *(text.replace("lithography, ", "") for text in MANY[5:])]) == []


def test_captions_that_are_alike() -> None:
    """C111 in whatever order; C112 when nearly every word is shared."""
    first, *rest = MANY[0].split(", ")
    assert together([*MANY, ", ".join([first, *reversed(rest)])]) == [("C111", "10.png")]
    assert together([*MANY, MANY[0].replace("very ", "")]) == [("C112", "10.png")]
    assert together([*MANY, MANY[0].replace("very ", "")], Setting(style_tag=TAG, near=1.0)) == []


def test_a_descriptor_that_fuses_with_the_style() -> None:
    """C117: all have it, and nobody declared it."""
    fused = [text.replace("lithography", "cobbled street, lithography") for text in MANY]
    assert together(fused) == [("C117", "")]
    assert together(fused, Setting(style_tag=TAG, ensured=("cobbled street",))) == []
    assert together([*fused[:8], *MANY[8:]]) == []


def test_poor_words_and_odd_lengths() -> None:
    """C118 and C119 are remarks; few captions say nothing."""
    poor = [f"a boat {'boat ' * n}, boat, {TAG}" for n in range(8)]
    assert ("C118", "") in together(poor)
    assert ("C119", "10.png") in together([*MANY, f"caricature of a king, {', '.join(f'thing {n} of gold' for n in range(30))}, {TAG}"])
    assert together(["a boat", "a boat at sea"], Setting()) == []
