"""The rules of the images themselves: D001 to D008. What a run would refuse is an error here too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from loraspec.buckets import TooSmallError
from loraspec.captionlint.rules import Finding, Severity
from loraspec.duplicates import SURE, groups_of, looks_of, pairs_of
from loraspec.errors import Problem
from loraspec.scan import GROWN, MOST_ASPECT, growth, placed_of
from loraspec.values import Sample

if TYPE_CHECKING:
    from loraspec.plan import Plan

DATA: dict[str, Severity] = {
    "D001": "warning", "D002": "warning", "D003": "warning", "D004": "warning", "D005": "error", "D006": "warning", "D007": "error",
    "D008": "warning",
}  # fmt: skip
"""Codes and severities; D002 and D008 are errors where a run would refuse the image, D007 a warning where only colours shift."""
TOLD = {"W-IMG-EXIF": "D006", "W-IMG-ICC": "D007", "E-IMG-ALPHA": "D007", "E-IMG-MODE": "D007", "E-IMG-DEPTH": "D007"}
"""What sources tell already, by their code."""
MOST_CUT = 0.25  # share of a picture


def of_images(plan: Plan, found: Sequence[tuple[int, Sample]], problems: Sequence[Problem]) -> Iterator[Finding]:
    """Yield what is wrong with the images of a plan's sources, given what a scan found and told."""
    expect = plan.spec.data.expect
    least, most = expect.images
    if not least <= len(found) <= most:
        yield Finding("D001", "warning", "", f"{len(found)} images; the recipe expects {least} to {most}")
    for problem in problems:
        if problem.code in TOLD:
            severity: Severity = "warning" if problem.code.startswith("W-") else "error"
            image = problem.path if severity == "error" else ""
            yield Finding(TOLD[problem.code], severity, image, problem.message + (f": {problem.hint}" if problem.hint else ""))
    for source, sample in found:
        if min(sample.width, sample.height) < expect.min_side:
            yield Finding("D002", "warning", sample.key, f"{sample.width} x {sample.height} px; each side should have {expect.min_side}")
        if not sample.rights:
            yield Finding("D005", "error", sample.key, f'nobody says with which right it is used: rights = "own" in source {source + 1}')
        yield from _placed(plan, source, sample)
    looks = looks_of({sample.key: sample for _, sample in found})
    for group in groups_of(looks, pairs_of(looks), SURE):
        first, *others = sorted(group)
        for other in others:
            yield Finding("D004", "warning", other, f"is nearly the same picture as {first}: keep one of the two")


def _placed(plan: Plan, source: int, sample: Sample) -> Iterator[Finding]:
    """Look at what its bucket does to an image."""
    if max(sample.width, sample.height) > MOST_ASPECT * min(sample.width, sample.height):
        yield Finding("D008", "error", sample.key, f"is more than {MOST_ASPECT} times as long as wide: cut out the part that you mean")
        return
    try:
        item = placed_of(plan, source, sample)
    except TooSmallError as error:
        yield Finding("D002", "error", sample.key, f"{error}: find a larger one, or set data.buckets.upscale = true")
        return
    if growth(item) > GROWN:
        yield Finding("D003", "warning", sample.key, f"is enlarged {growth(item):.1f} times and will look soft: find a larger one")
    wide, high = item.placement.resize
    cut = 1 - item.placement.width * item.placement.height / (wide * high)
    if cut > MOST_CUT:
        bucket = f"{item.placement.width} x {item.placement.height}"
        yield Finding("D008", "warning", sample.key, f"loses {cut:.0%} to the crop for its bucket {bucket}: cut out the part that you mean")
