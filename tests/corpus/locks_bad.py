"""Locks that cannot be used (S30), and data that is not what a lock says (D10)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from corpus.case import Case
from corpus.images_bad import encoded
from corpus.specs import CAPTION, noise, write_good, write_images, write_spec
from loraspec.cli import main

UNET = Path("base/unet/diffusion_pytorch_model.safetensors")
LOCKED = (("run", "spec.toml", "--locked"),)


def locked(change: Callable[[Path], Any]) -> Callable[[Path], None]:
    """Write the good set, lock it, and change something."""

    def make(folder: Path) -> None:
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


def real_base(folder: Path) -> None:
    """The good set on a small base in files; its U-Net is another after it was locked."""
    from loraspec.testing.pipelines import build_tiny

    build_tiny(folder / "base", "sd15-small")
    write_spec(folder, 'use = "tiny:tiny"', 'use = "sd15"\ncheckpoint = "base"', "resolution = 32", "resolution = 64")
    write_images(folder, 4)
    done = CliRunner().invoke(main, ["lock", "spec.toml"])
    assert done.exit_code == 0, done.output
    whole = bytearray((folder / UNET).read_bytes())
    whole[-1] ^= 1
    (folder / UNET).write_bytes(whole)


def on_the_hub(revision: str) -> Callable[[Path], None]:
    """The good set on a base of the hub, at a revision."""

    def make(folder: Path) -> None:
        write_spec(folder, 'use = "tiny:tiny"', f'use = "sd15"\ncheckpoint = "someone/model"\nrevision = "{revision}"')
        write_images(folder, 4)

    return make


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
    bad("M14", "another base than was locked: both digests are listed", "E-MODEL-DRIFT", real_base,
        "unet/diffusion_pytorch_model.safetensors", "get the base that was locked again"),
    *(
        Case("M18", "a revision that may move", on_the_hub(revision), ("E-LOCK-REVISION",), 1, (("lock", "spec.toml"),),
             ("40 hexadecimal digits",), never=("Traceback",), variant=variant, torch=True)
        for revision, variant in (("main", "branch"), ("v1.0", "tag"), ("1a2b3c4", "short"), ("A" * 40, "not-hexadecimal"))
    ),
)
