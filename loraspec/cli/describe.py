"""Components and options in words, for listings and for the generated docs."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterator
from typing import Any, Literal

import attrs
from attrs import frozen

from loraspec.catalog import Catalog, Entry
from loraspec.plugins import Plugin
from loraspec.stages import STAGE, STAGES, Stage


@frozen
class OptionFacts:
    """One option as a person reads it: dotted name, type, default in TOML (None when required), unit, help."""

    name: str
    type: str
    default: str | None
    unit: str
    help: str

    @property
    def meaning(self) -> str:
        """The help with the unit."""
        return f"{self.help.rstrip('.')} ({self.unit})." if self.unit else self.help


def options_of(cls: type[Any], prefix: str = "") -> Iterator[OptionFacts]:
    """Yield the options of an attrs class, nested classes with dotted names."""
    try:
        hints = typing.get_type_hints(cls)
    except (NameError, TypeError):  # annotations of names that only type checkers import
        hints = {}
    for field in attrs.fields(cls):
        hint = hints.get(field.name, field.type)
        if isinstance(hint, type) and attrs.has(hint):
            yield from options_of(hint, f"{prefix}{field.name}.")
            continue
        default = None if field.default is attrs.NOTHING else toml_value(_default(field.default))
        yield OptionFacts(prefix + field.name, type_name(hint), default, field.metadata.get("unit", ""), field.metadata.get("help", ""))


def _default(default: Any) -> Any:
    return default.factory() if isinstance(default, attrs.Factory) and not default.takes_self else default  # type: ignore[arg-type]


def type_name(hint: Any) -> str:
    """Return a type the way the spec's reader thinks of it: ``float``, ``"a" | "b"``, ``list of str``."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return " | ".join(toml_value(value) for value in arguments)
    if origin is typing.Union or isinstance(hint, types.UnionType):
        return " | ".join(type_name(argument) for argument in arguments if argument is not type(None))
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        return f"[{', '.join(type_name(argument) for argument in arguments)}]"
    if origin in (tuple, list):
        return f"list of {type_name(arguments[0])}"
    if origin is dict:
        return f"table of {type_name(arguments[1])}"
    return getattr(hint, "__name__", str(hint))


def toml_value(value: Any) -> str:
    """Return a value as TOML writes it; None, which TOML lacks, as ``absent``."""
    if value is None:
        return "absent"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml_value(item)}" for key, item in value.items()) + "}"
    return repr(value)


def table_of(stage: Stage) -> str:
    """Return a stage's table as it is written in a spec."""
    return f"[[{stage.table}]]" if stage.count == "many" else f"[{stage.table}]"


def by_stage(catalog: Catalog, plugin: str) -> Iterator[tuple[Stage, list[Entry]]]:
    """Yield the stages that a plugin serves, in pipeline order, with its components."""
    for stage in STAGES:
        entries = [entry for entry in catalog.entries(stage.name) if entry.plugin == plugin]
        if entries:
            yield stage, entries


def plugin_json(plugin: Plugin, catalog: Catalog) -> dict[str, Any]:
    """Return a plugin's facts for ``--json``."""
    facts = {key: getattr(plugin, key) for key in ("name", "distribution", "version", "origin", "record_sha256", "target")}
    if plugin.error:
        return {**facts, "error": plugin.error}
    return {**facts, "components": [entry_json(entry) for entry in catalog.entries() if entry.plugin == plugin.name]}


def entry_json(entry: Entry) -> dict[str, Any]:
    """Return a component's facts for ``--json``."""
    return {
        "name": entry.component.name,
        "qualified": entry.qualified,
        "stage": entry.stage,
        "table": STAGE[entry.stage].table,
        "summary": entry.component.summary,
        "distribution": entry.distribution,
        "version": entry.version,
        "libraries": list(entry.component.libraries),
        "options": [
            {"name": o.name, "type": o.type, "required": o.default is None, "default": o.default, "unit": o.unit, "help": o.help}
            for o in options_of(entry.component.options)
        ],
    }
