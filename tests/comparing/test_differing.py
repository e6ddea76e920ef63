"""Only what differs, key by key, of any number of specs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from finished_run import finished_run

from loraspec.comparing.differing import ABSENT, _walk, differing, shown
from loraspec.comparing.sides import sides
from loraspec.finished import read


def rows(*settings: Any) -> list[tuple[str, list[Any]]]:
    return [(path, [None if value is ABSENT else value for value in values]) for path, values in _walk(settings, "")]


def test_equal_values_are_left_out() -> None:
    """A key in each depth; one that is missing; types count."""
    one = {"a": 1, "b": {"c": [1, 2], "d": "x"}, "e": True}
    assert rows(one, dict(one), dict(one)) == []
    assert rows(one, {**one, "a": 2}, {**one, "b": {"c": [1, 3], "d": "x"}}) == [("a", [1, 2, 1]), ("b.c", [[1, 2], [1, 2], [1, 3]])]
    assert rows(one, {"a": 1, "b": one["b"]}) == [("e", [True, None])]
    assert rows({"a": 1}, {"a": 1.0}) == [("a", [1, 1.0])]
    assert rows({"a": 1}, {"a": True}) == [("a", [1, True])]


def test_tables_in_lists_are_looked_into_where_they_pair() -> None:
    """Sources of one number each; of another number the list differs as a whole; a table that is missing is told key by key."""
    assert rows({"s": [{"p": 1, "q": 2}]}, {"s": [{"p": 1, "q": 3}]}) == [("s[0].q", [2, 3])]
    assert rows({"s": [{"p": 1}]}, {"s": [{"p": 1}, {"p": 2}]}) == [("s", [[{"p": 1}], [{"p": 1}, {"p": 2}]])]
    assert rows({"t": {"x": 1}}, {}) == [("t.x", [1, None])]
    assert rows({"t": {"x": 1}}, {"t": 5}) == [("t", [{"x": 1}, 5])]


def test_values_are_one_line_and_public() -> None:
    """No absolute path of the machine, in whatever it stands; long ones are cut; an empty text can be seen."""
    assert shown("/mnt/me/photos/daumier/") == ".../daumier"
    assert shown("C:\\Users\\me\\photos") == ".../photos"
    assert shown([{"path": "~/photos/a"}]) == '[{"path": ".../a"}]'
    assert shown("../data/daumier") == "../data/daumier"
    assert shown("") == '""'
    assert shown(ABSENT) == "-"
    assert shown(0.1) == "0.1"
    assert len(shown("x" * 5000)) == 400


def test_runs_differ_by_spec_and_data(tmp_path: Path) -> None:
    """The name and the place are no difference; other pictures are."""
    from loraspec.engine.folder import RunFolder

    one, two = finished_run(tmp_path / "one"), finished_run(tmp_path / "two", name="other", rank=8)
    assert differing(sides([read(one), read(two)])) == [("adapter.rank", ["4", "8"])]
    RunFolder(two).note(data_sha256="1" * 64)
    assert differing(sides([read(one), read(two)]))[-1] == ("images and captions (sha256)", ["0" * 12, "1" * 12])
    assert differing(sides([read(one), read(one)])) == []
