"""The key locator against tomllib, on written and on generated texts."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loraspec.randomness import generator
from loraspec.spec import locator
from loraspec.spec.document import parse
from loraspec.spec.paths import render, split

WRITTEN = '''\
# [no.table] x = "in a comment"
top = 1
"quoted.key" = 2   # not = 3
'single "q"' = 3
a.b . "c d" = 4
multi = """
x = "no key" # no comment \\"""
[no.table]
"""
raw = \'\'\'
[[no]]
it''s\'\'\'
list = [ # comment ]
  1, [2, 3], # ] }
  { x = 4, "y.z" = { w = 5 } },
]
inline = { p = { q.r = 6 }, s = "}" }
date = 2026-11-22 14:37:46

[captions.captioner]
use = "x"
[ captions . "odd name" ]
k = 7
[[data.sources]]
use = "one"
  [data.sources.options]
  deep = 8
[[data.sources]]
use = "two"
[[data.sources.parts]]
n = 9
[[data.sources.parts]]
n = 10
[data]
repeats = 11
'''


def at(text: str, path: str, *, key: bool = False) -> str:
    """The rest of the line at a path's place."""
    line, column = parse(text, name="t", path=Path("t")).locate(path, key=key)
    return text.split("\n")[line - 1][column - 1 :]


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        ("top", "1", "top"),
        ('"quoted.key"', "2", '"quoted.key"'),
        ('"single \\"q\\""', "3", "'single"),
        ('a.b."c d"', "4", '"c d"'),
        ("multi", '"""', "multi"),
        ("list[0]", "1,", "1,"),
        ("list[1][1]", "3]", "3]"),
        ("list[2].x", "4,", "x ="),
        ('list[2]."y.z".w', "5 }", "w ="),
        ("inline.p.q.r", "6 }", "r ="),
        ("inline.s", '"}"', "s ="),
        ("date", "2026-11-22 14", "date"),
        ("captions", "captions.captioner]", "captions.captioner]"),
        ("captions.captioner.use", '"x"', "use"),
        ('captions."odd name".k', "7", "k"),
        ("data.sources[0].options.deep", "8", "deep"),
        ("data.sources[1]", "sources]]", "sources]]"),
        ("data.sources[1].use", '"two"', "use"),
        ("data.sources[1].parts[1].n", "10", "n"),
        ("data.repeats", "11", "repeats"),
    ],
)
def test_locate_finds_values_and_keys(path: str, value: str, key: str) -> None:
    """Every way to write a key leads to its value and to itself."""
    assert at(WRITTEN, path).startswith(value)
    assert at(WRITTEN, path, key=True).startswith(key)


def test_locate_falls_back_to_the_nearest_parent() -> None:
    """A key that is absent is shown at the table it should be in."""
    assert at(WRITTEN, "data.sources[1].path").startswith("sources]]")
    assert at(WRITTEN, "captions.captioner.model.x").startswith("captioner]")
    document = parse(WRITTEN, name="t", path=Path("t"))
    assert document.locate("nothing.at.all") == (1, 1)
    assert document.has("data.repeats")
    assert not document.has("data.resolution")


def all_paths(value: Any, parts: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every path of a nested value."""
    if parts:
        yield parts
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from all_paths(inner, (*parts, key))


def test_locate_knows_exactly_the_paths_of_tomllib() -> None:
    """No path is missing and none is invented."""
    places, whole = locator.locate(WRITTEN)
    assert whole
    assert set(places.keys) == set(places.values) == set(all_paths(tomllib.loads(WRITTEN)))


class Writer:
    """Writes random TOML in which every scalar is a number of its own."""

    def __init__(self, seed: int) -> None:
        self.rng: np.random.Generator = generator(seed, "toml")
        self.count = 1000
        self.names = 0

    def pick(self, *options: Any) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def key(self) -> str:
        self.names += 1
        return self.pick(
            f"k{self.names}", f'"k.{self.names}"', f"'k {self.names}]'", f'"\\u00e9\\"{self.names}"', f"{self.names}", f"k-{self.names}"
        )

    def noise(self) -> str:
        return self.pick("", "", " ", "\n", "# x = [1, '\"\n", "\t# }}\n")

    def scalar(self) -> str:
        self.count += 1
        n = self.count
        return self.pick(
            f"{n}",
            f'"{n} # = ]"',
            f"'{n} \"'", f'"""{n}\n[x]\ny = "" 1\\" \\\\""""', f"'''{n}\n''x'''", f'"{n}\\"\\\\"', f"{n}-01-01", f"{n}.5e3"
        )

    def value(self, depth: int) -> str:
        kind = self.pick("scalar", "scalar", "list", "table") if depth else "scalar"
        if kind == "list":
            items = [self.noise() + self.value(depth - 1) + self.noise() for _ in range(self.pick(0, 1, 3))]
            return "[" + ",".join(items) + ("," if items and self.pick(True, False) else "") + self.noise() + "]"
        if kind == "table":
            return "{ " + ", ".join(self.pair(depth - 1) for _ in range(self.pick(0, 1, 2))) + " }"
        return self.scalar()

    def pair(self, depth: int) -> str:
        key = ".".join(self.key() for _ in range(self.pick(1, 1, 2)))
        return f"{key}{self.pick('=', ' = ', '  =')}{self.value(depth)}"

    def document(self) -> str:
        lines = [self.pair(3) for _ in range(4)]
        for _ in range(5):
            name = ".".join(self.key() for _ in range(self.pick(1, 2)))
            headers = self.pick([f"[{name}]"], [f"[ {name} ]"], [f"[[{name}]]", f"[[{name}]]", f"[{name}.{self.key()}]"])
            for header in headers:
                lines += [f"{self.noise().strip()}\n{header} # {header}", *(self.pair(2) for _ in range(2))]
        return self.pick("\n", "\r\n").join(lines)


@pytest.mark.parametrize("seed", range(60))
def test_locate_agrees_with_tomllib_on_generated_texts(seed: int) -> None:
    """The paths are tomllib's, and every place shows the number that tomllib read there."""
    text = Writer(seed).document()
    document = parse(text, name="t", path=Path("t"))
    places, whole = locator.locate(document.text)
    assert whole
    assert not places.duplicates
    assert set(places.keys) == set(all_paths(tomllib.loads(text)))
    for parts in all_paths(document.tables):
        value: Any = document.tables
        for part in parts:
            value = value[part]
        if isinstance(value, dict | list):
            continue
        number = str(value if not isinstance(value, float) else int(value / 1000))[:4]
        offset = places.values[parts]
        assert number in document.text[offset : offset + 7]
        line, column = document.locate(render(parts))
        assert document.text.split("\n")[line - 1][column - 1 :][:4] == document.text[offset : offset + 4].split("\n")[0]


@pytest.mark.parametrize("parts", [("a", "b"), ("a", 0, "b", 1, 2), ('x."y', "é", 3), ("", "1"), ("low-vram", "a_b")])
def test_paths_read_back(parts: tuple[str | int, ...]) -> None:
    """A path as text gives its parts again."""
    assert split(render(parts)) == parts


@pytest.mark.parametrize("text", ["a..b", ".a", "a.", "a[x]", "a b", "a[0]b"])
def test_split_refuses_what_is_no_path(text: str) -> None:
    """A malformed path is refused, not guessed."""
    with pytest.raises(ValueError, match="no path"):
        split(text)


def test_locator_reads_broken_text_without_crashing() -> None:
    """Every beginning of a text is read or given up, never more."""
    whole, _ = locator.locate(WRITTEN)
    for end in range(len(WRITTEN)):
        places, read = locator.locate(WRITTEN[:end])
        assert all(start < end for start in places.keys.values())
        if read and WRITTEN[:end].endswith("\n"):
            assert places.keys == {path: start for path, start in whole.keys.items() if start < end}
