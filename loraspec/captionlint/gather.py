"""From a plan to its captions as they lie in their files, and what the spec says of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import frozen

from loraspec.captionlint.data import of_images
from loraspec.captionlint.rules import Caption, Finding, Setting
from loraspec.captions import Pipeline, flatten
from loraspec.scan import scanned
from loraspec.textfile import NotTextError, TooLargeError, decode, read_plain
from loraspec.values import Sample

if TYPE_CHECKING:
    from loraspec.plan import Plan

MOST = 64 * 1024  # bytes of a caption's file


@frozen
class Gathered:
    """Captions by key, what is wrong with their files and images, and sha256 of each caption as a run would take it, "" without one."""

    captions: tuple[Caption, ...]
    findings: tuple[Finding, ...]
    digests: Mapping[str, str]


def gather(plan: Plan) -> Gathered:
    """Scan the sources of a plan; images that cannot be read keep nobody from looking at their captions.

    Raises:
        EnvironmentMissing: A source's data is not there.
    """
    found, problems = scanned(plan)
    captions, findings = [], list(of_images(plan, found, problems))
    for problem in problems:
        if problem.code == "W-CAP-ORPHAN":
            findings.append(Finding("C003", "warning", "", problem.message))
    told = {problem.path: problem for problem in problems if problem.code.startswith("E-CAP-")}
    for _, sample in sorted(found, key=lambda pair: pair[1].key):
        if sample.key in told:
            findings.append(Finding("C004", "error", sample.key, told[sample.key].message))
            continue
        text, mark = _text(sample)
        if mark:
            findings.append(Finding("C004", "error", sample.key, "begins with a byte order mark", fixable=True))
        if sample.state != "approved" and plan.spec.captions.review == "required":
            told_state = sample.state or "not looked at"
            findings.append(Finding("C120", "error", sample.key, f"is {told_state}; the spec wants every caption approved"))
        captions.append(Caption(sample.key, text, plan.spec.captions.separator, sample.caption_path))
    digests = {sample.key: "" if sample.caption is None else hashlib.sha256(sample.caption.encode()).hexdigest() for _, sample in found}
    return Gathered(tuple(captions), tuple(findings), digests)


def _text(sample: Sample) -> tuple[str | None, bool]:
    """Return a caption as written, and whether its file begins with a byte order mark."""
    if sample.caption_path is None:
        return sample.caption, False
    try:
        return decode(read_plain(sample.caption_path, MOST))
    except (OSError, NotTextError, TooLargeError):  # gone since the source looked at it
        return sample.caption, False


def setting_of(plan: Plan) -> Setting:
    """Return what the spec says of captions."""
    captions = plan.spec.captions
    pipeline = Pipeline(plan.built("caption_transform"), captions.separator, plan.context.rng)
    nothing = Sample("", 1, 1, "", "", "", bytes)
    return Setting(
        separator=captions.separator,
        style_tag=flatten(captions.style_tag),
        first_prefix=flatten(captions.first_prefix),
        max_tokens=min(captions.max_tokens, plan.model.max_tokens),
        ensured=pipeline.settled(nothing),
        min_descriptors=captions.lint.min_descriptors,
        near=captions.lint.near,
        fused=captions.lint.fused,
        drafted=plan.one("captioner") is not None,
        tokens=plan.model.counter(),
    )


def lint(plan: Plan) -> tuple[Gathered, Setting, tuple[Finding, ...]]:
    """Return the captions of a plan, the setting, and every finding that the spec does not ignore, by image and code.

    Raises:
        EnvironmentMissing: A source's data is not there.
    """
    from loraspec.captionlint.rules import one_by_one
    from loraspec.captionlint.together import all_together

    gathered, setting = gather(plan), setting_of(plan)
    found = [*gathered.findings, *one_by_one(gathered.captions, setting), *all_together(gathered.captions, setting)]
    ignored = set(plan.spec.captions.lint.ignore)
    kept = sorted((one for one in found if one.code not in ignored), key=lambda one: (one.image, one.code, one.message))
    return gathered, setting, tuple(kept)
