"""The JSON Schema against a schema validator, and against the strict loader."""

from __future__ import annotations

import copy
import json
import math
import tomllib
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Literal

import pytest
from attrs import frozen, validators
from packaging.requirements import Requirement

from loraspec import Component, option
from loraspec.catalog import Catalog, Entry, discover
from loraspec.spec.jsonschema import json_schema

jsonschema = pytest.importorskip("jsonschema")
ROOT = Path(__file__).resolve().parents[2]
SPECS = sorted((ROOT / "specs").glob("*.toml"))


@frozen
class Extra:
    size: int = option(default=1, help="A size.", validator=validators.ge(1))


@frozen
class Adamw:
    rate: float = option(help="The rate.", unit="per step", validator=[validators.gt(0), validators.le(1)])
    growth: float = option(default=math.inf, help="No bound.", validator=validators.lt(math.inf))
    betas: tuple[float, float] = option(default=(0.9, 0.999), help="Decay.")
    mode: Literal["a", "b"] = option(default="a", help="Mode.")
    names: tuple[str, ...] = option(default=(), help="Names.", validator=validators.max_len(2))
    table: dict[str, int] = option(factory=dict, help="Numbers.")
    extra: Extra = option(factory=Extra, help="More.")
    choice: str = option(default="x", help="One of two.", validator=validators.in_(["x", "y"]))


@frozen
class Plain:
    lr: float = option(default=1.0, help="lr")


def entry(stage: str, plugin: str, name: str, options: type[Any]) -> Entry:
    def build(options: Any) -> Any:
        """Build it."""

    return Entry(stage, plugin, "dist", "1", "here", "", Component(name, options, build))


@pytest.fixture(scope="module")
def small() -> dict[str, Any]:
    """The schema of a catalog of our own."""
    entries = [
        entry("model_family", "guide", "sdxl", Plain),
        entry("data_source", "guide", "folder", Plain),
        entry("optimizer", "guide", "dadapt-adamw", Plain),
        entry("optimizer", "guide", "adamw", Adamw),
        entry("optimizer", "one", "twice", Plain),
        entry("optimizer", "two", "twice", Plain),
    ]
    catalog = Catalog(plugins=(), broken=(), outdated=(), disabled=(), entries=tuple(entries))
    schema = json.loads(json.dumps(json_schema(catalog), allow_nan=False))
    jsonschema.Draft202012Validator.check_schema(schema)
    return schema


BASE: dict[str, Any] = {
    "loraspec": 1,
    "run": {"name": "x"},
    "model": {"use": "sdxl"},
    "data": {"sources": [{"use": "guide:folder"}]},
}


def accepts(schema: dict[str, Any], **change: Any) -> bool:
    spec = {key: value for key, value in {**copy.deepcopy(BASE), **change}.items() if value is not None}
    return bool(jsonschema.Draft202012Validator(schema).is_valid(spec))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"optimizer": {"lr": 2}},
        {"optimizer": {"use": "dadapt-adamw"}},
        {"optimizer": {"use": "adamw", "rate": 0.5, "betas": [0.1, 0.2], "table": {"any": 1}, "extra": {"size": 2}, "names": ["a"]}},
        {"optimizer": {"use": "guide:adamw", "rate": 1, "choice": "y"}},
        {"optimizer": {"use": "two:twice"}},
        {"x-notes": {"anything": [1, "x"]}},
        {"grid": {"epochs": "all"}},
        {"grid": {"epochs": [1, 2]}},
        {"profiles": {"a": {"optimizer": {"rate": 0.1}, "data": {"repeats": 3}, "run": {"seed": 3}}, "b": {}, "c": {"x-y": {}}}},
    ],
)
def test_schema_accepts_right_specs(small: dict[str, Any], change: dict[str, Any]) -> None:
    """Defaults without `use`, qualified names, partial profiles and free tables are right."""
    assert accepts(small, **change)


@pytest.mark.parametrize(
    "change",
    [
        {"loraspec": None},
        {"loraspec": 2},
        {"model": None},
        {"model": {}},
        {"model": {"use": "sd99"}},
        {"data": {"sources": []}},
        {"data": {"sources": [{}]}},
        {"run": {"name": "a b"}},
        {"run": {"name": "x", "seed": -1}},
        {"train": {"epochs": 0}},
        {"train": {"epochs": "3"}},
        {"train": {"epocs": 3}},
        {"train": {"mixed_precision": "bf15"}},
        {"grid": {"epochs": "some"}},
        {"grid": {"weights": []}},
        {"optimizer": {"rate": 0.5}},
        {"optimizer": {"use": "adamw"}},
        {"optimizer": {"use": "adamw", "rate": 0}},
        {"optimizer": {"use": "adamw", "rate": 2}},
        {"optimizer": {"use": "adamw", "rate": 1, "lr": 1}},
        {"optimizer": {"use": "adamw", "rate": 1, "betas": [1]}},
        {"optimizer": {"use": "adamw", "rate": 1, "mode": "c"}},
        {"optimizer": {"use": "adamw", "rate": 1, "names": ["a", "b", "c"]}},
        {"optimizer": {"use": "adamw", "rate": 1, "extra": {"size": 0}}},
        {"optimizer": {"use": "adamw", "rate": 1, "choice": "z"}},
        {"optimizer": {"use": "twice"}},
        {"captions": {"captioner": {"use": "none-installed"}}},
        {"notes": {}},
        {"profiles": {"a": {"loraspec": 1}}},
        {"profiles": {"a": {"run": {"name": "y"}}}},
        {"profiles": {"a": {"profiles": {}}}},
        {"profiles": {"a": {"train": {"epochs": 0}}}},
        {"profiles": {"a": {"optimizer": {"unknown": 1}}}},
        {"profiles": {"a": {"data": {"sources": [{}]}}}},
    ],
)
def test_schema_rejects_broken_specs(small: dict[str, Any], change: dict[str, Any]) -> None:
    """What the loader refuses key by key, the schema refuses too."""
    assert not accepts(small, **change)


def test_schema_carries_help_units_and_defaults(small: dict[str, Any]) -> None:
    """Editors show what the classes say; an infinite default, which JSON lacks, is left out."""
    adamw = next(s for s in small["properties"]["optimizer"]["oneOf"] if s["title"] == "guide:adamw")
    assert adamw["properties"]["rate"]["description"] == "The rate. [per step]"
    assert adamw["properties"]["betas"]["default"] == [0.9, 0.999]
    assert "default" not in adamw["properties"]["growth"]
    assert "exclusiveMaximum" not in adamw["properties"]["growth"]
    assert adamw["description"] == "Build it."
    assert small["properties"]["train"]["properties"]["epochs"]["default"] == 20


@pytest.fixture(scope="module")
def installed() -> Any:
    """A validator over what is installed."""
    return jsonschema.Draft202012Validator(json.loads(json.dumps(json_schema(discover()), allow_nan=False)))


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_schema_accepts_every_shipped_spec(installed: Any, path: Path) -> None:
    """The files in specs/ are right by the schema of the installed plugins."""
    spec = tomllib.loads(path.read_text(encoding="utf-8"))
    for requirement in map(Requirement, spec.get("requires", [])):
        if requirement.name not in {found.name for found in distributions()}:
            pytest.skip(f"{requirement.name} is not installed")
    errors = [f"{error.json_path}: {error.message[:200]}" for error in installed.iter_errors(spec)]
    assert errors == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("train.epochs", "20"),
        ("adapter.rank", 0),
        ("adapter.rnak", 3),
        ("optimizer.use", "cosine"),
        ("data.repeats", 0),
        ("profiles.embedded.train.batch_sise", 1),
        ("lr_scheduler.warmup", "x"),
    ],
)
def test_schema_rejects_a_shipped_spec_that_was_broken(installed: Any, path: str, value: Any) -> None:
    """One wrong value in the Daumier spec is enough, in core tables, options and profiles."""
    spec = tomllib.loads((ROOT / "specs" / "daumier.toml").read_text(encoding="utf-8"))
    *tables, key = path.split(".")
    inner = spec
    for table in tables:
        inner = inner.setdefault(table, {})
    inner[key] = value
    assert not installed.is_valid(spec)
