"""Write the generated parts of ``docs/``: ``python -m loraspec.cli.docs [--check]``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from loraspec import codes, contracts
from loraspec.catalog import Catalog, Entry, discover
from loraspec.cli import COMMANDS, main
from loraspec.cli.describe import options_of, table_of
from loraspec.hookspecs import PlanHooks, RegistrationHooks, RunHooks
from loraspec.locking.fields import classes_table, fields_table, levels_table
from loraspec.spec.docs import docs_table
from loraspec.stages import STAGE, STAGES

_MARKED = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- /generated -->)", re.DOTALL)
HELP_WIDTH = 100


def hooks_table(*groups: type) -> str:
    """Return a table of hooks: name with its exact arguments, and its docstring."""
    rows = ["| hook | what it is for |", "|---|---|"]
    for group in groups:
        for name, function in vars(group).items():
            if name.startswith("loraspec_"):
                arguments = ", ".join(parameter for parameter in inspect.signature(function).parameters if parameter != "self")
                rows.append(f"| `{name}({arguments})` | {_cell(' '.join((function.__doc__ or '').split()))} |")
    return "\n".join(rows)


def stages_table() -> str:
    """Return a table of stages: where they stand in a spec, how many, the default, the contract."""
    rows = ["| stage | in a spec | how many | default | contract |", "|---|---|---|---|---|"]
    for stage in STAGES:
        contract = "".join(part.capitalize() if part != "lr" else "LR" for part in stage.name.split("_"))
        contract = next((name for name in (contract, f"{contract}Factory") if hasattr(contracts, name)), "any object with event methods")
        default = ", ".join(f"`{name}`" for name in stage.default) or "none"
        contract = f"`{contract}`" if " " not in contract else contract
        rows.append(f"| {stage.title} | `{table_of(stage)}` | {stage.count} | {default} | {contract} |")
    return "\n".join(rows)


def components_page(catalog: Catalog) -> str:
    """Return a section for each stage and built-in component: summary, and its options."""
    parts = []
    for stage in STAGES:
        entries = [entry for entry in catalog.entries(stage.name) if entry.distribution == "loraspec"]
        parts.append(f"## {stage.title[0].upper()}{stage.title[1:]}: `{table_of(stage)}`\n")
        parts += [_component(entry) for entry in entries] or ["No built-in component; plugins offer them.\n"]
    return "\n".join(parts).rstrip("\n")


def _component(entry: Entry) -> str:
    component = entry.component
    default = ", the default" if component.name in STAGE[entry.stage].default else ""
    lines = [f"### `{component.name}`\n", f"{component.summary} Plugin `{entry.plugin}`{default}."]
    if component.libraries:
        lines[-1] += f" Locked with {', '.join(f'`{library}`' for library in component.libraries)}."
    lines.append("")
    rows = [
        f"| `{o.name}` | {_code(o.type)} | {'required' if o.default is None else _code(o.default)} | {_cell(o.unit)} | {_cell(o.help)} |"
        for o in options_of(component.options)
    ]
    lines += ["| option | type | default | unit | meaning |", "|---|---|---|---|---|", *rows] if rows else ["No options."]
    return "\n".join(lines) + "\n"


def cli_page() -> str:
    """Return every command's ``--help``, groups' commands included."""
    return "\n".join(_helps()).rstrip("\n")


def _helps() -> Iterator[str]:
    def text(command: click.Command, path: str) -> str:
        context = click.Context(command, info_name=path, terminal_width=HELP_WIDTH, max_content_width=HELP_WIDTH,
                                help_option_names=["-h", "--help"])
        return f"```text\n{command.get_help(context)}\n```\n"

    yield "## `loraspec`\n"
    yield text(main, "loraspec")
    context = click.Context(main)
    for name in (name for section in COMMANDS.values() for name in section):
        command = main.get_command(context, name)
        assert command is not None
        yield f"## `loraspec {name}`\n"
        yield text(command, f"loraspec {name}")
        for inner, nested in (command.commands.items() if isinstance(command, click.Group) else ()):
            yield f"### `loraspec {name} {inner}`\n"
            yield text(nested, f"loraspec {name} {inner}")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("``", "`")


def _code(text: str) -> str:
    return f"`{_cell(text)}`" if text else ""


PARTS: dict[str, Callable[[], str]] = {
    "registration-hooks": lambda: hooks_table(RegistrationHooks, PlanHooks),
    "events": lambda: hooks_table(RunHooks),
    "stages": stages_table,
    "components": lambda: components_page(discover()),
    "cli": cli_page,
    "codes": codes.table,
    "lock-levels": levels_table,
    "lock-classes": classes_table,
    "lock-fields": fields_table,
    "spec": lambda: docs_table().rstrip("\n"),
}


def refreshed(text: str) -> str:
    """Return a page with each part between ``<!-- generated: NAME -->`` and ``<!-- /generated -->`` made anew."""

    def part(match: re.Match[str]) -> str:
        return f"{match[1]}\n{PARTS[match[2]]()}\n\n{match[3]}" if match[2] in PARTS else match[0]

    return _MARKED.sub(part, text)


def stale(folder: Path, *, write: bool) -> list[Path]:
    """Return the pages whose generated parts are not what they should be, after writing them when asked."""
    found = []
    for page in sorted(folder.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        if not _MARKED.search(text):
            continue
        fresh = refreshed(text)
        if fresh != text:
            found.append(page)
            if write:
                page.write_text(fresh, encoding="utf-8")
    return found


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 when a page is stale.")
@click.option("--folder", type=click.Path(path_type=Path), default=Path("docs"), show_default=True)
def command(check: bool, folder: Path) -> None:
    """Write the generated parts of the docs."""
    found = stale(folder, write=not check)
    for page in found:
        click.echo(f"{page}: {'stale' if check else 'written'}")
    if check and found:
        click.get_current_context().exit(1)


if __name__ == "__main__":
    command()
