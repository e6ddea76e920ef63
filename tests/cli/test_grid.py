"""``loraspec grid``: any part of a run's grid, on a real run of the tiny family."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loraspec.cli import ranges
from loraspec.errors import SpecError
from loraspec.testing import TINY_SPEC

SPEC = TINY_SPEC + '\n[[evaluators]]\nuse = "grid"\n' if "[[evaluators]]" not in TINY_SPEC else TINY_SPEC


@pytest.mark.usefixtures("tiny_plugin")
def test_a_part_is_drawn_once(run_spec: Callable[..., Any], loraspec_cli: Callable[..., Any], tmp_path: Path) -> None:
    """Other weights, prompts and seeds; only what is missing; the run's own grid, report and epochs stay as they are."""
    folder = run_spec(SPEC).folder
    kept = {path: path.read_bytes() for path in [folder / "grid" / "index.json", *(folder / "epochs").rglob("*.safetensors")]}
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("# mine\na hat, by Tiny\n\na ship, by Tiny\na hat, by Tiny\n", encoding="utf-8")
    words = ("grid", folder, "--epochs", "2", "--weights", "0.4:0.8:0.2", "--prompts", prompts, "--seeds", "11,12", "-o", tmp_path / "out")
    first = loraspec_cli(*words)
    first.assert_success()
    assert "16 cells, 16 of them drawn now" in first.out
    index = json.loads((tmp_path / "out/index.json").read_text(encoding="utf-8"))
    assert (index["epochs"], index["weights"], index["seeds"]) == ([2], [0.4, 0.6, 0.8], [11, 12])
    assert index["prompts"] == ["a hat, by Tiny", "a ship, by Tiny"]
    assert len([*(tmp_path / "out/sheets").iterdir()]) == 4
    assert "16 cells, 0 of them drawn now" in loraspec_cli(*words).out
    assert {path: path.read_bytes() for path in kept} == kept


@pytest.mark.usefixtures("tiny_plugin")
def test_what_cannot_be_drawn_is_told(run_spec: Callable[..., Any], loraspec_cli: Callable[..., Any], tmp_path: Path) -> None:
    """An epoch that is not there, a file without prompts, no run: exit code 2 and a word what would be right."""
    folder = run_spec(SPEC).folder
    wrong = loraspec_cli("grid", folder, "--epochs", "1,9")
    assert (wrong.code, "has no epoch 9; it has 1" in wrong.out + wrong.err) == (2, True)
    empty = tmp_path / "none.txt"
    empty.write_text("# nothing\n", encoding="utf-8")
    assert loraspec_cli("grid", folder, "--prompts", empty).code == 2
    assert loraspec_cli("grid", tmp_path).code == 2


def test_numbers_as_they_are_written() -> None:
    """Lists, ranges, steps that do not divide evenly."""
    assert ranges.epochs("5,10,14,10") == (5, 10, 14)
    assert ranges.epochs("3-6") == (3, 4, 5, 6)
    assert ranges.weights("0.4:1.0:0.2") == (0.4, 0.6, 0.8, 1.0)
    assert ranges.weights("1,0.5:0.7:0.15") == (1.0, 0.5, 0.65)
    assert ranges.seeds("7, 1,7") == (7, 1)


@pytest.mark.parametrize("text", ["0", "x", "1:2", "1:0.5:0.1", "nan", "0.1:1:1e-9", "11", "-1"])
def test_weights_that_are_none(text: str) -> None:
    """Each is refused with an example."""
    with pytest.raises(SpecError, match=r"0\.4:1\.0:0\.2"):
        ranges.weights(text)


@pytest.mark.parametrize("text", ["-1", "a", "1.5", "4294967296"])
def test_seeds_that_are_none(text: str) -> None:
    """Each is refused."""
    with pytest.raises(SpecError, match="is no seed"):
        ranges.seeds(text)
