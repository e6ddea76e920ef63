"""``loraspec verify``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from loraspec.cli.output import plural, table, wrapped
from loraspec.cli.targets import differences_table, target
from loraspec.errors import EXIT_DONE, EXIT_FOUND
from loraspec.locking.compare import Difference, Verdict, differences, reachable
from loraspec.locking.fields import LEVELS

GROUPS = (
    ("spec", ("spec", "random", "order", "stream")),
    ("data", ("data",)),
    ("base", ("model", "run.base")),
    ("plugins", ("stages", "plugins", "plugin_files")),
    ("plan", ("plan", "adapter", "run.optimizer")),
    ("environment", ("environment",)),
    ("device", ("run.device", "run.determinism")),
    ("fingerprint", ("run.fingerprint",)),
)


@click.command()
@click.argument("what", metavar="LOCK|RUN", type=click.Path(path_type=Path))
@click.option("--level", type=click.Choice(["R1", "R2", "R3"]), default="R3", show_default=True, help="Exit with 1 below this level.")
def command(what: Path, level: str) -> int:
    """Check a lock or a run against this machine, without training.

    Looks at spec, data, base, plugins, packages, device and the numerics fingerprint; of a run also at every file that it
    committed. Says the highest level that can be reached here, and why not a higher one.
    """
    from loraspec.engine.pin import lock_now
    from loraspec.known import known

    known().forget_files()  # a check reads everything
    chosen = target(what)
    if chosen.lock is None:
        raise click.UsageError(f"{what} is a spec: name its lock or a run (loraspec lock {what} makes the lock)")
    now = lock_now(chosen.plan())
    found = differences(chosen.lock, now)
    rows = [(name, _row(name, chosen.lock, found, paths)) for name, paths in GROUPS]
    wrong: list[str] = []
    if chosen.kind == "run":
        from loraspec.engine.audit import audit

        for part in audit(what if what.is_dir() else what.parent):
            rows.append((part.name, part.words))
            wrong += part.wrong
    click.echo(table(rows, ("looked at", "found"), styles=("cyan",)))
    if found:
        click.echo(f"\n{differences_table(found, headings=('locked', 'here'))}")
    for line in wrong:
        click.echo(f"damaged: {line}", err=True)
    best = reachable(found, now)
    click.echo(f"\nreachable here: {say_level(best)}")
    return EXIT_FOUND if wrong or best.level < level else EXIT_DONE


def say_level(verdict: Verdict) -> str:
    """Return a level with its meaning, and the reasons below it."""
    words = click.style(f"{verdict.level} {LEVELS[verdict.level]}", bold=True)
    return "\n".join([words, *("\n".join(wrapped(f"- {line}", indent=2, hanging=4)) for line in verdict.why)])


def _row(name: str, lock: Mapping[str, Any], found: Sequence[Difference], paths: Sequence[str]) -> str:
    mine = [item for item in found if any(item.path == path or item.path.startswith(f"{path}.") for path in paths)]
    matters = [item for item in mine if item.field.kind != "info"]
    if not matters:
        return "as locked" + (f" ({plural(len(mine), 'field')} of class info differ)" if mine else "") + _size(name, lock)
    return f"{plural(len(matters), 'field')} differ{'s' if len(matters) == 1 else ''}"


def _size(name: str, lock: Mapping[str, Any]) -> str:
    """How much was compared, where a number says something."""
    counts = {
        "data": (len(lock["data"]["images"]), "image"),
        "base": (len(lock["model"].get("files", {})), "file"),
        "environment": (len(lock["environment"]["packages"]), "package"),
        "fingerprint": (sum(map(len, lock.get("run", {}).get("fingerprint", {}).values())), "kernel"),
    }
    count, noun = counts.get(name, (0, ""))
    return f": {plural(count, noun)}" if count else ""
