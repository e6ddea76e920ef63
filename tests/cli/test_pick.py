"""pick: the ranking's epoch or a person's, kept in pick.json; nothing is picked where the ranking is not sure."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from finished_run import finished_run

Cli = Callable[..., Any]


def kept(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "pick.json").read_text(encoding="utf-8"))
    return found


def test_pick_takes_the_recommendation_and_says_how_to_use_it(tmp_path: Path, loraspec_cli: Cli) -> None:
    """File, reason, and the three programs in their own words."""
    folder = finished_run(tmp_path / "run")
    outcome = loraspec_cli("pick", folder)
    outcome.assert_success()
    assert (kept(folder)["epoch"], kept(folder)["weight"], kept(folder)["by"]) == (3, 1.0, "ranking")
    for text in (
        str(folder / "epochs" / "style-000003.safetensors"), "Epoch 3 is the sweet spot", "models/loras", "LoraLoaderModelOnly",
        "<lora:style-000003:1>", 'weight_name="style-000003.safetensors"', 'set_adapters("style", 1.0)', "by Nobody",
    ):  # fmt: skip
        assert text in outcome.out
    assert "Python package" not in outcome.out


def test_pick_takes_a_persons_choice(tmp_path: Path, loraspec_cli: Cli) -> None:
    """Weight and note are kept; what the ranking thinks of it is said; a later pick says what it replaces."""
    folder = finished_run(tmp_path / "run", base="package:loraspec_picturebook/base", exporters=("diffusers", ""))
    outcome = loraspec_cli("pick", folder, 2, "--weight", 0.9, "--note", "softer")
    outcome.assert_success()
    assert {name: kept(folder)[name] for name in ("epoch", "weight", "by", "note")} == {
        "epoch": 2, "weight": 0.9, "by": "person", "note": "softer",
    }  # fmt: skip
    assert "cannot tell it from epoch 3" in outcome.out
    assert "Python package" in outcome.out
    assert "<lora:style-000002:0.9>" in outcome.out
    assert 'epochs", weight_name' in outcome.out  # the kohya file, which all three read
    again = loraspec_cli("pick", folder)
    assert 'in place of epoch 2 at 0.9, picked by a person on 2' in again.out
    assert '"softer"' in again.out
    assert "puts it behind" in loraspec_cli("pick", folder, 1).out


def test_low_confidence_asks_for_an_eye(tmp_path: Path, loraspec_cli: Cli) -> None:
    """The tie set is shown and nothing kept, exit code 1; an explicit epoch or --yes takes it."""
    folder = finished_run(tmp_path / "run", confidence="low")
    for words in ((), ("--weight", 0.9)):
        outcome = loraspec_cli("pick", folder, *words)
        assert outcome.code == 1
        assert "cannot tell epochs 2 and 3 apart" in outcome.out
        assert "few pictures" in outcome.out
        assert f"loraspec judge {folder}" in outcome.out
        assert not (folder / "pick.json").exists()
    loraspec_cli("pick", folder, "--yes").assert_success()
    assert (kept(folder)["epoch"], kept(folder)["by"]) == (3, "ranking")
    loraspec_cli("pick", folder, 2).assert_success()
    assert (kept(folder)["epoch"], kept(folder)["by"]) == (2, "person")


def test_what_cannot_be_picked_is_told_and_nothing_changes(tmp_path: Path, loraspec_cli: Cli) -> None:
    """Unknown run, epoch, weight; no ranking: finished, stopped, broken, empty."""
    loraspec_cli("pick", tmp_path / "no").assert_failed(2, "holds no run")
    folder = finished_run(tmp_path / "run")
    loraspec_cli("pick", folder, 9).assert_failed(2, "epoch 9 is not committed; there are 1, 2, 3 and 4")
    loraspec_cli("pick", folder, 2, "--weight", 5).assert_failed(2, "out of range")
    (folder / "epochs" / "style-000003.safetensors").write_bytes(b"damaged")
    loraspec_cli("pick", folder).assert_failed(1, "[E-RUN-DAMAGED]")
    assert not (folder / "pick.json").exists()
    loraspec_cli("pick", finished_run(tmp_path / "bare", keys={})).assert_failed(1, "none of its evaluators is a metric")
    loraspec_cli("pick", finished_run(tmp_path / "half", keys={}, state="stopped")).assert_failed(1, "the run is not done")
    broken = finished_run(tmp_path / "broken")
    (broken / "ranking.json").write_text('{"version": 1}')
    loraspec_cli("pick", broken).assert_failed(1, "[E-RUN-UNRANKED]")
    loraspec_cli("pick", broken, 2).assert_success()
    loraspec_cli("pick", finished_run(tmp_path / "zero", epoch=0)).assert_failed(1, "could not be ranked")


def test_pick_shows_and_copies(tmp_path: Path, loraspec_cli: Cli) -> None:
    """--show changes nothing and has its exit code; --copy leaves the files where they are wanted; a refused copy picks nothing."""
    folder = finished_run(tmp_path / "run", exporters=("", "diffusers"))
    assert loraspec_cli("pick", folder, "--show").code == 1
    outcome = loraspec_cli("pick", folder, 2, "--copy", tmp_path / "out")
    outcome.assert_success()
    assert (tmp_path / "out" / "diffusers" / "style-000002.safetensors").is_file()
    before = (folder / "pick.json").read_bytes()
    shown = loraspec_cli("pick", folder, "--show")
    shown.assert_success()
    assert "epoch 2 at weight 1.0, picked by a person" in shown.out
    assert (folder / "pick.json").read_bytes() == before
    loraspec_cli("pick", folder, 1, "--show").assert_failed(2, "--show changes nothing")
    (tmp_path / "out" / "style-000003.safetensors").write_bytes(b"mine")
    loraspec_cli("pick", folder, 3, "--copy", tmp_path / "out").assert_failed(2, "is there already")
    assert (folder / "pick.json").read_bytes() == before


def test_hostile_words_are_escaped(tmp_path: Path, loraspec_cli: Cli) -> None:
    """A note that would turn the line round or write a new one is kept as it is and shown escaped."""
    folder = finished_run(tmp_path / "run")
    note = "soft\x1b[2J\u202e\nroot: yes"
    loraspec_cli("pick", folder, 2, "--note", note).assert_success()
    assert kept(folder)["note"] == note
    for words in (("--show",), ("3",)):
        shown = loraspec_cli("pick", folder, *words).out
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        assert "\\u001b[2J\\u202e" in shown


def test_a_pick_survives_a_resume(run_spec: Cli, loraspec_cli: Cli, tiny_plugin: None) -> None:
    """Of a real run: a damaged other epoch is trained again, further ones are added, and the choice still fits."""
    from loraspec.testing import TINY_SPEC

    outcome = run_spec(TINY_SPEC)
    outcome.assert_success()
    loraspec_cli("pick", outcome.folder, 2, "--weight", 0.8, "--note", "mine").assert_success()
    before = (outcome.folder / "pick.json").read_bytes()
    (outcome.folder / "epochs" / "tiny-000002.safetensors").write_bytes(b"damaged")
    loraspec_cli("pick", outcome.folder, "--show").assert_failed(1, "[E-RUN-DAMAGED]")
    loraspec_cli("resume", outcome.folder).assert_success()
    assert (outcome.folder / "pick.json").read_bytes() == before
    loraspec_cli("pick", outcome.folder, "--show").assert_success()


def test_last_is_the_newest_run(tmp_path: Path, loraspec_cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for resume."""
    monkeypatch.chdir(tmp_path)
    finished_run(tmp_path / "runs" / "one")
    loraspec_cli("pick", "last").assert_success()
    assert kept(tmp_path / "runs" / "one")["epoch"] == 3


def test_choosing_needs_no_torch(tmp_path: Path) -> None:
    """pick, judge --results and compare import nothing heavy."""
    folder = finished_run(tmp_path / "run")
    script = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from loraspec.cli import main\n"
        "run = sys.argv[1]\n"
        "for words in (['pick', run], ['judge', run, '--results'], ['compare', run, run, '--html', 'c.html']):\n"
        "    assert CliRunner().invoke(main, words).exit_code in (0, 1), words\n"
        "assert not {'torch', 'diffusers', 'transformers', 'peft'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(folder)], check=True, cwd=tmp_path)
    assert (tmp_path / "c.html").is_file()
