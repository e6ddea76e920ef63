"""columns: what fits stays as it is; what does not is broken between words, and no cell is cut."""

from __future__ import annotations

import pytest

from loraspec.cli.columns import GAP, WORD, fitted
from loraspec.cli.output import table


def test_columns_that_fit_are_as_wide_as_their_cells() -> None:
    """Wide letters count twice, as a terminal draws them."""
    assert fitted([("a", "bbbb"), ("ccc", "d")], 9) == [4, 3]
    assert fitted([("絵", "b")], 80) == [2]


def test_the_widest_column_gives_way_first() -> None:
    """Down to the others' width, then all together; of equals the last."""
    prose = "one two three four five six"
    assert fitted([("name",), (prose,)], 4 + GAP + 15) == [4, 15]
    assert fitted([(prose,), (prose,)], 2 * 14 + GAP - 1) == [14, 13]


def test_a_short_word_is_never_broken_and_a_long_one_last() -> None:
    """None where short words would have to be; a long word gives way only when the others cannot."""
    long = "x" * 60
    assert fitted([(long,), ("a b c",)], 60 + GAP + 1) == [60, 1]
    assert fitted([(long,), ("a b c",)], 50 + GAP) == [45, 5]
    assert fitted([(long,), ("abc",)], WORD + GAP + 2) is None


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 200])
def test_no_cell_of_a_table_is_ever_cut(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Every word is there at any width, in its row's order, and no line is wider than the terminal."""
    monkeypatch.setenv("COLUMNS", str(columns))
    heads = ("key", "first-run-with-a-name", "second-run-with-a-name", "third")
    rows = [(f"optimizer.key_{n}", f"value {n} of the first", f"value {n} of the second that is longer", f"{n}") for n in range(3)]
    shown = table(rows, heads, indent=2)
    assert max(map(len, shown.splitlines())) <= columns
    for row in rows:
        for word in " ".join(row).split():
            assert word in shown.replace("\n", " ").split()
    for head in heads[1:]:
        assert head in shown


def test_rows_that_fit_no_line_become_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first cell, and below it each other one with its heading; empty ones are left out."""
    monkeypatch.setenv("COLUMNS", "40")
    heads = ("key", *(f"run-of-a-long-name-{n}" for n in range(3)))
    shown = table([("rank", "4", "", "16"), ("alpha", "8", "8", "8")], heads).splitlines()
    assert shown == [
        "rank", "  run-of-a-long-name-0  4", "  run-of-a-long-name-2  16",
        "alpha", "  run-of-a-long-name-0  8", "  run-of-a-long-name-1  8", "  run-of-a-long-name-2  8",
    ]  # fmt: skip
