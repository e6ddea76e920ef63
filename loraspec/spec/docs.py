"""The reference of the core tables in Markdown, generated from the spec's classes: ``python -m loraspec.spec.docs``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import attrs

from loraspec.spec import rules
from loraspec.spec.schema import Choice, Spec
from loraspec.stages import STAGE_OF_TABLE

BEGIN, END = "<!-- generated: spec -->", "<!-- /generated -->"


def docs_table() -> str:
    """Return a Markdown section for each core table: key, type, default, unit, help."""
    return "\n".join(_sections(Spec, "")).strip("\n") + "\n"


def refresh(text: str) -> str:
    """Return a page with the generated part between its markers made anew.

    Raises:
        ValueError: The page has no markers.
    """
    if BEGIN not in text or END not in text.partition(BEGIN)[2]:
        raise ValueError(f"no {BEGIN} ... {END} in the page")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n\n{docs_table()}\n{END}{after}"


def _sections(cls: type[Any], path: str) -> Iterator[str]:
    attrs.resolve_types(cls)
    rows, later = [], []
    fields = list(attrs.fields(cls))
    if cls is Spec:  # as a person writes them: the format's number, other plain keys, then the stages
        fields.sort(key=lambda field: (field.name != "loraspec", field.name in STAGE_OF_TABLE))
    for attribute in fields:
        name = f"{path}.{attribute.name}" if path else attribute.name
        kind = attribute.type
        if isinstance(kind, type) and kind is not Choice and attrs.has(kind):
            later.append((kind, name))
        else:
            rows.append(_row(attribute, name))
    if rows:
        yield from ("", f"### `[{path}]`" if path else "### At the top of the file", "")
        yield from ("| key | type | default | unit | meaning |", "|---|---|---|---|---|", *rows)
    for kind, name in later:
        yield from _sections(kind, name)


def _row(attribute: attrs.Attribute[Any], path: str) -> str:
    stage = STAGE_OF_TABLE.get(path)
    default = rules.default_of(attribute)
    text = rules.help_of(attribute).replace("``", "`")
    if stage is not None:
        kind = f"[[{path}]]" if stage.count == "many" else f"[{path}]"
        words = [f"`{name}`" for name in stage.default]
        said = ", ".join(words) if words else "required" if default is attrs.NOTHING else "none"
        cells = [f"`{attribute.name}`", f"{stage.title}{'s' if stage.count == 'many' else ''}: `{kind}`", said, "", text]
    else:
        said = "required" if default is attrs.NOTHING else "" if default is None else f"`{rules.shown(default)}`"
        cells = [f"`{attribute.name}`", _kind(attribute), said, rules.unit_of(attribute), text]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _kind(attribute: attrs.Attribute[Any]) -> str:
    text = _type(attribute.type)
    limits = [f"{bound.op} {_limit(bound.limit)}" for bound in rules.bounds(attribute.validator) if bound.op[0] in "<>"]
    return ", ".join([text, *limits])


def _limit(value: Any) -> str:
    power = value.bit_length() - 1 if isinstance(value, int) and value > 2**32 else 0
    return f"2^{power}" if power and value == 2**power else rules.shown(value)


def _type(kind: Any) -> str:
    origin: Any = get_origin(kind)
    words = {bool: "true or false", int: "integer", float: "number", str: "string"}
    if kind in words:
        return words[kind]
    if origin is Literal:
        return " ".join(f"`{rules.shown(word)}`" for word in get_args(kind))
    if rules.is_union(kind):
        return " or ".join(_type(member) for member in rules.members(kind))
    return rules.expected(kind).removeprefix("a ").removeprefix("an ")


if __name__ == "__main__":
    page = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/spec.md")
    page.write_text(refresh(page.read_text(encoding="utf-8")), encoding="utf-8")
