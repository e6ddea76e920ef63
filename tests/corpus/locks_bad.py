"""Locks that cannot be used (S30), and data that is not what a lock says (D10)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from corpus.case import Case
from corpus.images_bad import encoded
from corpus.specs import CAPTION, noise, write_good, write_images

LOCKED = (("run", "spec.toml", "--locked"),)


def locked(change: Callable[[Path], Any]) -> Callable[[Path], None]:
    """Write the good set, lock it, and change something."""

    def make(folder: Path) -> None:
        from click.testing import CliRunner

        from loraspec.cli import main

        write_good(folder)
        write_images(folder, 4)
        done = CliRunner().invoke(main, ["lock", "spec.toml"])
        assert done.exit_code == 0, done.output
        change(folder)

    return make


def edited(old: str, new: str) -> Callable[[Path], Any]:
    """Change the text of the lock."""

    def change(folder: Path) -> None:
        path = folder / "spec.lock"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


def other_spec(folder: Path) -> None:
    path = folder / "spec.toml"
    path.write_text(path.read_text(encoding="utf-8").replace('name = "case"', 'name = "other"'), encoding="utf-8")


def other_data(folder: Path) -> None:
    """One image added, one removed, one changed, one renamed; one caption changed."""
    images = folder / "images"
    (images / "added.png").write_bytes(encoded(noise(seed=40)))
    (images / "added.txt").write_text(CAPTION, encoding="utf-8")
    for name in ("good-0.png", "good-0.txt"):
        (images / name).unlink()
    (images / "good-1.png").write_bytes(encoded(noise(seed=41)))
    for ending in (".png", ".txt"):
        (images / f"good-2{ending}").rename(images / f"renamed{ending}")
    (images / "good-3.txt").write_text(f"old {CAPTION}", encoding="utf-8")


def bad(number: str, title: str, code: str, make: Callable[[Path], None], *says: str, variant: str = "") -> Case:
    """A lock that keeps a run from starting."""
    return Case(number, title, make, (code,), 1, LOCKED, says, never=("Traceback",), variant=variant, torch=True)


CASES = (
    bad("S30", "no lock", "E-LOCK-MISSING", lambda folder: write_good(folder) and None, "loraspec lock spec.toml", variant="missing"),
    bad("S30", "the lock of another spec", "E-LOCK-SPEC", locked(other_spec), variant="other"),
    bad("S30", "a lock changed by hand", "E-LOCK-EDITED", locked(edited('"rank": 2', '"rank": 3')), variant="edited"),
    bad("S30", "a lock of a newer format", "E-LOCK-VERSION", locked(edited('"lock": 2', '"lock": 99')), "99", variant="newer"),
    bad("S30", "the marks of a merge conflict", "E-LOCK-MERGE", locked(edited("{", "<<<<<<< HEAD\n{")), variant="merge"),
    bad("D10", "other data than locked: what was added, removed, changed and renamed is listed", "E-LOCK-DRIFT", locked(other_data),
        "added.png", "good-0.png", "good-1.png", "renamed.png", "good-3.png"),
)
