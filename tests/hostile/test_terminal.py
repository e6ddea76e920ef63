"""Texts that would drive a terminal come out of no command as they went in."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loraspec.cli import main
from loraspec.testing import TINY_SPEC
from loraspec.testing.tiny import GRID_ONLY

TITLE, CURSOR, C1, BIDI = "\x1b]0;owned\x07", "\x1b[2J\x1b[H", "\x9b31m", "\u202egnp.exe"
HOSTILE = f"x {TITLE}{CURSOR}{C1}{BIDI}\x08\x00 y".replace("\x00", "")
BARE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

SERVERS = {"judge"}  # stays until it is stopped; its page has tests of its own


CAPTIONER = '[captions.captioner]\nuse = "template"\ntext = "{name} {caption}"'


def quoted(text: str) -> str:
    """A TOML string that reads as ``text``."""
    plain = (char if char.isascii() and char.isprintable() and char not in '"\\' else f"\\u{ord(char):04x}" for char in text)
    return f'"{"".join(plain)}"'


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_plugin: None) -> Path:
    """The working folder: ``spec.toml`` has hostile prompts, credits and style tag, ``names.toml`` hostile file names and captions too."""
    from corpus.specs import noise

    for folder, name, caption in (("images", "{}", "square {}, by Tiny"), ("names", "{} \x1b[31m" + BIDI, "square {}, " + HOSTILE)):
        (tmp_path / folder).mkdir()
        for number in range(4):
            noise(seed=number).save(tmp_path / folder / f"{name.format(number)}.png")
            (tmp_path / folder / f"{name.format(number)}.txt").write_text(caption.format(number), encoding="utf-8")
    text = TINY_SPEC.replace(GRID_ONLY, "")
    for old, new in (
        ('use = "tiny:tiny"\nrights = "own"', f'use = "folder"\npath = "images"\nrights = "own"\ncredits = {quoted(HOSTILE)}'),
        ('prompts = ["square, by Tiny"]', f"prompts = [{quoted(HOSTILE)}]\nnegative = {quoted(HOSTILE)}\nfresh_seeds = 0"),
        ("fresh_seeds", f'judged_prompts = [{quoted("a " + HOSTILE)}, "square"]\nfresh_seeds'),
        ("[adapter]", f"[captions]\nstyle_tag = {quoted(HOSTILE)}\n\n{CAPTIONER}\n\n[adapter]"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    text += "".join(f'\n[[evaluators]]\nuse = "{use}"\n' for use in ("grid", "texture-progress", "copy-rate"))
    (tmp_path / "spec.toml").write_text(text, encoding="utf-8")
    (tmp_path / "names.toml").write_text(text.replace('"images"', '"names"'), encoding="utf-8")
    (tmp_path / "broken.toml").write_text(text.replace("epochs = 2", f"epochs = {quoted(HOSTILE)}"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


GOOD = """
    validate spec.toml | show spec.toml --resolved | show spec.toml --origin | plan spec.toml | plan spec.toml --json
    plan spec.toml --digests | captions preview spec.toml --epoch 1 | lock spec.toml | run spec.toml --set run.output=out | resume out
    grid out --epochs 2 --weights 0.5 | pick out 1 | card out | compare out out | verify spec.lock | verify out
    diff spec.lock out/lock.json | lock spec.toml --expect out | reproduce spec.lock -o again | cache show
    cache explain 1.png --spec spec.toml | migrate spec.toml | plugins | schema | init new --images images --style Tiny --rights own
    fetch spec.toml | captions status spec.toml | captions status spec.toml --json | captions export spec.toml out.csv
    captions import spec.toml out.csv --approve | captions draft spec.toml | captions diff spec.toml out.csv | cache clear
"""
BAD = """
    validate broken.toml | plan broken.toml | plan names.toml | run names.toml | lock names.toml | captions preview names.toml --epoch 1
    captions export names.toml out.csv | captions import names.toml nowhere.csv
"""
EITHER = """
    captions lint spec.toml | captions lint spec.toml --json | captions lint names.toml | captions status names.toml --all
    captions draft names.toml --again --yes | captions diff names.toml out.csv | captions import names.toml out.csv
"""


def words_of(lines: str) -> list[list[str]]:
    return [command.split() for line in lines.splitlines() for command in line.split("|") if command.strip()]


def test_no_command_prints_what_drives_a_terminal(place: Path, loraspec_cli: Callable[..., Any]) -> None:
    """Every command of the group, in an order in which each has something to show; hostile words and answers too."""
    hostile = [
        ["cache", "explain", HOSTILE, "--spec", "spec.toml"], ["validate", "spec.toml", "--set", f"train.epochs={HOSTILE}"],
        ["validate", "spec.toml", "--profile", HOSTILE], ["run", HOSTILE], ["resume", HOSTILE], ["plugins", "show", HOSTILE],
        ["plan", "spec.toml", "--set", f"optimizer.use={quoted(HOSTILE)}"], ["grid", "out", "--prompts", HOSTILE], ["judge", HOSTILE],
        ["verify", HOSTILE], ["diff", HOSTILE, "out"], ["compare", HOSTILE], ["reproduce", HOSTILE], ["migrate", HOSTILE],
        ["pick", "out", HOSTILE], [HOSTILE],
    ]  # fmt: skip
    rights = ["--rights", "own", "--credits", HOSTILE]
    taken = [["pick", "out", "2", "--note", HOSTILE], ["init", "other", "--images", "images", "--style", HOSTILE, *rights]]
    good_ones, either, shown = [*words_of(GOOD), *taken], words_of(EITHER), 0
    for number, words in enumerate([*good_ones, *words_of(BAD), *hostile, *either]):
        outcome = loraspec_cli(*words)
        printed = outcome.out + outcome.err
        assert words in either or (outcome.code == 0) == (number < len(good_ones)), (words, outcome.code, printed)
        assert "Traceback" not in printed, words
        assert BARE.search(printed) is None, f"{words}: {BARE.search(printed)} in {printed!r}"
        shown += "owned" in printed
    assert shown >= 20
    left = set(main.list_commands(None)) - {words[0] for words in words_of(GOOD)} - SERVERS  # type: ignore[arg-type]
    assert not left, f"commands without a line here: {left}"
