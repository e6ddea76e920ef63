"""Strict conversion: nothing is coerced, every problem is told, with its path."""

from __future__ import annotations

import math
from datetime import date
from typing import Any, Literal

import attrs
import pytest
from attrs import field, frozen, validators

from loraspec import option
from loraspec.errors import PluginError
from loraspec.spec.convert import KeyProblem, choices_of, options_of, spec_of
from loraspec.spec.schema import Choice


@frozen
class Inner:
    size: int = option(help="A size.", unit="px", validator=validators.gt(0))
    word: str = option(default="x", help="A word.")


@frozen
class Options:
    flag: bool = option(default=False, help="")
    count: int = option(default=1, help="", validator=[validators.ge(0), validators.lt(10)])
    rate: float = option(default=1.0, help="", validator=validators.optional(validators.ge(0)))
    limit: float = option(default=math.inf, help="")
    name: str = option(default="n", help="", validator=validators.matches_re("[a-z]+"))
    mode: Literal["fast", "slow", 3] = option(default="fast", help="")
    words: tuple[str, ...] = option(default=(), help="", validator=validators.min_len(0))
    pair: tuple[int, float] = option(default=(1, 1.0), help="")
    maybe: int | None = option(default=None, help="")
    either: tuple[int, ...] | Literal["all"] = option(default="all", help="")
    number: float | int = option(default=0, help="")
    table: dict[str, int] = option(factory=dict, help="")
    inner: Inner | None = option(default=None, help="")
    inners: tuple[Inner, ...] = option(default=(), help="")
    anything: Any = option(default=None, help="")


def problems(raw: dict[str, Any], cls: type[Any] = Options) -> list[str]:
    made, found = options_of(cls, raw, "stage")
    assert (made is None) == bool(found)
    return [f"{p.path}: {p.message}" for p in found]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({}, Options()),
        ({"rate": 3}, Options(rate=3.0)),
        ({"words": ["a", "b"]}, Options(words=("a", "b"))),
        ({"pair": [2, 3]}, Options(pair=(2, 3.0))),
        ({"either": [1, 2]}, Options(either=(1, 2))),
        ({"either": "all"}, Options()),
        ({"maybe": 3}, Options(maybe=3)),
        ({"limit": math.inf}, Options()),
        ({"mode": 3}, Options(mode=3)),
        ({"table": {"a": 1}}, Options(table={"a": 1})),
        ({"inner": {"size": 2}}, Options(inner=Inner(2))),
        ({"inners": [{"size": 2}, {"size": 3, "word": "y"}]}, Options(inners=(Inner(2), Inner(3, "y")))),
        ({"anything": {"a": [1, "x"]}}, Options(anything={"a": [1, "x"]})),
    ],
)
def test_options_of_takes_what_fits(raw: dict[str, Any], expected: Options) -> None:
    """Each allowed type is read; an integer is a number, a list becomes a tuple."""
    made, found = options_of(Options, raw, "stage")
    assert found == []
    assert made == expected


def test_options_of_keeps_types_exact() -> None:
    """A number is a float afterwards, and a union keeps integers as they are."""
    made, _ = options_of(Options, {"rate": 3, "pair": [2, 3], "number": 3}, "s")
    assert made is not None
    assert (type(made.rate), type(made.pair[1]), type(made.number)) == (float, float, int)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"flag": "false"}, 'stage.flag: expected true or false, got "false"'),
        ({"flag": 1}, "stage.flag: expected true or false, got 1"),
        ({"count": 64.9}, "stage.count: expected an integer, got 64.9"),
        ({"count": 3.0}, "stage.count: expected an integer, got 3.0"),
        ({"count": "64"}, 'stage.count: expected an integer, got "64"'),
        ({"count": True}, "stage.count: expected an integer, got true"),
        ({"count": 2**63}, "stage.count: is beyond 64 bits"),
        ({"count": 10}, "stage.count: must be less than 10, got 10"),
        ({"count": -1}, "stage.count: must be at least 0, got -1"),
        ({"rate": True}, "stage.rate: expected a number, got true"),
        ({"rate": math.nan}, "stage.rate: expected a finite number, got nan"),
        ({"rate": math.inf}, "stage.rate: expected a finite number, got inf"),
        ({"rate": 10**400}, "stage.rate: expected a finite number, got an integer beyond 64 bits"),
        ({"rate": -0.5}, "stage.rate: must be at least 0, got -0.5"),
        ({"limit": -math.inf}, "stage.limit: expected a finite number, got -inf"),
        ({"name": 5}, "stage.name: expected a string, got 5"),
        ({"name": date(2026, 1, 2)}, "stage.name: expected a string, got 2026-01-02"),
        ({"name": "A"}, 'stage.name: must match [a-z]+, got "A"'),
        ({"mode": "fats"}, 'stage.mode: expected one of "fast", "slow", 3, got "fats"'),
        ({"mode": 3.0}, 'stage.mode: expected one of "fast", "slow", 3, got 3.0'),
        ({"words": "a"}, 'stage.words: expected a list of strings, got "a"'),
        ({"words": ["a", 1]}, "stage.words[1]: expected a string, got 1"),
        ({"pair": [1]}, "stage.pair: expected a list of an integer, a number, got [1]"),
        ({"pair": ["x", "y"]}, 'stage.pair[0]: expected an integer, got "x"'),
        ({"maybe": "x"}, 'stage.maybe: expected an integer, got "x"'),
        ({"either": "al"}, 'stage.either: expected a list of integers or "all", got "al"'),
        ({"either": [1, "x"]}, 'stage.either[1]: expected an integer, got "x"'),
        ({"table": {"a b": "x"}}, 'stage.table."a b": expected an integer, got "x"'),
        ({"table": [1]}, "stage.table: expected a table, got [1]"),
        ({"inner": 3}, "stage.inner: expected a table, got 3"),
        ({"inner": {}}, "stage.inner.size: required key missing"),
        ({"inners": [{"size": 0}]}, "stage.inners[0].size: must be greater than 0, got 0"),
        ({"inners": [{"size": 1}, {"size": 1, "wrod": 2}]}, "stage.inners[1].wrod: unknown key"),
    ],
)
def test_options_of_refuses_what_does_not_fit(raw: dict[str, Any], message: str) -> None:
    """Nothing is coerced; the message has path, what was found and what would be right."""
    assert problems(raw)[0] == message


def test_options_of_finds_every_problem() -> None:
    """One go tells all: unknown, missing, wrong, out of range, at every depth."""
    inner = {"word": 3, "sise": 1}
    raw = {"flga": 1, "count": 99, "rate": "x", "inner": inner, "inners": [{"size": -1}, 4], "pair": ["a", "b"]}
    assert sorted(problems(raw)) == [
        "stage.count: must be less than 10, got 99",
        "stage.flga: unknown key",
        "stage.inner.sise: unknown key",
        "stage.inner.size: required key missing",
        "stage.inner.word: expected a string, got 3",
        "stage.inners[0].size: must be greater than 0, got -1",
        "stage.inners[1]: expected a table, got 4",
        'stage.pair[0]: expected an integer, got "a"',
        'stage.pair[1]: expected a number, got "b"',
        'stage.rate: expected a number, got "x"',
    ]


def test_options_of_hints_at_the_repair() -> None:
    """The closest key or word, or the right spelling of the value."""
    raw = {"flga": 1, "zzz": 2, "count": "64", "mode": "fats", "flag": "True", "name": 5, "inner": {"size": 3.0}}
    _, found = options_of(Options, raw, "")
    hints = {p.path: p.hint for p in found}
    assert hints["flga"] == "did you mean 'flag'?"
    assert hints["zzz"].startswith("known: anything, count")
    assert hints["count"] == "write it without quotes: 64"
    assert hints["mode"] == "did you mean 'fast'?"
    assert hints["flag"] == "write it without quotes: true"
    assert hints["name"] == 'write it in quotes: "5"'
    assert hints["inner.size"] == "write 3"
    assert [type(p) is KeyProblem for p in found if p.path == "flga"] == [True]


def even(_: Any, attribute: attrs.Attribute[int], value: int) -> None:
    if value % 2:
        raise ValueError(f"{attribute.name!r} must be even, got {value}")


def test_options_of_tells_what_a_plugins_own_validators_say() -> None:
    """A validator function, and one that sees all options, reach the user without a traceback."""

    @frozen
    class Own:
        count: int = field(default=2, validator=even)
        low: int = 0
        high: int = 9

        def __attrs_post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("low is larger than high")

    Own.__annotations__.update(count=int, low=int, high=int)
    attrs.fields(Own)
    attrs.resolve_types(Own, {"int": int})
    assert problems({"count": 3}, Own) == ["stage.count: must be even, got 3"]
    assert problems({"low": 10}, Own) == ["stage: low is larger than high"]


def test_options_of_names_the_item_that_does_not_match() -> None:
    """A pattern for each item is told as its author wrote it, with the item that broke it."""

    @frozen
    class Words:
        words: tuple[str, ...] = option(help="Words.", validator=validators.deep_iterable(validators.matches_re(r"[a-z]+")))

    _, [problem] = options_of(Words, {"words": ["a", "B", ""]}, "stage")
    assert (problem.path, problem.message) == ("stage.words", 'every value must match [a-z]+, got "B"')


def test_options_of_refuses_types_that_options_cannot_have() -> None:
    """A plugin with a field that TOML cannot fill is told, not guessed at."""
    made = attrs.make_class("Odd", {"path": attrs.field(type=bytes, default=b"")})
    with pytest.raises(PluginError, match="cannot have the type"):
        options_of(made, {}, "s")


SOURCES = [{"use": "folder", "path": "p"}]
MINIMAL: dict[str, Any] = {"loraspec": 1, "run": {"name": "x"}, "model": {"use": "m"}, "data": {"sources": SOURCES}}


def test_spec_of_reads_stage_tables_as_choices() -> None:
    """`use` is taken out, the rest stays raw; a stage with a default needs no `use`."""
    spec, found = spec_of({**MINIMAL, "optimizer": {"lr": "raw"}, "x-notes": {"free": 1}, "trackers": []})
    assert found == []
    assert spec is not None
    assert spec.data.sources == (Choice("folder", {"path": "p"}),)
    assert spec.optimizer == Choice("dadapt-adamw", {"lr": "raw"})
    assert spec.adapter is None
    assert spec.trackers == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {}}, "model.use: required key missing"),
        ({"model": {"use": 3}}, "model.use: expected the name of a component, got 3"),
        ({"model": {"use": ""}}, 'model.use: expected the name of a component, got ""'),
        ({"model": "sdxl"}, 'model: expected a table, got "sdxl"'),
        ({"model": [{"use": "x"}]}, "model: expected a table, got [a table]"),
        ({"optimizer": 3}, "optimizer: expected a table, got 3"),
        ({"exporters": {"use": "kohya"}}, "exporters: expected a list of tables, got a table"),
        ({"data": {"sources": []}}, "data.sources: must not be empty"),
        ({"data": {"sources": [{"path": 1}]}}, "data.sources[0].use: required key missing"),
        ({"captions": {"captioner": {}}}, "captions.captioner.use: required key missing"),
        ({"run": {"name": "../x"}}, 'run.name: must match [A-Za-z0-9][A-Za-z0-9._-]{0,63}, got "../x"'),
        ({"train": {"epochs": 10**7}}, "train.epochs: must be at most 100000, got 10000000"),
    ],
)
def test_spec_of_refuses_malformed_tables(change: dict[str, Any], message: str) -> None:
    """Stage tables and core tables are checked alike."""
    spec, found = spec_of({**MINIMAL, **change})
    assert spec is None
    assert [f"{p.path}: {p.message}" for p in found] == [message]


def test_choices_of_gives_what_is_well_formed() -> None:
    """Components can be looked up although other tables are wrong; silent stages give their defaults."""
    tables = {**MINIMAL, "train": 3, "model": 4, "adapter": {"rank": 3}, "trackers": [{"use": "t"}, {}, 5], "captions": "x"}
    found = {path: choice for _, path, choice in choices_of(tables)}
    assert "model" not in found
    assert found["adapter"] == Choice("lora", {"rank": 3})
    assert found["data.sources[0]"] == Choice("folder", {"path": "p"})
    assert found["exporters[0]"] == Choice("kohya")
    assert [path for path in found if path.startswith("trackers")] == ["trackers[0]"]
