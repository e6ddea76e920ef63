"""``loraspec captions draft``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from loraspec.cli.output import echo_problems, overlay_options, plural, spec_argument
from loraspec.errors import EXIT_DONE, EXIT_FOUND, Problem, SpecError, closest
from loraspec.escape import escaped


@click.command()
@spec_argument
@overlay_options
@click.option("--again", is_flag=True, help="Ask about images with an unapproved draft too.")
@click.option("--overwrite", multiple=True, metavar="IMAGE", help="Ask about this image even if a person wrote or approved its caption.")
@click.option("--limit", "-n", type=click.IntRange(min=1), help="Ask about so many images at most.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask before a program is started, images leave this machine, or it costs something.")
def draft(
    spec: Path, profiles: tuple[str, ...], sets: tuple[str, ...], again: bool, overwrite: tuple[str, ...], limit: int | None, yes: bool
) -> int:
    """Let the captioner of the spec write captions of images that have none, or a rejected one.

    Each draft is kept at once, in the image's caption file and in the ledger. What a person wrote or approved is never overwritten,
    unless --overwrite names the image. The exit code is 1 when an image got no draft.
    """
    from loraspec.captioning.drafting import draft as drafts
    from loraspec.captioning.drafting import requests_of, wanted
    from loraspec.captioning.items import items_of, note_outside
    from loraspec.contracts import built
    from loraspec.plan import resolve

    plan = resolve(spec, profiles=profiles, sets=sets)
    choice = plan.one("captioner")
    if choice is None:
        hint = "choose one: [captions.captioner] use = \"openai-chat\", or another of `loraspec plugins`"
        raise SpecError([plan.placed(Problem("captions.captioner", "the spec names no captioner", hint, code="E-CAP-DRAFT"))])
    items, problems = items_of(plan)
    echo_problems([problem for problem in problems if problem.severity == "error" and problem.code.startswith("E-IMG")])
    unknown = [name for name in overwrite if name not in {item.key for item in items}]
    if unknown:
        near = closest(unknown[0], [item.key for item in items])
        raise SpecError([Problem(unknown[0], "is no image of the data", f"did you mean {near!r}?" if near else "", code="E-CAP-DRAFT")])
    chosen = wanted(note_outside(items), again=again, overwrite=overwrite)[:limit]
    if not chosen:
        click.echo("every image has a caption; nothing to draft")
        return EXIT_DONE
    captioner = built("captioner", choice.entry.qualified, choice.entry.component, choice.options)
    click.echo(f"{plural(len(chosen), 'image')} for {choice.entry.qualified}", err=True)
    if hasattr(captioner, "announce"):
        click.echo(escaped(str(captioner.announce(requests_of(plan, chosen))), keep="\n"), err=True)
    if getattr(captioner, "consent", False):
        _agreed(yes)
    done, failed = 0, []
    for outcome in drafts(plan, captioner, chosen, overwrite=overwrite):
        if outcome.problem:
            failed.append(Problem(outcome.draft.key, outcome.problem, code="E-CAP-DRAFT"))
            continue
        done += 1
        key = click.style(escaped(outcome.draft.key), bold=True)
        click.echo(f"{key}  {escaped(outcome.draft.text)}")
    echo_problems(failed)
    click.echo(f"{plural(done, 'draft')} written; read them: loraspec captions review {escaped(str(spec))}", err=True)
    return EXIT_FOUND if failed else EXIT_DONE


def _agreed(yes: bool) -> None:
    """Ask a person to go on.

    Raises:
        click.Abort: They do not.
        click.UsageError: Nobody is there to ask.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is there to agree: add --yes")
    click.confirm("go on?", default=True, abort=True, err=True)
