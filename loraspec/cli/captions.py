"""``loraspec captions``."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loraspec.cli.output import echo_problems, overlay_options, plural, spec_argument, table
from loraspec.errors import EXIT_DONE, EXIT_FOUND, Problem, SpecError
from loraspec.escape import escaped, escaped_json

if TYPE_CHECKING:
    from loraspec.captionlint.rules import Caption, Setting


@click.group()
def command() -> None:
    """Look at captions as training will see them."""


@command.command()
@spec_argument
@overlay_options
@click.option("--epoch", "-e", type=click.IntRange(min=1), default=1, show_default=True, help="The epoch, from 1.")
@click.option("--limit", "-n", type=click.IntRange(min=1), help="Stop after so many captions.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per caption.")
def preview(spec: Path, profiles: tuple[str, ...], sets: tuple[str, ...], epoch: int, limit: int | None, as_json: bool) -> int:
    """Print the exact captions of an epoch, in the order of its steps.

    Columns: step (counted over the whole run), image, visit of this image in this epoch (from 1), caption.
    """
    from loraspec.cli.plan import or_meanwhile
    from loraspec.plan import resolve

    plan = resolve(spec, profiles=profiles, sets=sets)
    data = or_meanwhile(plan, "captions preview", lambda: plan.data)
    if epoch > data.epochs:
        message = f"epoch {epoch} is not trained; epochs are 1 to {data.epochs}"
        raise SpecError([plan.placed(Problem("train.epochs", message, code="E-SPEC-RANGE"))])
    if data.undrafted:
        echo_problems([problem for problem in data.problems if problem.path == "captions.captioner"])
    found = list(itertools.islice(data.captions(epoch), limit))
    if as_json:
        for step, visit, caption in found:
            row = {"step": step.index, "key": visit.key, "repeat": visit.repeat, "caption": caption}
            click.echo(escaped_json(json.dumps(row, ensure_ascii=False)))
        return EXIT_DONE
    rows = [(str(step.index), visit.key, str(visit.repeat + 1), caption or "(empty)") for step, visit, caption in found]
    click.echo(table(rows, ("step", "image", "visit", "caption")) if rows else "no captions yet")
    rest = data.samples_per_epoch - len(found)
    if limit is not None and rest:
        click.echo(f"... and {plural(rest, 'more visit')} in epoch {epoch}", err=True)
    return EXIT_DONE


COLOURS = {"error": "red", "warning": "yellow", "info": "blue"}


@command.command()
@spec_argument
@overlay_options
@click.option("--fix", is_flag=True, help="Put in order what needs no judgement (C004, C106, C107, C113, C115), in the caption files.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array with code, severity, image, message and fixable.")
def lint(spec: Path, profiles: tuple[str, ...], sets: tuple[str, ...], fix: bool, as_json: bool) -> int:
    """Look at captions by the guide's measure.

    Captions are judged as they lie in their files. `captions.lint.ignore` in the spec silences codes. The exit code is 1 when an error
    is left. With --fix, words are never changed: separators, repetitions, byte order marks and a missing style tag are put in order.
    """
    from attrs import asdict

    from loraspec.captionlint.gather import lint as linted
    from loraspec.plan import resolve

    plan = resolve(spec, profiles=profiles, sets=sets)
    gathered, setting, findings = linted(plan)
    if fix:
        changed = _fixed(gathered.captions, setting, {one.image for one in findings if one.fixable})
        click.echo(f"{plural(len(changed), 'caption')} put in order" + (f": {escaped(', '.join(changed))}" if changed else ""), err=True)
        if changed:
            gathered, setting, findings = linted(resolve(spec, profiles=profiles, sets=sets))
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
