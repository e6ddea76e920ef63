"""Drafts: who is asked about, what is kept, and what a machine never touches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from captioned import JUDGE, NURSE, TAG, items, write_images, write_spec

from loraspec.captioning.drafting import draft, wanted
from loraspec.captioning.items import write
from loraspec.drafts import CaptionDraft, CaptionRequest, cleaned, drafted
from loraspec.ledger import Ledger
from loraspec.randomness import rng_of
from loraspec.values import Context

CAPTIONER = '[captions.captioner]\nuse = "template"\ntext = "{name}, {style_tag}"'

CONTEXT = Context(Path(), rng_of(0), lambda hook: [])


@pytest.fixture
def plan(tmp_path: Path, make_plan: Callable[..., Any], tiny_plugin: None) -> Callable[[], Any]:
    """Five pictures, one for each state."""
    write_images(tmp_path, {"approved.png": JUDGE, "edited.png": NURSE, "found.png": JUDGE, "rejected.png": NURSE, "draft.png": None,
                            "missing.png": None})  # fmt: skip
    path = write_spec(tmp_path, captions=CAPTIONER)
    found = items(make_plan(path))
    write(found["approved.png"], JUDGE, "approved")
    write(found["edited.png"], NURSE, "edited")
    write(found["rejected.png"], NURSE, "rejected")
    write(found["draft.png"], "old draft", "draft", author="model:x")
    return lambda: make_plan(path)


class Scripted:
    """Answers as the test says, and may do something in between."""

    def __init__(self, *drafts: CaptionDraft, between: Callable[[], None] = lambda: None) -> None:
        self.drafts, self.between, self.asked = drafts, between, list[CaptionRequest]()

    def caption(self, requests: Sequence[CaptionRequest]) -> Iterator[CaptionDraft]:
        self.asked = list(requests)
        for made in self.drafts:
            self.between()
            yield made


def test_who_is_asked_about(plan: Callable[[], Any]) -> None:
    """The missing and the rejected; drafts on request; what a person wrote or approved only by name."""
    found = list(items(plan()).values())

    def keys(again: bool = False, overwrite: tuple[str, ...] = ()) -> list[str]:
        return [item.key.removesuffix(".png") for item in wanted(found, again=again, overwrite=overwrite)]

    assert keys() == ["missing", "rejected"]
    assert keys(again=True) == ["draft", "missing", "rejected"]
    assert keys(overwrite=("approved.png",)) == ["approved", "missing", "rejected"]


def test_drafts_are_kept_with_their_origin(plan: Callable[[], Any], tmp_path: Path) -> None:
    """Text, model, time and a digest of the settings, which changes with them; the request carries what the spec says."""
    found = items(plan())
    captioner = Scripted(CaptionDraft("missing.png", "a  boat\n, sea", model="llava:13b", seconds=2.5))
    [outcome] = draft(plan(), captioner, [found["missing.png"]])
    assert (outcome.problem, outcome.draft.text) == ("", "a boat , sea")
    [request] = captioner.asked
    assert (request.key, request.style_tag, request.caption, request.path) == ("missing.png", TAG, None, tmp_path / "images/missing.txt")
    assert "comma-separated" in request.instructions
    assert request.image().size[0] > 0
    last = Ledger(tmp_path / "images/captions.jsonl").entries()[-1]
    assert (last.text, last.state, last.author, last.seconds) == ("a boat , sea", "draft", "model:llava:13b", 2.5)
    assert len(last.settings) == 64
    write_spec(tmp_path, captions=f'instructions = "say it in French"\nexamples = ["un juge"]\n{CAPTIONER}')
    again = Scripted(CaptionDraft("missing.png", "un bateau"))
    list(draft(plan(), again, [items(plan())["missing.png"]]))
    assert (again.asked[0].instructions, again.asked[0].examples) == ("say it in French", ("un juge",))
    other = Ledger(tmp_path / "images/captions.jsonl").entries()[-1]
    assert other.settings != last.settings
    assert other.author == "model:guide:template"


def test_what_a_person_does_meanwhile_stays(plan: Callable[[], Any], tmp_path: Path) -> None:
    """A caption that was approved, or a file that was written, while the captioner thought."""
    def approve() -> None:
        now = items(plan())["rejected.png"]
        if now.state != "approved":
            write(now, "by hand", "approved")
        (tmp_path / "images/missing.txt").write_text("by hand too")

    found = items(plan())
    captioner = Scripted(CaptionDraft("rejected.png", "x"), CaptionDraft("missing.png", "x"), between=approve)
    outcomes = list(draft(plan(), captioner, [found["rejected.png"], found["missing.png"]]))
    assert [outcome.problem for outcome in outcomes] == [f"a person changed it meanwhile: it is {state}" for state in ("approved", "found")]
    now = items(plan())
    assert (now["rejected.png"].text, now["missing.png"].text) == ("by hand", "by hand too")


def test_overwriting_needs_the_name(plan: Callable[[], Any]) -> None:
    """And is in the ledger."""
    found = items(plan())["approved.png"]
    [outcome] = draft(plan(), Scripted(CaptionDraft("approved.png", "new")), [found])
    assert "it is approved" in outcome.problem
    [outcome] = draft(plan(), Scripted(CaptionDraft("approved.png", "new")), [found], overwrite=("approved.png",))
    assert not outcome.problem
    assert (items(plan())["approved.png"].state, items(plan())["approved.png"].text) == ("draft", "new")


def test_answers_that_do_not_fit_are_sorted_out() -> None:
    """Twice, to nobody, none at all, nothing in it."""
    requests = [CaptionRequest(key, "0", bytes) for key in ("a", "b", "c")]
    captioner = Scripted(CaptionDraft("a", "one"), CaptionDraft("a", "two"), CaptionDraft("x", "three"), CaptionDraft("b", "\x1b\u200b"))
    found = list(drafted(captioner, requests, name="me", context=CONTEXT))
    assert [(one.key, one.text, one.problem, one.model) for one in found] == [
        ("a", "one", "", "me"), ("b", "\x1b\u200b", "the answer holds no words", "me"),
        ("c", "", "the captioner gave no answer", "me"),
    ]  # fmt: skip
    assert captioner.asked == requests


@pytest.mark.parametrize(
    ("text", "made"),
    [("a\nb", "a b"), ('"a"', "a"), ("“a”", "a"), ("'a' and 'b", "'a' and 'b"), ("e\u0301", "é"), ("a\x00\x1b[31m\u202eb", "a[31mb"),
     ("`'a'`", "a"), ("\ud800a", "a"), ("\ue000a", "a")],
)  # fmt: skip
def test_cleaned(text: str, made: str) -> None:
    """One visible line without quotes around it."""
    assert cleaned(text) == made
    assert cleaned(made) == made


@pytest.mark.parametrize("text", ["", " \n", "...", "\u200b", '""', "x" * 2001])
def test_what_is_no_caption_is_refused(text: str) -> None:
    """Nothing, or a novel."""
    with pytest.raises(ValueError, match="the answer"):
        cleaned(text)
