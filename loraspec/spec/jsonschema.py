"""The JSON Schema (draft 2020-12) of a spec, with the options of every installed component: for editors and validators."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import attrs

from loraspec.spec import rules
from loraspec.spec.schema import FORMAT, Choice, Spec
from loraspec.stages import STAGE_OF_TABLE, Stage

if TYPE_CHECKING:
    from loraspec.catalog import Catalog, Entry

Schema = dict[str, Any]
_SIMPLE: dict[Any, Schema] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    dict: {"type": "object"},
    Any: {},
}
_NUMERIC = {">=": "minimum", ">": "exclusiveMinimum", "<=": "maximum", "<": "exclusiveMaximum"}


def json_schema(catalog: Catalog) -> Schema:
    """Return the schema of a whole spec: core tables, each stage's components, profiles as partial specs.

    Every number in it is finite, so ``json.dumps(..., allow_nan=False)`` writes it.
    """
    top = _Writer(catalog, partial=False).table(Spec, "")
    top["properties"]["loraspec"] = {"const": FORMAT, "description": "Version of the format."}
    top["required"] = sorted({*top["required"], "loraspec"})
    partial = _Writer(catalog, partial=True).table(Spec, "")
    del partial["properties"]["loraspec"]
    del partial["properties"]["run"]["properties"]["name"]
    top["properties"]["profiles"] = {
        "type": "object",
        "description": "Named overlays: loraspec run SPEC --profile NAME.",
        "additionalProperties": partial,
    }
    for schema in (top, partial):
        schema["patternProperties"] = {"^x-": {"description": "Free for notes."}}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"loraspec, format {FORMAT}", **top}


class _Writer:
    """Writes schemas of attrs classes; ``partial`` asks for no keys, as a profile may leave anything out."""

    def __init__(self, catalog: Catalog, *, partial: bool) -> None:
        self._catalog = catalog
        self._partial = partial

    def table(self, cls: type[Any], path: str) -> Schema:
        """Schema of a table; ``path`` is where it stands in a spec, which decides the stage of its choices."""
        attrs.resolve_types(cls)
        fields = [attribute for attribute in attrs.fields(cls) if attribute.init]
        required = [attribute.name for attribute in fields if attribute.default is attrs.NOTHING]
        inside = {a.name: self._field(a, f"{path}.{a.name}" if path else a.name) for a in fields}
        schema: Schema = {"type": "object", "properties": inside, "additionalProperties": False}
        return schema if self._partial else {**schema, "required": required}

    def _field(self, attribute: attrs.Attribute[Any], path: str) -> Schema:
        schema = self._type(attribute.type, path)
        bounds = list(rules.bounds(attribute.validator))
        for branch in schema.get("anyOf", [schema]):
            for bound in bounds:
                _bound(branch, bound)
        unit = rules.unit_of(attribute)
        text = rules.help_of(attribute) + (f" [{unit}]" if unit else "")
        if text:
            schema["description"] = text
        default = _json(rules.default_of(attribute))
        if default is not None:
            schema["default"] = default
        return schema

    def _type(self, kind: Any, path: str) -> Schema:
        origin: Any = get_origin(kind)
        args = get_args(kind)
        if kind in _SIMPLE:
            return dict(_SIMPLE[kind])
        if kind is Choice:
            return self._choice(STAGE_OF_TABLE[path])
        if attrs.has(kind):
            return self.table(kind, path)
        if origin is Literal:
            return {"enum": list(args)}
        if rules.is_union(kind):
            branches = [self._type(member, path) for member in rules.members(kind)]
            return branches[0] if len(branches) == 1 else {"anyOf": branches}
        if origin is dict:
            return {"type": "object", "additionalProperties": self._type(args[1], path)}
        # The items of a list are whole, in a profile too: a list replaces the list below it.
        whole = _Writer(self._catalog, partial=False)
        if origin is list or args[-1] is Ellipsis:
            return {"type": "array", "items": whole._type(args[0], path)}
        fixed = [whole._type(arg, path) for arg in args]
        return {"type": "array", "prefixItems": fixed, "minItems": len(fixed), "maxItems": len(fixed)}

    def _choice(self, stage: Stage) -> Schema:
        entries = self._catalog.entries(stage.name)
        if not entries:
            return {"not": {}, "description": f"No {stage.title} is installed."}
        names = [entry.component.name for entry in entries]
        variants = [self._component(stage, entry, alone=names.count(entry.component.name) == 1) for entry in entries]
        return {("anyOf" if self._partial else "oneOf"): variants}

    def _component(self, stage: Stage, entry: Entry, *, alone: bool) -> Schema:
        schema = self.table(entry.component.options, "")
        words = [entry.component.name, entry.qualified] if alone else [entry.qualified]
        schema["properties"] = {"use": {"enum": words}, **schema["properties"]}
        schema["title"] = entry.qualified
        if entry.component.summary:
            schema["description"] = entry.component.summary
        named = not (stage.count != "many" and alone and stage.default[:1] == (entry.component.name,))
        if not self._partial and named:
            schema["required"] = ["use", *schema["required"]]
        return schema


def _bound(schema: Schema, bound: rules.Bound) -> None:
    """Add a validator's rule where the schema's type can have it."""
    kind = schema.get("type")
    if kind in ("integer", "number") and bound.op in _NUMERIC and math.isfinite(bound.limit):
        schema[_NUMERIC[bound.op]] = bound.limit
    elif kind == "string" and bound.op == "pattern":
        schema["pattern"] = bound.limit
    elif bound.op in ("min_len", "max_len") and kind in ("string", "array"):
        schema[bound.op[:3] + ("Length" if kind == "string" else "Items")] = bound.limit
    elif bound.op == "in" and kind in ("string", "integer", "number"):
        schema["enum"] = list(bound.limit)
    elif bound.op.startswith("each ") and kind == "array" and "items" in schema:
        _bound(schema["items"], rules.Bound(bound.op.removeprefix("each "), bound.limit))


def _json(value: Any) -> Any:
    """Return a default as JSON, or None when JSON cannot say it (absent, infinite, a table of its own)."""
    if value is attrs.NOTHING or value is None or attrs.has(type(value)):
        return None
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError):
        return None
