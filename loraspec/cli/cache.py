"""``loraspec cache``: what is kept, why an entry is or is not reused, and room again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loraspec.cli.output import overlay_options, plural, table
from loraspec.cli.plan import or_meanwhile, size
from loraspec.errors import EXIT_DONE, SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loraspec.explain import Explanation
    from loraspec.plan import Plan

SHOWN = 16  # digits of a hash
RUNS = Path("runs")
SPECS = (Path(), Path("specs"))


@click.group()
def command() -> None:
    """Look into the cache of latents and prompt embeddings, which all runs share.

    Its folder is LORASPEC_CACHE, by default loraspec in your cache folder; it grows to LORASPEC_CACHE_MAX (20 GiB).
    """


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(as_json: bool) -> int:
    """Print where the cache is, how much it holds and how much it may hold."""
    from loraspec.cachefolder import KINDS, cache_limit, cache_root, files
    from loraspec.explain import contents_of

    root, limit = cache_root(), cache_limit()
    kinds = {kind: {"entries": 0, "files": 0, "bytes": 0} for kind in (*KINDS, "unusable")}
    for file in files(root):
        contents = contents_of(file)
        row = kinds[contents.recipes[0].kind if contents else "unusable"]
        row["entries"] += len(contents.recipes) if contents else 0
        row["files"] += 1
        row["bytes"] += file.size
    total = sum(row["bytes"] for row in kinds.values())
    if as_json:
        click.echo(json.dumps({"folder": str(root), "limit": limit, "bytes": total, "kinds": kinds}, indent=1))
        return EXIT_DONE
    click.echo(f"{root}   {size(total)} of at most {size(limit)}")
    rows = [(kind, f"{row['entries']:,}", f"{row['files']:,}", size(row["bytes"])) for kind, row in kinds.items() if row["files"]]
    if rows:
        click.echo(table(rows, ("", "entries", "files", "size"), indent=2, styles=("cyan",)))
    if kinds["unusable"]["files"]:
        click.echo("unusable: damaged, left behind by a killed run, or written by another version; the first to go")
    return EXIT_DONE


@command.command()
def clear() -> int:
    """Remove every entry; the next run makes what it needs again."""
    from loraspec.cachefolder import cache_root, own
    from loraspec.cachefolder import clear as remove

    root = cache_root()
    if root.exists():
        own(root)
    freed = remove(root)
    click.echo(f"{root}: {size(freed)} freed")
    return EXIT_DONE


@command.command()
@click.argument("image")
@click.option("--spec", type=click.Path(path_type=Path),
              help="The spec; by default that of the newest run with the image, else the only one here.")
@click.option("--run", type=click.Path(path_type=Path), help="The folder of a run that has it.")
@overlay_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(image: str, spec: Path | None, run: Path | None, profiles: tuple[str, ...], sets: tuple[str, ...], as_json: bool) -> int:
    """Print why the latents of an image are or are not reused, part by part.

    IMAGE is its name in the data set, or a file with the same bytes. What the VAE and the device are is read from what a run of
    the spec has recorded; when none has, the base is loaded.
    """
    from loraspec.cachefolder import cache_root
    from loraspec.explain import explain as look_up
    from loraspec.explain import key_of, newest_with, only_spec_with, recipe_of, recorded
    from loraspec.plan import resolve

    if spec is not None and run is not None:
        raise SpecError("give --spec or --run, not both: a run has its spec")
    if spec is None:
        if profiles or sets:
            raise SpecError("--profile and --set belong to a --spec: a run has its own")
        run = run or newest_with(RUNS, image)
        spec, profiles, sets = _of(run) if run else (only_spec_with(SPECS, image), (), ())
    plan = resolve(spec, profiles=profiles, sets=sets)
    key = or_meanwhile(plan, "plan", lambda: key_of(plan, image))
    folder = run or plan.run_folder
    known = recorded(folder)
    vae, device = known or _asked(plan)
    found = look_up(cache_root(), recipe_of(plan, key, vae=vae, device=device), name=key)
    source = f"VAE and device as {folder} recorded them" if known else "VAE and device as they are here"
    if as_json:
        click.echo(json.dumps(_json(found, key, source), indent=1))
    else:
        click.echo(_screen(found, key, source))
    return EXIT_DONE


def _of(run: Path) -> tuple[Path, tuple[str, ...], tuple[str, ...]]:
    """Return spec, profiles and --set values of a run."""
    try:
        facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
        place, profiles, sets = run / str(facts["spec"]), tuple(facts["profiles"]), tuple(facts["sets"])
    except (OSError, ValueError, LookupError, TypeError):
        raise SpecError(f"{run} holds no run: there is no run.json that can be read") from None
    if not place.is_file():
        raise SpecError(f"{run}: its spec was {facts['spec']!r} as seen from there, and is gone; name one with --spec")
    return Path(os.path.relpath(place)), profiles, sets


def _asked(plan: Plan) -> tuple[str, Mapping[str, Any]]:
    """Load the base and look at the device."""
    from loraspec.engine.device import check_device, facts, setup

    precision = setup(plan.spec.train, check_device(plan.spec.train, plan.model))
    chosen = plan.one("model_family")
    assert chosen is not None  # every spec has a model
    family = chosen.entry.component.build(chosen.options)
    family.load(plan.context, precision=precision)
    return str(family.content()["vae"]), facts(precision)


def _json(found: Explanation, key: str, source: str) -> dict[str, Any]:
    return {
        "image": key, "state": found.state, "why": found.why, "entry": found.path.as_posix(), "source": source,
        "parts": found.recipe.parts, "nearest": found.nearest, "differ": list(found.differ),
    }  # fmt: skip


def _screen(found: Explanation, key: str, source: str) -> str:
    said = {
        "reused": "its latents are there and will be reused",
        "damaged": f"its latents are damaged ({found.why}) and will be made again",
        "absent": "no latents of this image are there; they will be made",
    }[found.state]
    if found.state == "absent" and found.nearest is not None:
        said = f"its latents will be made: {_list(found.differ)} changed since the nearest entry"
    rows = []
    for name, value in found.recipe.parts.items():
        before = "" if found.nearest is None else "same" if name not in found.differ else f"was {_short(found.nearest.get(name))}"
        rows.append((name, _short(value), before))
    lines = [f"{click.style(key, bold=True)}: {said}", table(rows, indent=2, styles=("cyan",)), f"  {source}"]
    if found.differ:
        lines.append(f"  {plural(len(found.differ), 'part')} of {len(rows)} differ from the nearest entry of this image")
    return "\n".join([*lines, f"  entry {found.path.parent}/{_short(found.path.stem)}"])


def _list(names: tuple[str, ...]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _short(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text[:SHOWN] + "..." if len(text) == 64 and set(text) <= set("0123456789abcdef") else text
