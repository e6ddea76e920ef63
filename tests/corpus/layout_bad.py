"""D: how a data set lies on the disk."""

from __future__ import annotations

import os
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from corpus.case import Case, Outcome
from corpus.images_bad import encoded
from corpus.specs import CAPTION, noise, write_good, write_spec

PLAN = (("plan", "spec.toml"),)
BOTH = (("plan", "spec.toml"), ("run", "spec.toml"))


def bad(number: str, title: str, code: str, make: Callable[[Path], Any], *says: str, exit: int = 2, variant: str = "", **more: Any) -> Case:
    """A layout that stops ``plan`` and ``run`` alike."""
    return Case(number, title, make, (code,), exit, says=says, variant=variant, **{"commands": BOTH, **more})


def odd(number: str, title: str, code: str, make: Callable[[Path], Any], *says: str, variant: str = "", **more: Any) -> Case:
    """A layout that is taken, with a warning or none."""
    return Case(number, title, make, tuple(code.split()), 0, says=says, variant=variant, **{"commands": PLAN, **more})


def add(images: Path, name: str | bytes, seed: int = 21) -> None:
    """Write an image of any name, and its caption."""
    path = images / os.fsdecode(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(noise(seed=seed)))
    path.with_suffix(".txt").write_text(CAPTION, encoding="utf-8")


def named(*names: str | bytes) -> Callable[[Path], None]:
    """The good set with more images of these names."""

    def make(folder: Path) -> None:
        images = write_good(folder)
        for number, name in enumerate(names):
            add(images, name, 30 + number)

    return make


def nothing_there(folder: Path) -> None:
    write_spec(folder)
    (folder / "image").mkdir()


def empty(folder: Path) -> None:
    write_spec(folder)
    (folder / "images").mkdir()


def litter(folder: Path) -> None:
    empty(folder)
    for name in ("Thumbs.db", ".DS_Store", "notes.md", ".hidden.png"):
        (folder / "images" / name).write_bytes(b"x")
    add(folder / "images", "__MACOSX/._a.png")


def only_below(folder: Path) -> None:
    write_spec(folder, 'rights = "own"', 'rights = "own"\nrecursive = false')
    add(folder / "images", "sub/a.png")


def linked(target: str, *, is_folder: bool = True) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        images = write_good(folder)
        (folder / "elsewhere").mkdir()
        add(folder / "elsewhere", "secret.png")
        (images / "sub").symlink_to(target, target_is_directory=is_folder)

    return make


def deep(folder: Path) -> None:
    path = write_good(folder)
    for _ in range(500):
        path = path / "d"
    path.mkdir(parents=True)


def many_files(folder: Path) -> None:
    images = write_good(folder)
    for number in range(300):
        (images / f"n{number}.md").touch()


def few_allowed(folder: Path) -> None:
    """Plan with a lower limit: 100,001 files would take their time to write."""
    from loraspec_guide.data import walk

    from loraspec.plan import resolve

    walk.MAX_FILES = 200
    _ = resolve("spec.toml").data


def mixed_up(folder: Path) -> None:
    """Plan twice; the second time the system lists every folder backwards."""
    from loraspec.plan import resolve

    def numbers() -> Any:
        plan = resolve("spec.toml")
        return {**plan.summary(), "disk": 0}, [placed.key for placed in plan.data.images], [plan.data.steps(1)[n].visits for n in range(4)]

    first = numbers()
    listed = Path.iterdir
    asked = []

    def backwards(self: Path) -> Any:
        asked.append(self)
        return iter(sorted(listed(self), reverse=True))

    Path.iterdir = backwards
    assert numbers() == first
    assert asked


def buckets(folder: Path) -> None:
    write_spec(folder, "batch_size = 1", "batch_size = 3")
    for name, size in (("a", (32, 32)), ("b", (32, 32)), ("c", (24, 40)), ("d", (32, 32))):
        (folder / "images").mkdir(exist_ok=True)
        (folder / "images" / f"{name}.png").write_bytes(encoded(noise(*size, seed=ord(name))))
        (folder / "images" / f"{name}.txt").write_text(CAPTION, encoding="utf-8")


def archive(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        write_spec(folder, '"images"', f'"{name}"')
        with zipfile.ZipFile(folder / name, "w") as file:
            file.writestr("../escaped.png", b"x")

    return make


def not_unpacked(outcome: Outcome) -> None:
    """Nothing lies beside the archive, nor above it."""
    assert not [file for file in outcome.files if "escaped" in file]
    assert not (Path(outcome.folder).parent / "escaped.png").exists()


def archive_inside(folder: Path) -> None:
    images = write_good(folder)
    with zipfile.ZipFile(images / "more.zip", "w") as file:
        file.writestr("../escaped.png", b"x")


E_ACUTE = "\u00e9"
CASES = (
    bad("D01", "no such folder", "E-DATA-EMPTY", nothing_there, "'images' is not there", "did you mean 'image'", exit=3, variant="missing",
        commands=PLAN),  # `run` says it together with all else that is missing, and looks for a device: with torch
    bad("D01", "an empty folder", "E-DATA-EMPTY", empty, "holds no image", ".png, .jpg"),
    bad("D02", "only what is left alone", "E-DATA-EMPTY", litter, "left alone:", ".DS_Store", "Thumbs.db", "__MACOSX", "notes.md",
        ".hidden.png"),
    bad("D02", "images in sub-folders only, which are not looked into", "E-DATA-EMPTY", only_below, "holds no image", variant="sub"),
    bad("D03", "a name of two lines", "E-DATA-NAME", named("a\nb.png"), "a\\u000ab.png", variant="newline"),
    bad("D03", "a name that clears the screen", "E-DATA-NAME", named("\x1b[2Ja.png"), "\\u001b[2Ja.png", variant="esc"),
    bad("D03", "a name that reads backwards", "E-DATA-NAME", named("a\u202egnp.png"), "\\u202e", variant="bidi"),
    bad("D03", "a name that is no UTF-8", "E-DATA-NAME", named(b"a\xff.png"), "\\udcff", variant="bytes"),
    odd("D03", "names that are odd and harmless: no shell ever sees them", "",
        named("-rf.png", ";rm -rf.png", "%00.png", "CON.png", "$(id).png", "a" * 251 + ".png", "trailing .png"), "9 images", variant="odd"),
    bad("D04", "names that are one on other systems", "E-DATA-COLLIDE", named("A.png", "a.png"), "A.png", "a.png"),
    bad("D04", "names that are one in Unicode's composed form", "E-DATA-COLLIDE",
        named(f"{E_ACUTE}.png", unicodedata.normalize("NFD", E_ACUTE) + ".png"), variant="nfd"),
    bad("D05", "a link to a folder elsewhere", "E-PATH-SYMLINK", linked("../elsewhere"), "sub", never=("secret",), variant="out"),
    bad("D05", "a link to its own folder", "E-PATH-SYMLINK", linked("."), "sub", variant="loop"),
    bad("D05", "a link to the folder above", "E-PATH-SYMLINK", linked(".."), "sub", variant="parent"),
    bad("D06", "500 folders deep", "E-DATA-DEPTH", deep, "16 folders", variant="deep"),
    bad("D06", "too many files", "E-DATA-SIZE", many_files, "more than 200 files", act=few_allowed, commands=()),
    Case("D07", "another order of listing gives the same plan", named("z/b.png", "z/a.png", "B.png", "10.png", "9.png"), act=mixed_up),
    odd("D08", "buckets that never fill a batch", "W-BUCKET", buckets, "24 x 40", "step of 3"),
    *(bad("D09", f"an archive for a folder: {name}", "E-DATA-ARCHIVE", archive(name), "never unpacked", exit=3, check=not_unpacked,
          commands=PLAN, variant=name.rpartition(".")[2]) for name in ("images.zip", "images.tar.gz")),
    odd("D09", "an archive among the images", "", archive_inside, check=not_unpacked, variant="inside"),
)
