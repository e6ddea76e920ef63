"""Layers of a spec: file < profiles in order < ``--set``; where each value came from."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Sequence
from typing import Any

from attrs import evolve, field, frozen

from loraspec.errors import Problem, did_you_mean
from loraspec.spec import secrets
from loraspec.spec.document import MAX_DEPTH, SpecDocument, too_deep
from loraspec.spec.paths import Parts, leaves, render, split
from loraspec.stages import STAGE_OF_TABLE

SET = "--set"
DEFAULT = "default"
_KEPT = {("loraspec",), ("run", "name"), ("profiles",)}


@frozen(eq=False)
class Overlay:
    """The tables after all layers.

    Attributes:
        tables: What is left of the file's tables, profiles removed.
        origin: ``file:66``, ``profile low-vram`` or ``--set`` by the dotted path of each value.
        problems: What is wrong with the layers themselves, placed.
    """

    tables: dict[str, Any]
    origin: dict[str, str]
    problems: tuple[Problem, ...] = field(default=())

    def origin_of(self, path: str) -> str:
        """Return where a value came from; ``default`` when no layer set it (or anything inside it)."""
        inside = [origin for other, origin in self.origin.items() if other.startswith((f"{path}.", f"{path}["))]
        parts = split(path)
        while parts:
            if render(parts) in self.origin:
                return self.origin[render(parts)]
            if not isinstance(parts[-1], int):  # a list of scalars is one value; its items have the list's origin
                break
            parts = parts[:-1]
        return inside[-1] if inside else DEFAULT


def apply(document: SpecDocument, profiles: Sequence[str] = (), sets: Sequence[str] = ()) -> Overlay:
    """Lay profiles and ``--set`` over a file.

    Tables merge, everything else replaces, and a changed ``use`` empties its table first. All ``--set`` together are one layer,
    so that ``--set optimizer.lr=1e-4 --set optimizer.use=adamw`` keeps the rate; the later one wins where two name one key.
    """
    layers = _Layers(document)
    known = document.tables.get("profiles", {})
    for name in profiles:
        if isinstance(known, dict) and isinstance(known.get(name), dict):
            layers.profile(name, known[name])
        elif not isinstance(known, dict) or name not in known:
            known_names = list(known) if isinstance(known, dict) else []
            hint = did_you_mean(name, known_names) if known_names else "the file has no [profiles.NAME] table"
            line, column = document.locate("profiles", key=True)
            problem = Problem("profiles", f"no profile named {name!r}", hint, code="E-SPEC-PROFILE")
            layers.problems.append(problem.at(document.name, line, column))
    layers.problems += _profile_shapes(document)
    layers.sets(sets)
    return Overlay(layers.tables, layers.origin, tuple(layers.problems))


def _profile_shapes(document: SpecDocument) -> list[Problem]:
    """Find profiles that are no tables or touch what a profile may not touch, chosen or not."""
    known = document.tables.get("profiles", {})
    if not isinstance(known, dict):
        return [Problem("profiles", "expected tables: [profiles.NAME]", code="E-SPEC-TYPE").at(document.name, *document.locate("profiles"))]
    problems = []
    for name, table in known.items():
        where = render(("profiles", name))
        if not isinstance(table, dict):
            problems.append(Problem(where, "expected a table", code="E-SPEC-TYPE").at(document.name, *document.locate(where)))
            continue
        for kept in sorted(_KEPT):
            if _holds(table, kept):
                path = render(("profiles", name, *kept))
                message = f"a profile cannot change {render(kept)}"
                said = Problem(path, message, "say it in the file itself", code="E-SPEC-PROFILE")
                problems.append(said.at(document.name, *document.locate(path, key=True)))
    return problems


def _holds(table: dict[str, Any], parts: Parts) -> bool:
    value: Any = table
    for part in parts:
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[part]
    return True


class _Layers:
    """Tables and origins while layers are added."""

    def __init__(self, document: SpecDocument) -> None:
        self.document = document
        self.tables: dict[str, Any] = {}
        self.origin: dict[str, str] = {}
        self.problems: list[Problem] = []
        self._lay({key: value for key, value in document.tables.items() if key != "profiles"}, None)

    def profile(self, name: str, table: dict[str, Any]) -> None:
        layer = copy.deepcopy(table)
        for kept in _KEPT:
            if _holds(layer, kept):
                inner = layer
                for part in kept[:-1]:
                    inner = inner[part]
                del inner[kept[-1]]
        self._lay(layer, f"profile {name}")

    def sets(self, sets: Sequence[str]) -> None:
        layer: dict[str, Any] = {}
        for text in sets:
            self._set(layer, text)
        self._lay(layer, SET)

    def _set(self, layer: dict[str, Any], text: str) -> None:
        name, equals, value = text.partition("=")
        parts = _set_key(name)
        read = _set_value(value)
        secret = list(secrets.found({parts[-1]: read}, parts[:-1])) if parts else list(secrets.found({"": text}))
        if secret:
            self.problems += [evolve(problem, file=SET) for problem in secret]
            return
        if not equals or not parts:
            hint = "write --set KEY=VALUE, such as --set adapter.rank=32"
            if equals and "[" in name:
                whole = name.split("[", 1)[0].strip()
                hint = f"lists are set whole: --set '{whole}=[...]', or in a profile"
            self.problems.append(Problem("", f"cannot read {text!r}", hint, SET, code="E-SPEC-SET"))
            return
        if parts[0] in ("loraspec", "profiles"):
            message = f"{SET} cannot change {parts[0]}"
            self.problems.append(Problem(render(parts), message, "say it in the file itself", SET, code="E-SPEC-SET"))
            return
        below: Any = self.tables
        for depth, part in enumerate(parts[:-1]):
            below = below.get(part) if isinstance(below, dict) else None
            if isinstance(below, list):
                whole = render(parts[: depth + 1])
                message = f"{whole} is a list, which is not set piece by piece"
                hint = f"set it whole: --set '{whole}=[...]', or in a profile"
                self.problems.append(Problem(render(parts), message, hint, SET, code="E-SPEC-SET"))
                return
        if too_deep({"value": read}):
            self.problems.append(Problem(render(parts), f"nests deeper than {MAX_DEPTH} levels", file=SET, code="E-SPEC-DEPTH"))
            return
        inner = layer
        for part in parts[:-1]:
            if not isinstance(inner.get(part), dict):
                inner[part] = {}
            inner = inner[part]
        inner[parts[-1]] = read

    def _lay(self, layer: dict[str, Any], label: str | None) -> None:
        self._merge(self.tables, layer, (), label)

    def _merge(self, base: dict[str, Any], over: dict[str, Any], parts: Parts, label: str | None) -> None:
        for key, value in over.items():
            path = (*parts, key)
            old = base.get(key)
            if not isinstance(value, dict):
                self._forget(path)
                base[key] = copy.deepcopy(value)
                self._mark(path, value, label)
                continue
            if not isinstance(old, dict) or _changes_use(render(path), old, value):
                self._forget(path)
                base[key] = {}
            if value:
                self.origin.pop(render(path), None)
            elif not base[key]:
                self.origin[render(path)] = self._label(path, label)  # an empty table has no values to speak for it
            self._merge(base[key], value, path, label)

    def _forget(self, parts: Parts) -> None:
        path = render(parts)
        for other in [o for o in self.origin if o == path or o.startswith((f"{path}.", f"{path}["))]:
            del self.origin[other]

    def _mark(self, parts: Parts, value: Any, label: str | None) -> None:
        for leaf, _ in leaves(value, parts):
            self.origin[render(leaf)] = self._label(leaf, label)

    def _label(self, parts: Parts, label: str | None) -> str:
        return label if label is not None else f"file:{self.document.locate(render(parts))[0]}"


def _changes_use(path: str, old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Return whether ``new`` names another component than ``old``, counting a stage's default as named."""
    if "use" not in new:
        return False
    stage = STAGE_OF_TABLE.get(path)
    default = stage.default[0] if stage is not None and stage.count != "many" and stage.default else None
    return bool(new["use"] != old.get("use", default))


def _set_key(text: str) -> tuple[str, ...]:
    """Read a dotted TOML key; () when it is none."""
    try:
        value: Any = tomllib.loads(f"{text.strip()} = 0")
    except (ValueError, RecursionError):
        return ()
    parts = []
    while isinstance(value, dict):
        if len(value) != 1:
            return ()
        ((key, value),) = value.items()
        parts.append(key)
    return tuple(parts) if value == 0 and len(parts) <= 20 else ()


def _set_value(text: str) -> Any:
    """Read a TOML value; what is none is a string."""
    try:
        read = tomllib.loads(f"value = {text.strip()}\n")
    except (ValueError, RecursionError):
        return text
    return read["value"] if len(read) == 1 else text
