"""``loraspec captions lint``."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loraspec.cli.output import overlay_options, plural, spec_argument
from loraspec.errors import EXIT_DONE, EXIT_FOUND
from loraspec.escape import escaped, escaped_json

if TYPE_CHECKING:
    from loraspec.captionlint.gather import Gathered
    from loraspec.captionlint.rules import Caption, Finding, Setting
    from loraspec.plan import Plan

COLOURS = {"error": "red", "warning": "yellow", "info": "blue"}


@click.command()
@spec_argument
@overlay_options
@click.option("--fix", is_flag=True, help="Put in order what needs no judgement (C004, C106, C107, C113, C115), in the caption files.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array with code, severity, image, message and fixable.")
def lint(spec: Path, profiles: tuple[str, ...], sets: tuple[str, ...], fix: bool, as_json: bool) -> int:
    """Look at captions, and at their images, by the guide's measure.

    Captions are judged as they lie in their files. `captions.lint.ignore` in the spec silences codes. The exit code is 1 when an error
    is left. With --fix, words are never changed: separators, repetitions, byte order marks and a missing style tag are put in order.
    """
    from attrs import asdict

    from loraspec.captionlint.gather import lint as linted
    from loraspec.plan import resolve

    def look() -> tuple[Gathered, Setting, list[Finding]]:
        plan = resolve(spec, profiles=profiles, sets=sets)
        gathered, setting, findings = linted(plan)
        return gathered, setting, sorted([*findings, *_since_lock(plan, gathered)], key=lambda one: (one.image, one.code))

    gathered, setting, findings = look()
    if fix:
        changed = _fixed(gathered.captions, setting, {one.image for one in findings if one.fixable})
        click.echo(f"{plural(len(changed), 'caption')} put in order" + (f": {escaped(', '.join(changed))}" if changed else ""), err=True)
        if changed:
            gathered, setting, findings = look()
    if as_json:
        click.echo(escaped_json(json.dumps([asdict(one) for one in findings], ensure_ascii=False, indent=1)))
    else:
        for image, group in itertools.groupby(findings, lambda one: one.image):
            click.echo(click.style(escaped(image) or "all captions", bold=True))
            for one in group:
                mark = click.style(f"{one.code} {one.severity}", fg=COLOURS[one.severity])
                click.echo(f"  {mark}  {escaped(one.message)}" + (click.style("  (--fix)", dim=True) if one.fixable else ""))
        _summed([one.severity for one in findings], len(gathered.captions), exact=setting.tokens is not None)
    return EXIT_FOUND if any(one.severity == "error" for one in findings) else EXIT_DONE


def _since_lock(plan: Plan, gathered: Gathered) -> tuple[Finding, ...]:
    """Return C121 for each image whose caption is not that of the lock beside the spec."""
    from loraspec.captionlint.rules import Finding
    from loraspec.locking.files import lock_path, read_lock

    path = lock_path(plan.document.path, plan.profiles)
    if not path.is_file() or "C121" in plan.spec.captions.lint.ignore:
        return ()
    locked = read_lock(path)["data"]["images"]
    message = f"is not the caption in {path.name}: loraspec lock takes it"
    changed = [key for key, digest in gathered.digests.items() if key in locked and locked[key]["caption_sha256"] != digest]
    return tuple(Finding("C121", "warning", key, message) for key in changed)


def _summed(severities: list[str], captions: int, *, exact: bool) -> None:
    counts = [plural(severities.count(name), noun) for name, noun in (("error", "error"), ("warning", "warning"), ("info", "remark"))]
    click.echo(f"{plural(captions, 'caption')}: {', '.join(counts)}")
    if not exact:
        click.echo("tokens are estimated: the base's tokenizer is not on this machine", err=True)


def _fixed(captions: Sequence[Caption], setting: Setting, wanted: set[str]) -> list[str]:
    """Write what is put in order; return the images whose captions changed."""
    from loraspec.captionlint.mend import mended
    from loraspec.engine.disk import write_file

    changed = []
    for caption in captions:
        if caption.key not in wanted or caption.path is None:
            continue
        text = mended(caption, setting)
        if text is None:  # a byte order mark alone
            text = (caption.text or "").strip()
        write_file(caption.path, f"{text}\n".encode())
        changed.append(caption.key)
    return changed
