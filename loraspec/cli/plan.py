"""``loraspec plan``."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from loraspec.cli.output import echo_problems, overlay_options, plural, rehash_option, spec_argument, table
from loraspec.errors import EXIT_DONE, EnvironmentMissing
from loraspec.escape import escaped, escaped_json

if TYPE_CHECKING:
    from loraspec.plan import Plan

T = TypeVar("T")


@click.command()
@spec_argument
@overlay_options
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
@click.option("--device-memory", "limit", metavar="SIZE", help="Say whether it fits a device of so much memory, as 12GB.")
@rehash_option
@click.option("--digests", is_flag=True, help="Print the stream digest of every epoch: what it trains on, as one number.")
def command(spec: Path, profiles: tuple[str, ...], sets: tuple[str, ...], as_json: bool, digests: bool, limit: str | None) -> int:
    """Say exactly what a run will do; changes nothing.

    Reads the images and captions, not the weights: needs no torch. Exit code 3 when the data is missing.
    """
    from loraspec.forecast import all_warnings
    from loraspec.plan import resolve

    room = None if limit is None else _limit(limit)
    plan = resolve(spec, profiles=profiles, sets=sets)
    numbers = or_meanwhile(plan, "plan", plan.summary)
    if digests:
        numbers["stream_sha256"] = [plan.data.stream_digest(epoch) for epoch in range(1, plan.data.epochs + 1)]
    if as_json:
        click.echo(escaped_json(json.dumps(numbers, indent=1, ensure_ascii=False)))
        return EXIT_DONE
    click.echo(screen(plan, numbers))
    for epoch, digest in enumerate(numbers.get("stream_sha256", ()), start=1):
        click.echo(f"  {click.style(f'epoch {epoch:>4}', fg='cyan')}  {digest}")
    if room is not None:
        click.echo(_fits(plan, numbers["memory"], spec, room))
    echo_problems(all_warnings(plan))
    click.echo("Nothing was changed.")
    return EXIT_DONE


def or_meanwhile(plan: Plan, verb: str, work: Callable[[], T]) -> T:
    """Return what ``work`` gives; when something is missing, say what can be looked at meanwhile.

    Raises:
        EnvironmentMissing: Data or the base is not here.
    """
    try:
        return work()
    except EnvironmentMissing as error:
        hint = f"meanwhile, with data of its own: loraspec {verb} {plan.meanwhile}" if plan.meanwhile else ""
        raise EnvironmentMissing(str(error), hint=hint).coded(error.code) from error


def screen(plan: Plan, numbers: dict[str, Any]) -> str:
    """Return the plan as a person reads it."""
    profiles = f"   profile {', '.join(plan.profiles)}" if plan.profiles else ""
    head = f"{click.style(escaped(plan.document.name), bold=True)}{profiles}   hash {plan.spec_hash[:12]}"
    rows = [
        ("base", f"{numbers['base']} ({numbers['stages']['model_family'][0]})"),
        ("data", _data(numbers)),
        ("buckets", _buckets(numbers)),
        ("captions", _captions(plan, numbers)),
        ("adapter", _adapter(plan, numbers)),
        ("cache", _cache(numbers)),
        ("train", _train(plan, numbers)),
        ("epochs", _files(plan, numbers)),
        ("grid", _grid(numbers)),
        *([("judging", _judging(numbers))] if numbers["judged_cells"] else []),
        ("disk", _disk(numbers["disk"])),
        *([("memory", _memory(plan, numbers["memory"]))] if numbers["memory"] else []),
        ("folder", numbers["run_folder"]),
    ]
    return f"{head}\n{table(rows, indent=2, styles=('cyan',))}"


def _data(numbers: dict[str, Any]) -> str:
    away = f", {len(numbers['heldout'])} held out" if numbers["heldout"] else ""
    return f"{plural(numbers['images'], 'image')}{away}; {numbers['samples_per_epoch']:,} samples per epoch (repeats {numbers['repeats']})"


def _buckets(numbers: dict[str, Any]) -> str:
    largest = sorted(numbers["buckets"], key=lambda bucket: -bucket["images"])
    shown = [f"{bucket['width']} x {bucket['height']}: {bucket['images']}" for bucket in largest[:6]]
    rest = largest[6:]
    if rest:
        shown.append(f"{len(rest)} more: {sum(bucket['images'] for bucket in rest)}")
    return ", ".join(shown)


def _captions(plan: Plan, numbers: dict[str, Any]) -> str:
    chain = " > ".join(choice.entry.component.name for choice in plan.many("caption_transform"))
    return f"{plural(numbers['embeddings'], 'distinct text')} over all epochs" + (f"; {chain}" if chain else "")


def _adapter(plan: Plan, numbers: dict[str, Any]) -> str:
    rank = f"rank {plan.adapter.rank}, " if plan.adapter.rank else ""
    modules = plural(numbers["adapter_modules"], "module")
    return f"{numbers['stages']['adapter'][0]}: {rank}{modules}, {numbers['adapter_parameters']:,} parameters"


def _cache(numbers: dict[str, Any]) -> str:
    from loraspec.forecast import HOST_BYTES

    where = "of memory" if numbers["embedding_bytes"] <= HOST_BYTES else "of the disk while it trains"
    return f"{numbers['latents']:,} latents; embeddings of an epoch take {size(numbers['embedding_bytes'])} {where}"


def _train(plan: Plan, numbers: dict[str, Any]) -> str:
    train = plan.spec.train
    accumulated = f" x {train.gradient_accumulation_steps}" if train.gradient_accumulation_steps > 1 else ""
    batch = f"batch {train.batch_size}{accumulated}"
    product = f"{plural(numbers['epochs'], 'epoch')} x {numbers['steps_per_epoch']:,} ({batch})"
    return f"{numbers['steps']:,} steps = {product}; {numbers['stages']['optimizer'][0]}"


def _files(plan: Plan, numbers: dict[str, Any]) -> str:
    names = [entry["path"] for entry in numbers["files"]]
    if not names:
        return "none: there is no exporter"
    return f"{plural(numbers['epoch_files'], 'file')}, {size(numbers['epoch_file_bytes'])} each: {names[0]} ..."


def _grid(numbers: dict[str, Any]) -> str:
    grid = numbers["grid"]
    if not numbers["grid_cells"]:
        return "none: there is no evaluator"
    parts = ((grid["weights"], "weight"), (grid["prompts"], "prompt"), (grid["seeds"], "seed"))
    product = " x ".join([plural(len(grid["epochs"]), "epoch"), *(plural(len(items), noun) for items, noun in parts)])
    base = len(grid["prompts"]) * len(grid["seeds"])
    return f"{numbers['grid_cells']:,} cells = {product} + {base} without LoRA, {grid['width']} x {grid['height']} px"


def _judging(numbers: dict[str, Any]) -> str:
    grid, cells = numbers["grid"], numbers["judged_cells"]
    parts = (("epochs", "epoch"), ("judged_weights", "weight"), ("judged_prompts", "prompt"), ("judged_seeds", "seed"))
    counts = [len(grid[name]) for name, _ in parts]
    product = " x ".join(plural(count, noun) for count, (_, noun) in zip(counts, parts, strict=True))
    more = f"; at most {numbers['fresh_cells']:,} more to confirm the best" if numbers["fresh_cells"] else ""
    return f"{cells:,} cells = {product} + {cells - math.prod(counts)} without LoRA{more}"


def _disk(disk: dict[str, int]) -> str:
    parts = {"weights": disk["epoch_files"], "state": disk["state"], "cache": disk["cache"], "grid": disk["grid"]}
    return " + ".join(f"{size(count)} {name}" for name, count in parts.items()) + f" at most; free {size(disk['free'])}"


def _memory(plan: Plan, memory: dict[str, int]) -> str:
    """Return what the device must hold, by part, and what checkpointing would change."""
    trained = memory["adapter"] + memory["gradients"] + memory["optimizer"]
    parts = {"base": memory["weights"], "adapter, gradients, optimizer": trained, "activations": memory["activations"]}
    on = plan.spec.train.gradient_checkpointing
    other = memory["training"] - memory["activations"] + memory["without_checkpointing" if on else "with_checkpointing"]
    caching = f"; caching images {size(memory['vae'])}" if memory["vae"] > memory["training"] else ""
    shown = " + ".join(f"{size(count)} {name}" for name, count in parts.items())
    return f"device {size(memory['training'])} = {shown}{caching}; {'without' if on else 'with'} gradient_checkpointing {size(other)}"


def _limit(text: str) -> int:
    from loraspec.memory import bytes_of

    try:
        return bytes_of(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--device-memory") from None


def _fits(plan: Plan, memory: dict[str, int] | None, spec: Path, limit: int) -> str:
    """Return whether the run fits, and the ways that do."""
    from loraspec.memory import advice

    if memory is None:
        return "The base's family does not forecast the device's memory."
    if memory["peak"] <= limit:
        return f"It fits {size(limit)}, with {size(limit - memory['peak'])} to spare for the driver."
    ways = list(advice(plan, spec, limit))
    head = f"It does not fit {size(limit)}."
    if not ways:
        return f"{head} Neither does any profile of the spec; a smaller data.resolution, train.batch_size or adapter.rank takes less."
    rows = [(words, f"{size(peak)} at most") for words, peak in ways]
    return f"{head} What does:\n{table(rows, indent=2, styles=('cyan',))}"


def size(count: int) -> str:
    """Return bytes as a person reads them: ``681.4 MB`` (decimal, as file managers count)."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            break
        amount /= 1000
    return f"{count} bytes" if unit == "bytes" else f"{amount:,.1f} {unit}"
