"""Strict conversion of raw tables into attrs classes: nothing is coerced, and every problem is found in one go."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Literal, NoReturn, TypeVar, get_args, get_origin

import attrs
from attrs import frozen
from cattrs import Converter

from loraspec.errors import PluginError, Problem, closest, did_you_mean
from loraspec.spec import rules
from loraspec.spec.paths import Parts, render, split
from loraspec.spec.schema import Choice, Spec
from loraspec.stages import STAGES, Stage

T = TypeVar("T")


@frozen
class KeyProblem(Problem):
    """A problem of a key itself (an unknown one): its place is the key's, not the value's."""


class _WrongError(Exception):
    """What a conversion found; paths are relative to the value that was converted."""

    def __init__(self, found: Iterable[tuple[Parts, Problem]]) -> None:
        self.found = list(found)
        super().__init__()


def _refuse(kind: Any, value: Any, hint: str = "", code: str = "E-SPEC-TYPE") -> NoReturn:
    raise _WrongError([((), Problem("", f"expected {rules.expected(kind)}, got {rules.shown(value)}", hint, code=code))])


def spec_of(tables: dict[str, Any]) -> tuple[Spec | None, list[Problem]]:
    """Convert the tables of a spec; keys at the top that start with ``x-`` are free.

    Returns:
        The spec, or None when there are problems; every problem, by path, not yet placed in a file.
    """
    own = {key: value for key, value in tables.items() if not key.startswith("x-")}
    for stage in STAGES:
        if stage.count != "many" and stage.default and isinstance(own.get(stage.table), dict):
            own[stage.table] = {"use": stage.default[0], **own[stage.table]}
    return options_of(Spec, own, "")


def options_of(cls: type[T], raw: dict[str, Any], path: str) -> tuple[T | None, list[Problem]]:
    """Convert the options of a component (or any table) into ``cls``; ``path`` is where the table stands.

    Raises:
        PluginError: A field of ``cls`` has a type that options may not have.
    """
    parts = split(path)
    try:
        return _CONVERTER.structure(raw, cls), []
    except _WrongError as wrong:
        return None, [attrs.evolve(problem, path=render((*parts, *inner))) for inner, problem in wrong.found]


def choices_of(tables: dict[str, Any]) -> tuple[tuple[Stage, str, Choice], ...]:
    """Return every well-formed stage table with its stage and path, defaults of silent stages included.

    Ill-formed ones are left out (``spec_of`` tells them), so that options can be checked although other tables are wrong.
    """
    found: list[tuple[Stage, str, Choice]] = []
    for stage in STAGES:
        value: Any = tables
        for part in stage.table.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            names = [(stage.table if stage.count != "many" else f"{stage.table}[{i}]", name) for i, name in enumerate(stage.default)]
            found += [(stage, path, Choice(name)) for path, name in names]
        elif stage.count == "many":
            items = value if isinstance(value, list) else []
            found += [(stage, f"{stage.table}[{i}]", _choice(item, Choice)) for i, item in enumerate(items) if _is_choice(item)]
        elif isinstance(value, dict):
            table = {"use": stage.default[0], **value} if stage.default else value
            if _is_choice(table):
                found.append((stage, stage.table, _choice(table, Choice)))
    return tuple(found)


def _is_choice(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("use"), str) and bool(value["use"])


# -- one hook for each kind of type --------------------------------------------------------------------------------------


def _exactly(kind: type[Any]) -> Callable[[Any, Any], Any]:
    def convert(value: Any, _: Any) -> Any:
        if type(value) is not kind:
            _refuse(kind, value, _hint(kind, value))
        return value

    return convert


def _hint(kind: type[Any], value: Any) -> str:
    """Say what to write when a value only has the wrong form."""
    if isinstance(value, str) and kind in (int, float, bool):
        try:
            plain = {"true": True, "false": False}[value.strip().lower()] if kind is bool else kind(value)
        except (KeyError, ValueError):
            return ""
        return f"write it without quotes: {rules.shown(plain)}" if plain == plain else ""
    if kind is int and isinstance(value, float) and math.isfinite(value) and value == int(value):
        return f"write {int(value)}"
    if kind is str and isinstance(value, (bool, int, float)):
        return f'write it in quotes: "{rules.shown(value)}"'
    return ""


def _integer(value: Any, kind: Any) -> int:
    if type(value) is not int:
        _refuse(int, value, _hint(int, value))
    if not -(2**63) <= value < 2**63:
        raise _WrongError([((), Problem("", "is beyond 64 bits", code="E-SPEC-RANGE"))])
    return value


def _number(value: Any, kind: Any) -> float:
    """An integer is a number too; what is not finite is none."""
    if type(value) not in (int, float):
        _refuse(float, value, _hint(float, value))
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _WrongError([((), Problem("", f"expected a finite number, got {rules.shown(value)}", code="E-SPEC-RANGE"))])
    return number


def _choice(value: Any, kind: Any) -> Choice:
    if not isinstance(value, dict):
        _refuse(Choice, value, 'write { use = "..." }' if isinstance(value, str) else "")
    if "use" not in value:
        raise _WrongError([(("use",), Problem("", "required key missing", "`use` names the component", code="E-SPEC-MISSING"))])
    use = value["use"]
    if type(use) is not str or not use:
        raise _WrongError([(("use",), Problem("", f"expected the name of a component, got {rules.shown(use)}", code="E-SPEC-TYPE"))])
    return Choice(use, {key: inner for key, inner in value.items() if key != "use"})


def _literal(value: Any, kind: Any) -> Any:
    known = get_args(kind)
    if any(type(value) is type(word) and value == word for word in known):
        return value
    words = [word for word in known if isinstance(word, str)]
    best = closest(value, words) if isinstance(value, str) else None
    return _refuse(kind, value, f"did you mean {best!r}?" if best else "", "E-SPEC-CHOICE" if isinstance(value, str) else "E-SPEC-TYPE")


def _sequence(value: Any, kind: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        _refuse(kind, value)
    args, origin = get_args(kind), get_origin(kind)
    if origin is list or (args and args[-1] is Ellipsis):
        kinds: Sequence[Any] = [args[0]] * len(value)
    else:
        kinds = args
        if len(value) != len(kinds):
            _refuse(kind, value)
    items = _each([((index,), item, inner) for index, (item, inner) in enumerate(zip(value, kinds, strict=True))])
    return items if origin is list else tuple(items)


def _mapping(value: Any, kind: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        _refuse(kind, value)
    args = get_args(kind)
    inner = args[1] if args else Any
    return dict(zip(value, _each([((key,), item, inner) for key, item in value.items()]), strict=True))


def _each(items: Iterable[tuple[Parts, Any, Any]]) -> list[Any]:
    """Convert several values and collect the problems of all of them."""
    made, found = [], []
    for parts, value, kind in items:
        try:
            made.append(_structure(value, kind))
        except _WrongError as wrong:
            found += [((*parts, *inner), problem) for inner, problem in wrong.found]
    if found:
        raise _WrongError(found)
    return made


def _union(value: Any, kind: Any) -> Any:
    """Take the first member that fits, integers before numbers; else tell of the member that came nearest."""
    if value is None and type(None) in get_args(kind):
        return None
    tried: list[_WrongError] = []
    for member in sorted(rules.members(kind), key=lambda member: member is float):
        try:
            return _structure(value, member)
        except _WrongError as wrong:
            tried.append(wrong)
    near = [wrong for wrong in tried if any(parts for parts, _ in wrong.found)]
    if len(tried) == 1 or len(near) == 1:
        raise (near or tried)[0]
    return _refuse(kind, value)


def _structure(value: Any, kind: Any) -> Any:
    return value if kind is Any else _CONVERTER.structure(value, kind)


def _attrs_hook(cls: type[Any]) -> Callable[[Any, Any], Any]:
    try:
        attrs.resolve_types(cls)
    except NameError as error:
        raise PluginError(f"{cls.__module__}.{cls.__qualname__}: the type of a field cannot be read: {error}") from error
    fields = [attribute for attribute in attrs.fields(cls) if attribute.init]
    for attribute in fields:
        if not rules.allowed(attribute.type):
            where = f"{cls.__module__}.{cls.__qualname__}.{attribute.name}"
            raise PluginError(f"{where}: options cannot have the type {attribute.type!r}; see loraspec.Component")

    def convert(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            _refuse(cls, value)
        known = {attribute.name for attribute in fields}
        found: list[tuple[Parts, Problem]] = []
        made: dict[str, Any] = {}
        for key in value:
            if key not in known:
                found.append(((key,), KeyProblem("", "unknown key", _meant(str(key), known), code="E-SPEC-UNKNOWN")))
        for attribute in fields:
            parts: Parts = (attribute.name,)
            if attribute.name not in value:
                if attribute.default is attrs.NOTHING:
                    found.append((parts, Problem("", "required key missing", rules.help_of(attribute), code="E-SPEC-MISSING")))
                continue
            try:
                made[attribute.alias] = inner = _field(value[attribute.name], attribute)
            except _WrongError as wrong:
                found += [((*parts, *rest), problem) for rest, problem in wrong.found]
                continue
            said = rules.broken(attribute.validator, None, attribute, inner) if attribute.validator is not None else None
            if said is not None:
                matching = said.startswith("must match")
                hint = rules.help_of(attribute) if matching else rules.legal(attribute.validator, inner)
                code = attribute.metadata.get("code") or ("E-SPEC-PATTERN" if "must match" in said else "E-SPEC-RANGE")
                found.append((parts, Problem("", said, hint, code=code)))
        if found:
            raise _WrongError(found)
        try:
            return cls(**made)
        except Exception as error:  # a validator that reads other fields, or __attrs_post_init__
            text = str(error.args[0]) if error.args else type(error).__name__
            raise _WrongError([((), Problem("", text, code="E-SPEC-CONFLICT"))]) from error

    return convert


def _meant(key: str, known: Collection[str]) -> str:
    """Say what an unknown key may have meant: one like it, the same one of a core table, or what there is."""
    if closest(key, known) is None:
        for attribute in attrs.fields(Spec):
            kind = attribute.type
            if isinstance(kind, type) and kind is not Choice and attrs.has(kind) and key in attrs.fields_dict(kind):
                return f"{key!r} is a key of [{attribute.name}]"
    return did_you_mean(key, sorted(known)) or "it takes no keys"


def _field(value: Any, attribute: attrs.Attribute[Any]) -> Any:
    """Convert a field's value; the default itself is always taken (a number's default may be infinite)."""
    default = rules.default_of(attribute)
    if type(value) is float and type(default) is float and value == default:
        return value
    return _structure(value, attribute.type)


def _converter() -> Converter:
    made = Converter(detailed_validation=False)
    made.register_structure_hook_factory(lambda kind: attrs.has(kind) and kind is not Choice, _attrs_hook)
    made.register_structure_hook(bool, _exactly(bool))
    made.register_structure_hook(str, _exactly(str))
    made.register_structure_hook(int, _integer)
    made.register_structure_hook(float, _number)
    made.register_structure_hook(Choice, _choice)
    made.register_structure_hook_func(lambda kind: rules.origin(kind) is Literal, _literal)
    made.register_structure_hook_func(lambda kind: rules.origin(kind) in (tuple, list), _sequence)
    made.register_structure_hook_func(lambda kind: rules.origin(kind) is dict or kind is dict, _mapping)
    made.register_structure_hook_func(rules.is_union, _union)
    return made


_CONVERTER = _converter()
