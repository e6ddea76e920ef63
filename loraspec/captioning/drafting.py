"""Drafts: which images a captioner is asked about, and what becomes of its answers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from loraspec.captioning.items import ChangedError, Item, refreshed, write
from loraspec.drafts import CaptionDraft, CaptionRequest, drafted, request_of, settings_sha256
from loraspec.plan import plain

if TYPE_CHECKING:
    from loraspec.plan import Plan

OPEN = ("missing", "rejected")
AGAIN = (*OPEN, "draft")


@frozen(eq=False)
class Outcome:
    """What became of one image: the draft, and why it was not kept ("" when it was)."""

    draft: CaptionDraft
    problem: str = ""


def wanted(items: Sequence[Item], *, again: bool, overwrite: Collection[str]) -> list[Item]:
    """Return the images that need a draft: without a caption or with a rejected one; with ``again`` also those with a draft.

    What a person wrote or approved is asked about only when ``overwrite`` names the image.
    """
    states = AGAIN if again else OPEN
    return [item for item in items if item.state in states or item.key in overwrite]


def requests_of(plan: Plan, items: Sequence[Item]) -> list[CaptionRequest]:
    """Return what the captioner is asked."""
    return [request_of(item.sample, item.sha256, plan.spec.captions) for item in items]


def draft(plan: Plan, captioner: Any, items: Sequence[Item], *, overwrite: Collection[str] = ()) -> Iterator[Outcome]:
    """Ask the captioner and write its drafts, one by one as they come.

    An image whose caption a person changed while the captioner was at work keeps that caption.

    Raises:
        EnvironmentMissing: A ledger cannot be written.
        OSError: A caption's file cannot be written.
    """
    choice = plan.one("captioner")
    assert choice is not None
    captions = plan.spec.captions
    settings = settings_sha256(choice.entry.qualified, plain(choice.options), captions.instructions, captions.examples)
    by_key = {item.key: item for item in items}
    for made in drafted(captioner, requests_of(plan, items), name=choice.entry.qualified, context=plan.context):
        item = by_key[made.key]
        if made.problem:
            yield Outcome(made, made.problem)
            continue
        [now] = refreshed([item])
        if now.state not in AGAIN and made.key not in overwrite:
            yield Outcome(made, f"a person changed it meanwhile: it is {now.state}")
            continue
        try:
            write(now, made.text, "draft", author=f"model:{made.model}", settings=settings, seconds=round(made.seconds, 3))
        except ChangedError:
            yield Outcome(made, "a person changed it meanwhile")
            continue
        yield Outcome(made)
