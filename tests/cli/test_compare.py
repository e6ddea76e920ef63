"""compare: a table of what differs, what was picked, curves in words; HTML and Markdown where they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from finished_run import finished_run

Cli = Callable[..., Any]


def test_compare_prints_what_differs(tmp_path: Path, loraspec_cli: Cli) -> None:
    """The key with both values, both choices, curves; exit code 0; nothing is written."""
    one, two = finished_run(tmp_path / "one"), finished_run(tmp_path / "two", rank=16, keys={})
    before = sorted(tmp_path.rglob("*"))
    outcome = loraspec_cli("compare", one, two)
    outcome.assert_success()
    rows = [line.split() for line in outcome.out.splitlines()]
    assert ["adapter.rank", "4", "16"] in rows
    assert "model" not in outcome.out
    assert ["picked", "epoch", "3", "at", "1.0", "-"] in rows
    assert "recommended, confidence high  nothing was picked or ranked" in outcome.out
    assert "from 0.48 at epoch 1 to 0.42 at epoch 4" in outcome.out
    assert "\nkey by epoch" in outcome.out
    assert sorted(tmp_path.rglob("*")) == before


def test_compare_shows_a_persons_pick(tmp_path: Path, loraspec_cli: Cli) -> None:
    """What pick keeps is what compare shows."""
    one, two = finished_run(tmp_path / "one"), finished_run(tmp_path / "two")
    loraspec_cli("pick", one, 2, "--weight", 0.9, "--note", "softer").assert_success()
    outcome = loraspec_cli("compare", one, two)
    rows = [" ".join(line.split()) for line in outcome.out.splitlines()]
    assert "picked epoch 2 at 0.9 epoch 3 at 1.0" in rows
    assert "by a person recommended, confidence high" in rows
    assert "softer" in outcome.out
    assert "nothing, the resolved specs are the same" in outcome.out


def test_compare_writes_both_forms(tmp_path: Path, loraspec_cli: Cli) -> None:
    """Where they are asked for, in folders that are made, over what was there."""
    one, two = finished_run(tmp_path / "one"), finished_run(tmp_path / "two")
    for _ in range(2):
        outcome = loraspec_cli("compare", one, two, "--html", tmp_path / "new" / "c.html", "--markdown", tmp_path / "new" / "c.md")
        outcome.assert_success()
        assert outcome.out.count("written: ") == 2
    assert (tmp_path / "new" / "c.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "new" / "c.md").read_text().startswith("# ")


def test_what_cannot_be_compared_is_told(tmp_path: Path, loraspec_cli: Cli) -> None:
    """One run, nine, none, a forged one; a place that cannot be written."""
    folder = finished_run(tmp_path / "run")
    loraspec_cli("compare", folder).assert_failed(2, "1 runs were named; 2 to 8")
    loraspec_cli("compare", *[folder] * 9).assert_failed(2, "9 runs were named")
    loraspec_cli("compare", folder, tmp_path / "no").assert_failed(2, "holds no run")
    forged = finished_run(tmp_path / "forged")
    (forged / "epochs" / "index.json").write_text('{"epochs": [{"epoch": 1, "files": [{"path": "../../x", "sha256": ""}]}]}')
    loraspec_cli("compare", folder, forged).assert_failed(1, "[E-RUN-LAYOUT]")
    (tmp_path / "file").write_text("")
    loraspec_cli("compare", folder, folder, "--html", tmp_path / "file" / "c.html").assert_failed(1, "[E-RUN-DISK]")


def test_hostile_names_do_nothing_to_the_terminal(tmp_path: Path, loraspec_cli: Cli) -> None:
    """Escaped in headings, cells and notes."""
    from loraspec.engine.folder import RunFolder

    one, two = finished_run(tmp_path / "one"), finished_run(tmp_path / "two")
    RunFolder(one).note(name="a\x1b[2J\u202e\nb")
    (one / "pick.json").write_text('{"version": "\\u001b[2J"}')
    outcome = loraspec_cli("compare", one, two)
    outcome.assert_success()
    for text in (outcome.out, outcome.err):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "a\\u001b[2J\\u202e" in outcome.out
