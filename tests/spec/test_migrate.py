"""Format 0 to 1, on a frozen example."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from loraspec.errors import SpecError
from loraspec.spec.load import load
from loraspec.spec.migrate import migrate

FIXTURES = Path(__file__).parent / "fixtures"
OLD = (FIXTURES / "format0.toml").read_text(encoding="utf-8")


def test_migrate_gives_the_frozen_text() -> None:
    """Every byte of the migrated example is known: order, spacing and comments stay."""
    assert migrate(OLD).text == (FIXTURES / "format0_migrated.toml").read_text(encoding="utf-8")


def test_migrate_keeps_every_comment() -> None:
    """No comment of the old text is lost."""
    comments = re.findall(r"# [^\n]*", OLD)
    assert len(comments) > 10
    new = migrate(OLD).text
    assert [c for c in comments if c not in new] == []


def test_migrated_text_loads(tmp_path: Path) -> None:
    """The migrated example is a spec with the old values under the new names, profiles too."""
    file = tmp_path / "s.toml"
    file.write_text(migrate(OLD).text, encoding="utf-8")
    spec = load(file).spec
    assert (spec.run.name, spec.run.seed) == ("woodcut", 42)
    assert spec.model.use == "sd15"
    assert spec.model.options["checkpoint"] == "stable-diffusion-v1-5/stable-diffusion-v1-5"
    assert spec.train.mixed_precision == "no"
    assert spec.train.gradient_accumulation_steps == 2
    assert spec.train.gradient_checkpointing
    assert spec.lr_scheduler is not None
    assert spec.lr_scheduler.use == "cosine"
    assert spec.grid.weights == (0.8, 1.0)
    low = load(file, profiles=["low-vram", "other"]).spec
    assert (low.train.mixed_precision, low.train.gradient_accumulation_steps, low.run.seed) == ("fp16", 4, 7)
    assert low.model.options["checkpoint"] == "somewhere/else"


def test_migrate_says_what_it_changed() -> None:
    """Each change is one line."""
    changes = migrate(OLD).changes
    assert "base.model is now model.checkpoint" in changes
    assert "train.seed is now run.seed" in changes
    assert "profiles.low-vram.train.precision is now profiles.low-vram.train.mixed_precision" in changes
    assert len(set(changes)) == len(changes)


def test_migrate_leaves_the_newest_format_alone() -> None:
    """Migrating twice is migrating once."""
    once = migrate(OLD)
    again = migrate(once.text)
    assert (again.text, again.before, again.changes) == (once.text, 1, ())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("loraspec = 0 # number\n[train]\nepochs = 1\n", "loraspec = 1 # number\n[train]\nepochs = 1\n"),
        (
            "[base]\nuse = 'x'\n[base.options]\n[base.'model']\na = 1\n",
            "loraspec = 1\n\n[model]\nuse = 'x'\n[model.options]\n[model.checkpoint]\na = 1\n",
        ),
        ("base.use = 'x'\ntrain = { epochs = 2 }\n", "loraspec = 1\n\nmodel.use = 'x'\ntrain = { epochs = 2 }\n"),
        ("# about base\n[base]\n", "loraspec = 1\n\n# about base\n[model]\n"),
        ("[meta]\r\nname = 'x'\r\n", "loraspec = 1\n\n[run]\nname = 'x'\n"),
    ],
)
def test_migrate_meets_every_way_to_write_a_table(old: str, new: str) -> None:
    """Headers, dotted keys, inline tables and quoted keys are renamed where they stand."""
    assert migrate(old).text == new
    tomllib.loads(new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("train = { seed = 3, epochs = 2 }\n", {"train": {"epochs": 2}, "run": {"seed": 3}}),
        ("[train]\nseed = 3\n[meta]\nname = 'x'\n", {"train": {}, "run": {"name": "x", "seed": 3}}),
        ("[profiles]\np = { train = { seed = 3 } }\n", {"profiles": {"p": {"train": {}, "run": {"seed": 3}}}}),
        (
            "[profiles.p]\ntrain.seed = 3\ndata.repeats = 2\n",
            {"profiles": {"p": {"train": {}, "data": {"repeats": 2}, "run": {"seed": 3}}}},
        ),
        ("[profiles.p]\ntrain.precision = 'fp32'\n", {"profiles": {"p": {"train": {"mixed_precision": "no"}}}}),
    ],
)
def test_migrate_moves_and_changes_values(old: str, new: dict[str, object]) -> None:
    """The seed moves to the run and words change, in profiles and inline tables too."""
    found = tomllib.loads(migrate(old).text)
    if "profiles" in found and found["profiles"]["p"].get("train") is None:
        found["profiles"]["p"]["train"] = {}  # an emptied dotted table may go
    assert found == {"loraspec": 1, **new}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[base]\n[model]\n", "both are there"),
        ("[train]\nseed = 1\n[run]\nseed = 2\n[base]\n", "both are there"),
        ("loraspec = 2\n", "formats 0 to 1"),
        ("loraspec = 'x'\n", "formats 0 to 1"),
        ("[model]\nuse = 'x'\n", "write `loraspec = 1`"),
        ("a = \n", "not TOML"),
    ],
)
def test_migrate_refuses_what_it_cannot_read(text: str, words: str) -> None:
    """Two names of one thing, a newer format, no TOML: a problem, no guess."""
    with pytest.raises(SpecError, match=re.escape(words)):
        migrate(text)


def test_load_of_an_older_format_names_the_command() -> None:
    """Only the format is told, not each key that has another name now."""
    with pytest.raises(SpecError) as caught:
        load(FIXTURES / "format0.toml")
    (problem,) = caught.value.problems
    assert "has format 0" in problem.message
    assert problem.hint.startswith("loraspec migrate ")
