"""What attrs validators and types say, in words and in numbers: for messages, the JSON Schema and the docs."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any, Literal, Union, get_args, get_origin

import attrs
from attrs import frozen

from loraspec.spec.schema import Choice

_SPELLED = {">=": "at least", ">": "greater than", "<=": "at most", "<": "less than"}
_PLURAL = {"an integer": "integers", "a number": "numbers", "a string": "strings", "true or false": "truth values", "a table": "tables"}


@frozen
class Bound:
    """One rule of a validator: ``op`` is ``>= > <= <``, ``min_len``, ``max_len``, ``pattern`` or ``in``."""

    op: str
    limit: Any


def bounds(validator: Any) -> Iterator[Bound]:
    """Walk the rules of an attrs validator that can be read; functions of a plugin's own cannot."""
    if validator is None:
        return
    kind = type(validator).__name__
    if kind == "_AndValidator":
        for inner in validator._validators:
            yield from bounds(inner)
    elif kind == "_OptionalValidator":
        yield from bounds(validator.validator)
    elif kind == "_NumberValidator":
        yield Bound(validator.compare_op, validator.bound)
    elif kind == "_MinLengthValidator":
        yield Bound("min_len", validator.min_length)
    elif kind == "_MaxLengthValidator":
        yield Bound("max_len", validator.max_length)
    elif kind == "_MatchesReValidator" and validator.match_func.__name__ in ("fullmatch", "match"):
        anchored = f"^(?:{validator.pattern.pattern})" + ("$" if validator.match_func.__name__ == "fullmatch" else "")
        yield Bound("pattern", anchored)
    elif kind == "_InValidator":
        yield Bound("in", tuple(validator.options))
    elif kind == "_DeepIterable":
        for inner in bounds(validator.member_validator):
            yield Bound(f"each {inner.op}", inner.limit)
        yield from bounds(validator.iterable_validator)


def broken(validator: Any, instance: Any, attribute: attrs.Attribute[Any], value: Any) -> str | None:
    """Return what a validator has against a value, in one line, or None."""
    try:
        validator(instance, attribute, value)
    except Exception as error:
        return _words(validator, value) or _first_line(error, attribute.name)
    return None


def _words(validator: Any, value: Any) -> str:
    for bound in bounds(validator):
        op, limit = bound.op, bound.limit
        if op in _SPELLED and not _holds(op, value, limit):
            return f"must be {_SPELLED[op]} {shown(limit)}, got {shown(value)}"
        if op == "min_len" and len(value) < limit:
            return "must not be empty" if limit == 1 else f"must have at least {limit} entries, got {len(value)}"
        if op == "max_len" and len(value) > limit:
            return f"must have at most {limit} entries, got {len(value)}"
        if op == "in" and value not in limit:
            return f"must be one of {', '.join(map(shown, limit))}, got {shown(value)}"
        if op.startswith("each ") and op[5:] in _SPELLED:
            for item in value:
                if not _holds(op[5:], item, limit):
                    return f"every value must be {_SPELLED[op[5:]]} {shown(limit)}, got {shown(item)}"
        if op == "each pattern":
            for item in value:
                if not re.search(limit, item):
                    return f"every value must match {_plain(limit)}, got {shown(item)}"
    for bound in bounds(validator):
        if bound.op == "pattern" and not re.search(bound.limit, value):
            return f"must match {_plain(bound.limit)}, got {shown(value)}"
    return ""


def legal(validator: Any, value: Any) -> str:
    """Return which numbers a validator lets pass and the one nearest to ``value``: ``1 to 4096; the nearest is 4096``; or ""."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return ""
    least = most = None
    whole = isinstance(value, int)
    for bound in bounds(validator):
        if bound.op in (">=", ">"):
            least = bound.limit + 1 if bound.op == ">" and whole else bound.limit
        if bound.op in ("<=", "<"):
            most = bound.limit - 1 if bound.op == "<" and whole else bound.limit
    if least is None or most is None:
        return ""
    near = least if value < least else most
    strict = not whole and any(bound.op in (">", "<") for bound in bounds(validator))
    return f"{shown(least)} to {shown(most)}" + ("" if strict else f"; the nearest is {shown(near)}")


def _plain(pattern: str) -> str:
    """A pattern as its author wrote it, without the anchors that ``bounds`` adds."""
    return pattern.removeprefix("^(?:").removesuffix("$").removesuffix(")")


def _holds(op: str, value: Any, limit: Any) -> bool:
    return bool({">=": value >= limit, ">": value > limit, "<=": value <= limit, "<": value < limit}[op])


def _first_line(error: Exception, name: str) -> str:
    """The text of a plugin's own validator, without the option's name in front: the path says it."""
    text = str(error.args[0]) if error.args else type(error).__name__
    return text.strip().splitlines()[0].removeprefix(f"{name!r} ").removeprefix(f"{name} ") if text.strip() else type(error).__name__


def shown(value: Any) -> str:
    """Return a value as a spec writes it, shortened."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    elif isinstance(value, dict):
        return "a table"
    elif isinstance(value, (list, tuple)):
        text = "[" + ", ".join(shown(item) for item in value[:8]) + (", ...]" if len(value) > 8 else "]")
    elif isinstance(value, (date, datetime, time)):
        text = value.isoformat()
    elif isinstance(value, int) and abs(value) >= 2**63:
        return "an integer beyond 64 bits"
    else:
        text = str(value)
    return text if len(text) <= 70 else text[:66] + " ..."


def is_union(kind: Any) -> bool:
    """Return whether a type is ``A | B`` or ``Union[A, B]``."""
    return get_origin(kind) in (Union, types.UnionType)


def members(kind: Any) -> tuple[Any, ...]:
    """Return the members of a union, None left out; the type alone otherwise."""
    return tuple(member for member in get_args(kind) if member is not type(None)) if is_union(kind) else (kind,)


def expected(kind: Any) -> str:
    """Return what a type asks for, in words: ``an integer``, ``a list of numbers``."""
    simple = {bool: "true or false", int: "an integer", float: "a number", str: "a string", Any: "a value", dict: "a table"}
    if kind in simple:
        return simple[kind]
    if kind is Choice or attrs.has(kind):
        return "a table"
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return shown(args[0]) if len(args) == 1 else "one of " + ", ".join(map(shown, args))
    if is_union(kind):
        return " or ".join(expected(member) for member in members(kind))
    if origin is dict:
        return "a table"
    if origin in (tuple, list):
        if not args or args[-1] is Ellipsis or origin is list:
            return f"a list of {_plural(args[0])}" if args else "a list"
        same = len(set(args)) == 1
        return f"a list of {len(args)} {_plural(args[0])}" if same else f"a list of {', '.join(map(expected, args))}"
    return getattr(kind, "__name__", str(kind))


def _plural(kind: Any) -> str:
    text = expected(kind)
    return _PLURAL.get(text, f"values, each {text}")


def origin(kind: Any) -> Any:
    """Return ``typing.get_origin``, typed so that any class can be asked for."""
    return get_origin(kind)


def allowed(kind: Any) -> bool:
    """Return whether options may have a type: those that ``loraspec.Component`` names, and no others."""
    if kind in (bool, int, float, str, Any, dict) or origin(kind) is Literal or attrs.has(kind):
        return True
    outer = origin(kind)
    args = [arg for arg in get_args(kind) if arg is not Ellipsis]
    if is_union(kind):
        return all(map(allowed, members(kind)))
    if outer is dict:
        return args[0] is str and allowed(args[1])
    return outer in (tuple, list) and bool(args) and all(map(allowed, args))


def unit_of(attribute: attrs.Attribute[Any]) -> str:
    """Return the unit that ``option`` kept."""
    return str(attribute.metadata.get("unit", ""))


def help_of(attribute: attrs.Attribute[Any]) -> str:
    """Return the help that ``option`` kept."""
    return str(attribute.metadata.get("help", ""))


def default_of(attribute: attrs.Attribute[Any]) -> Any:
    """Return a field's default (a factory's product), or ``attrs.NOTHING`` when the key is required."""
    if isinstance(attribute.default, attrs.Factory):  # type: ignore[arg-type]
        return attrs.NOTHING if attribute.default.takes_self else attribute.default.factory()  # type: ignore[union-attr]
    return attribute.default


