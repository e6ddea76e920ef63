"""``loraspec plugins`` and ``loraspec plugins show``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loraspec.cli.output import plural, table, width, wrapped

if TYPE_CHECKING:
    from loraspec.catalog import Catalog, Entry
    from loraspec.plugins import Plugin

LEAST_MEANING = 24  # columns

_files = click.option("--file", "-f", "files", multiple=True, metavar="FILE", type=click.Path(path_type=Path),
                      help="Load a plugin file too, as `plugins = [...]` in a spec does; repeatable.")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(invoke_without_command=True)
@_files
@_json
@click.pass_context
def command(ctx: click.Context, files: tuple[Path, ...], as_json: bool) -> int | None:
    """List the installed components and their options.

    Without a command: every plugin with its components, then those that cannot be used and why.
    """
    if ctx.invoked_subcommand is not None:
        return None
    from loraspec.catalog import discover

    catalog = discover(files)
    if as_json:
        from loraspec.cli.describe import plugin_json

        groups = {name: getattr(catalog, name) for name in ("plugins", "broken", "outdated", "disabled")}
        click.echo(json.dumps({name: [plugin_json(p, catalog) for p in found] for name, found in groups.items()}, indent=2))
        return 0
    for plugin in catalog.plugins:
        click.echo(_heading(plugin))
        _echo_stages(catalog, plugin)
        click.echo()
    _echo_unusable("cannot be used", catalog.broken)
    _echo_unusable("outdated", catalog.outdated)
    _echo_unusable("disabled by LORASPEC_DISABLED_PLUGINS", catalog.disabled)
    components = plural(len(catalog.entries()), "component")
    click.echo(f"{plural(len(catalog.plugins), 'plugin')}, {components}; options: loraspec plugins show NAME")
    return 0


@command.command("show")
@click.argument("name")
@_files
@_json
def show(name: str, files: tuple[Path, ...], as_json: bool) -> int:
    """Print what a plugin or a component offers: options, defaults, help.

    NAME is a plugin (guide), a component (dadapt-adamw), or both (guide:dadapt-adamw).
    """
    from loraspec.catalog import discover
    from loraspec.cli.describe import entry_json, plugin_json

    catalog = discover(files)
    plugins = [p for p in (*catalog.plugins, *catalog.broken, *catalog.outdated, *catalog.disabled) if p.name == name]
    entries = [e for e in catalog.entries() if name in (e.component.name, e.qualified)]
    if not plugins and not entries:
        from loraspec.errors import PluginError, did_you_mean

        known = [p.name for p in catalog.plugins] + [e.component.name for e in catalog.entries()]
        hint = did_you_mean(name, known)
        raise PluginError(f"no plugin and no component is named {name!r}" + (f"\n    hint: {hint}" if hint else ""))
    if as_json:
        click.echo(json.dumps([plugin_json(p, catalog) for p in plugins] + [entry_json(e) for e in entries], indent=2))
        return 0
    for plugin in plugins:
        click.echo(_heading(plugin))
        hashed = "file" if plugin.file else "RECORD"
        click.echo(f"  imports {plugin.target}, sha256 of its {hashed} {plugin.record_sha256[:12] or 'unknown'}")
        if plugin.error:
            click.echo(f"  {click.style('cannot be used:', fg='red')} {plugin.error}")
            click.echo("\n" + plugin.details if plugin.details else "", nl=bool(plugin.details))
        entries += [e for e in catalog.entries() if e.plugin == name and e not in entries]
    for entry in entries:
        click.echo()
        _echo_entry(entry)
    return 0


def _heading(plugin: Plugin) -> str:
    where = f"{plugin.distribution} {plugin.version}, {plugin.origin}" if plugin.distribution else f"file {plugin.target}"
    return f"{click.style(plugin.name, bold=True)}  {click.style(where, dim=True)}"


def _echo_stages(catalog: Catalog, plugin: Plugin) -> None:
    from loraspec.cli.describe import by_stage

    rows = [(stage.title, ", ".join(e.component.name for e in entries)) for stage, entries in by_stage(catalog, plugin.name)]
    click.echo(table(rows, indent=2) if rows else "  offers no components")


def _echo_unusable(title: str, plugins: Iterable[Plugin]) -> None:
    for plugin in plugins:
        click.echo(f"{_heading(plugin)}\n  {click.style(title, fg='red')}{': ' + plugin.error if plugin.error else ''}\n")


def _echo_entry(entry: Entry) -> None:
    from loraspec.cli.describe import options_of, table_of
    from loraspec.stages import STAGE

    stage = STAGE[entry.stage]
    came = f"{entry.distribution} {entry.version}" if entry.distribution else "plugin file"
    click.echo(f"{click.style(entry.qualified, bold=True)}  {stage.title} for {table_of(stage)}, {came}")
    if entry.component.summary:
        click.echo("\n".join(wrapped(entry.component.summary, indent=2)))
    if entry.component.libraries:
        click.echo("\n".join(wrapped(f"locked with: {', '.join(entry.component.libraries)}", indent=2, hanging=4)))
    rows = [(o.name, o.type, "required" if o.default is None else o.default, o.meaning) for o in options_of(entry.component.options)]
    click.echo("\n" + _options(rows) if rows else "  no options")


def _options(rows: list[tuple[str, str, str, str]]) -> str:
    """Lay options out as a table, or one below the other where the terminal leaves the meaning too little room."""
    taken = sum(max(len(row[number]) for row in rows) + 2 for number in range(3))
    if width() - taken - 2 >= LEAST_MEANING:
        return table(rows, ("option", "type", "default", "meaning"), indent=2, styles=("cyan",))
    lines = []
    for name, kind, default, meaning in rows:
        value = default if default in ("required", "absent") else f"default {default}"
        head = wrapped(f"{name}  {kind}, {value}", indent=2, hanging=6)
        head[0] = head[0].replace(name, click.style(name, fg="cyan"), 1)
        lines += head + wrapped(meaning, indent=6)
    return "\n".join(lines)
