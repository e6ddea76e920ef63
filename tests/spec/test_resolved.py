"""The resolved spec as TOML and as a hash."""

from __future__ import annotations

import math
import tomllib
from typing import Any

import pytest

from loraspec.spec.resolved import resolved_toml, spec_hash

RESOLVED: dict[str, Any] = {
    "trackers": [{"use": "jsonl"}, {"use": "console", "deep": {"a": 1, "b": [{"c": 2}, {"c": 3}]}}],
    "callbacks": (),
    "grid": {"prompts": ("a \"b\" \\ \n\t\x00\x7f é 🦊", "c"), "weights": (0.1, 1e-7, 1e300, 0.1 + 0.2), "epochs": "all"},
    "run": {"name": "x", "seed": 2**62, "output": None},
    "model": {"use": "sdxl", "odd key": True, "limit": math.inf, "empty": {}},
    "loraspec": 1,
    "mixed": {"list": [1, {"a": None, "b": 2}]},
}


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items() if inner is not None}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def test_resolved_toml_reads_back_to_the_same_values() -> None:
    """Every string, float and nesting survives; None is left out."""
    assert tomllib.loads(resolved_toml(RESOLVED)) == plain(RESOLVED)


def test_resolved_toml_has_one_order() -> None:
    """The format's number first, then the tables as the schema has them, whatever order they came in."""
    text = resolved_toml(RESOLVED)
    assert text == resolved_toml(dict(reversed(RESOLVED.items())))
    places = [text.index(word) for word in ("loraspec = 1", "[run]", "[model]", "[grid]", "[[trackers]]", "[mixed]")]
    assert places == sorted(places)


def test_spec_hash_sees_values_and_nothing_else() -> None:
    """Order, tuples and absent keys do not matter; the last bit of a float does."""
    same = spec_hash(RESOLVED)
    assert len(same) == 64
    assert spec_hash(dict(reversed(RESOLVED.items()))) == same
    assert spec_hash(plain(RESOLVED)) == same
    assert spec_hash(tomllib.loads(resolved_toml(RESOLVED))) == same
    base = {"a": 0.1, "b": 1.0, "c": "inf"}
    others = [{**base, "a": math.nextafter(0.1, 1)}, {**base, "b": True}, {**base, "c": math.inf}, {**base, "d": 0}, {"a": 0.1, "b": 1.0}]
    assert len({spec_hash(other) for other in [base, *others]}) == 6


@pytest.mark.parametrize("value", ["", "#", "'", "a\r\nb", "\u2028", "\x1f", '"""', "\\u0041"])
def test_resolved_toml_writes_any_text(value: str) -> None:
    """No string can leave its quotes."""
    assert tomllib.loads(resolved_toml({"run": {"name": value, value or "k": 1}}))["run"]["name"] in (value, 1)
