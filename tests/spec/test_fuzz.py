"""Mutated specs: whatever the text, the answer is a spec or placed problems, never another exception."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from loraspec.errors import SpecError
from loraspec.randomness import generator
from loraspec.spec.load import load
from loraspec.spec.migrate import migrate
from loraspec.spec.resolved import resolved_toml, spec_hash

ROOT = Path(__file__).resolve().parents[2]
SEEDS = [(ROOT / "specs" / "daumier.toml"), Path(__file__).parent / "fixtures" / "format0.toml"]
PIECES = [
    *'"\'[]{}=.,#\n\\ \t-_0', "[[", "]]", '"""', "'''", "= 1", "true", "nan", "-inf", "1e999", "9" * 30, "use", 'use = ""', "[]", "{}",
    "[profiles.embedded]", "[profiles]\n", "loraspec = 1\n", "[[data.sources]]\n",
    "x-y = 1\n", "\u0000", "é", "\ud7ff", "1979-05-27T07:32:00Z", "{ a = { b = [1] } }",
]  # fmt: skip


def pick(rng: np.random.Generator, items: list[str]) -> str:
    return items[int(rng.integers(len(items)))]


def mutated(text: str, rng: np.random.Generator) -> str:
    """One to six edits: of characters, of lines, or of values."""
    for _ in range(int(rng.integers(1, 7))):
        at = int(rng.integers(len(text) + 1))
        lines = text.split("\n")
        line = int(rng.integers(len(lines)))
        kind = int(rng.integers(7))
        if kind == 0:
            text = text[:at] + pick(rng, PIECES) + text[at:]
        elif kind == 1:
            text = text[:at] + text[at + int(rng.integers(1, 30)) :]
        elif kind == 2:
            text = "\n".join([*lines[:line], *lines[line + 1 :]])
        elif kind == 3:
            text = "\n".join([*lines[:line], pick(rng, lines), *lines[line:]])
        elif kind in (4, 5) and "=" in lines[line]:
            lines[line] = lines[line].partition("=")[0] + "= " + pick(rng, PIECES)
            text = "\n".join(lines)
        else:
            other = int(rng.integers(len(lines)))
            lines[line], lines[other] = lines[other], lines[line]
            text = "\n".join(lines)
    return text


@pytest.mark.parametrize("block", range(10))
def test_load_of_mutated_specs_gives_a_spec_or_problems(block: int, tmp_path: Path) -> None:
    """Every problem has a message, a file and a position that the file has."""
    outcomes = set()
    for number in range(40):
        rng = generator(block, "fuzz", number)
        text = mutated(SEEDS[number % 4 == 3].read_text(encoding="utf-8"), rng)
        file = tmp_path / "s.toml"
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        key = pick(rng, ["train.epochs", "data", "model.use", "a b", "x", "data.sources[0].path", ""])
        sets = [f"{key}={pick(rng, PIECES)}"] if number % 2 else []
        lines = text.count("\n") + 1
        loaded, problems = load(file, profiles=["embedded"] if number % 3 else [], sets=sets, strict=False)
        for problem in problems:
            assert problem.message
            assert problem.file in (str(file), "--set")
            assert 0 <= problem.line <= lines
        assert bool(problems) == (loaded is None or loaded.checked is None)
        outcomes.add("problems" if problems else "spec")
        if loaded is not None:
            tables = loaded.overlay.tables
            again = tomllib.loads(resolved_toml(tables))
            assert spec_hash(again) == spec_hash(tables)
        try:
            made = migrate(text)
        except SpecError:
            continue
        assert tomllib.loads(made.text)["loraspec"] == 1
        assert migrate(made.text).changes == ()
    assert "problems" in outcomes


def test_mutations_reach_both_outcomes(tmp_path: Path) -> None:
    """Some mutated specs still load: the fuzz does not only see broken files."""
    found = 0
    for number in range(40):
        file = tmp_path / "s.toml"
        file.write_text(mutated(SEEDS[0].read_text(encoding="utf-8"), generator(99, "fuzz", number)), encoding="utf-8")
        loaded, _ = load(file, strict=False)
        found += loaded is not None and loaded.checked is not None
    assert 2 <= found <= 38
