"""From an older format to the newest, one step for each number; comments, order and spacing stay."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import tomlkit
from attrs import frozen
from tomlkit.items import InlineTable, Item

from loraspec.errors import Problem, SpecError
from loraspec.spec import locator
from loraspec.spec.document import parse
from loraspec.spec.paths import Parts, render
from loraspec.spec.rules import shown
from loraspec.spec.schema import FORMAT

Table = dict[str, Any]


@frozen
class Migrated:
    """A migrated text, its formats before and after, and what was changed, one line each; no change leaves the text as it was."""

    text: str
    before: int
    after: int
    changes: tuple[str, ...]


def migrate(text: str, *, name: str = "spec") -> Migrated:
    """Rewrite a spec's text in the newest format.

    Args:
        text: The TOML text.
        name: What messages call the file.

    Raises:
        SpecError: It is not TOML, has a newer format, or holds an old and a new name of one thing.
    """
    found = parse(text, name=name, path=Path(name)).tables.get("loraspec", 0)
    before = found if type(found) is int else -1
    if before not in range(FORMAT + 1):
        message = f"this loraspec knows the formats 0 to {FORMAT}, got {shown(found)}"
        raise SpecError([Problem("loraspec", message, "pip install --upgrade loraspec", name, code="E-SPEC-VERSION")])
    if before == 0 and _is_newest_without_number(text, name):
        hint = f"the rest is format {FORMAT}: write `loraspec = {FORMAT}`"
        raise SpecError([Problem("loraspec", "required key missing", hint, name, code="E-SPEC-VERSION")])
    changes: list[str] = []
    for number in range(before, FORMAT):
        text = _STEPS[number](text, name, changes)
    return Migrated(text, before, FORMAT, tuple(changes))


# -- format 0 to 1 -------------------------------------------------------------------------------------------------------

_RENAMED: Mapping[Parts, str] = {
    ("meta",): "run",
    ("base",): "model",
    ("base", "model"): "checkpoint",
    ("schedule",): "lr_scheduler",
    ("evaluate",): "grid",
    ("train", "precision"): "mixed_precision",
    ("train", "accumulate"): "gradient_accumulation_steps",
    ("train", "checkpoint_gradients"): "gradient_checkpointing",
}


def _is_newest_without_number(text: str, name: str) -> bool:
    """Return whether a file without a number has the tables of format 1 and none of format 0."""
    tables = parse(text, name=name, path=Path(name)).tables
    old = {path[0] for path in _RENAMED if len(path) == 1}
    return "loraspec" not in tables and not old & set(tables) and bool({"model", "run", "grid", "lr_scheduler"} & set(tables))


def _to_1(text: str, name: str, changes: list[str]) -> str:
    """Format 1 named everything as diffusers and PEFT do, put name and seed into ``[run]``, and numbered itself."""
    text = _rename(text, name, changes)
    document = tomlkit.parse(text)
    for where, tables in [("", cast(Table, document)), *_profiles(document)]:
        _move_seed(where, tables, changes)
        train = tables.get("train")
        if isinstance(train, dict) and train.get("mixed_precision") == "fp32":
            _replace(train, "mixed_precision", "no")
            changes.append(f'{where}train.mixed_precision: "fp32" is now "no"')
    if "loraspec" in document:
        _replace(cast(Table, document), "loraspec", 1)
        text = tomlkit.dumps(document)
    else:
        text = _number_first(tomlkit.dumps(document))
    changes.append("loraspec = 1: files carry the number of their format")
    return text


def _profiles(document: tomlkit.TOMLDocument) -> list[tuple[str, Table]]:
    profiles = document.get("profiles", {})
    items = profiles.items() if isinstance(profiles, dict) else ()
    return [(f"{render(('profiles', str(key)))}.", table) for key, table in items if isinstance(table, dict)]


def _rename(text: str, name: str, changes: list[str]) -> str:
    """Rename keys in place, in the text itself: nothing else can move."""
    text = text.replace("\r\n", "\n")
    places, _ = locator.locate(text)
    edits: list[tuple[int, int, str]] = []
    problems = []
    for path, start, end in places.mentions:
        lead, own = (path[:2], path[2:]) if path[0] == "profiles" else ((), path)
        new = _RENAMED.get(own)
        if new is None:
            continue
        target = (*path[:-1], new)
        told = f"{render(path)} is now {render((*lead, *_now(own)))}"
        if target in places.keys:
            message = f"{render(path)} is the old name of {render(target)}, and both are there"
            problems.append(Problem(render(path), message, file=name, code="E-SPEC-CONFLICT"))
        elif told not in changes:
            changes.append(told)
        edits.append((start, end, new))
    if problems:
        raise SpecError(problems)
    for start, end, new in reversed(edits):
        text = text[:start] + new + text[end:]
    return text


def _now(path: Parts) -> Parts:
    """The path of format 1 for one of format 0."""
    made: Parts = ()
    for depth in range(1, len(path) + 1):
        made = (*made, _RENAMED.get(path[:depth], path[depth - 1]))
    return made


def _move_seed(where: str, tables: Table, changes: list[str]) -> None:
    train = tables.get("train")
    if not isinstance(train, dict) or "seed" not in train:
        return
    if isinstance(tables.get("run"), dict) and "seed" in tables["run"]:
        message = f"{where}train.seed moves to {where}run.seed, and both are there"
        raise SpecError([Problem(f"{where}train.seed", message, code="E-SPEC-CONFLICT")])
    seed = train.pop("seed")
    if not isinstance(tables.get("run"), dict):
        tables["run"] = tomlkit.inline_table() if isinstance(tables, InlineTable) else tomlkit.table()
    tables["run"]["seed"] = seed
    changes.append(f"{where}train.seed is now {where}run.seed")


def _replace(table: Table, key: str, value: Any) -> None:
    """Set a value and keep the comment behind the old one."""
    old, new = table[key], tomlkit.item(value)
    if isinstance(old, Item):
        new.trivia.indent, new.trivia.comment_ws = old.trivia.indent, old.trivia.comment_ws
        new.trivia.comment, new.trivia.trail = old.trivia.comment, old.trivia.trail
    table[key] = new


def _number_first(text: str) -> str:
    """Write the format's number below the comment that opens the file (when a blank line closes it), else in the first line."""
    opening = re.match(r"(?:#[^\n]*\n)+(?=\n)", text)
    head = opening.group() if opening else ""
    rest = text[len(head) :]
    return f"{head}loraspec = 1\n" + (rest if rest.startswith("\n") or not rest else f"\n{rest}")


_STEPS: Mapping[int, Callable[[str, str, list[str]], str]] = {0: _to_1}
