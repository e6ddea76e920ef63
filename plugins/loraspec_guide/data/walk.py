"""The files below a folder, in one order on every system; what leads out of it, or is no file, is told and never opened."""

from __future__ import annotations

import stat
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

from attrs import field, frozen

from loraspec import Problem
from loraspec.escape import escaped

MAX_DEPTH = 16  # folders below the one that is named
MAX_FILES = 100_000
IGNORED = ("__macosx", "thumbs.db", "desktop.ini")  # and whatever begins with a dot


def stem(key: str) -> str:
    """Return a key without its extension."""
    return str(PurePosixPath(key).with_suffix(""))


@frozen(eq=False)
class Walk:
    """Collects the plain files below a folder as keys: relative paths with ``/``.

    Attributes:
        root: The folder; it may itself be a link.
        recursive: Whether folders inside it are looked into.
        wanted: Endings, in lower case, of the files that somebody will read: of others nothing is told.
        problems: Everything that is wrong.
        ignored: Keys of what is always left alone.
    """

    root: Path
    recursive: bool
    wanted: tuple[str, ...]
    problems: list[Problem] = field(factory=list)
    ignored: list[str] = field(factory=list)

    def files(self) -> list[str]:
        """Return the keys, sorted."""
        found = list(islice(self._below(self.root, "", frozenset()), MAX_FILES + 1))
        if len(found) > MAX_FILES:
            self._tell("", "E-DATA-SIZE", f"more than {MAX_FILES:,} files", "name the folder that holds the images alone")
            return []
        return sorted(found)

    def _tell(self, key: str, code: str, message: str, hint: str = "") -> None:
        self.problems.append(Problem(key, message, hint, code=code))

    def _below(self, folder: Path, prefix: str, above: frozenset[Path]) -> Iterator[str]:
        real, here = folder.resolve(), prefix.rstrip("/")
        if real in above:
            return self._tell(here, "E-PATH-SYMLINK", "is a link to a folder that it lies in", "take it out")
        if len(above) > MAX_DEPTH:
            return self._tell(here, "E-DATA-DEPTH", f"lies more than {MAX_DEPTH} folders deep", "bring the images nearer")
        try:
            entries = sorted(islice(folder.iterdir(), MAX_FILES + 1))
        except OSError as error:
            return self._tell(here, "E-DATA-READ", f"cannot be read: {error.strerror or error}")
        for entry in entries:
            yield from self._entry(entry, prefix + entry.name, above | {real})
        return None

    def _entry(self, entry: Path, key: str, above: frozenset[Path]) -> Iterator[str]:
        name = entry.name
        if name.startswith(".") or name.lower() in IGNORED:
            self.ignored.append(key)
        elif not key.isprintable():
            self._tell(escaped(key), "E-DATA-NAME", "a file name with characters that cannot be printed", "rename it")
        elif entry.is_symlink() and not self._stays(entry):
            self._tell(key, "E-PATH-SYMLINK", "is a link that leads nowhere, or out of the folder", "put a copy there")
        elif entry.is_dir():
            if name.lower().endswith(self.wanted):
                self._tell(key, "E-IMG-READ", "is a folder, named as an image or a caption is", "rename it")
            elif self.recursive:
                yield from self._below(entry, key + "/", above)
        elif stat.S_ISREG(entry.stat().st_mode):
            yield key
        elif name.lower().endswith(self.wanted):
            self._tell(key, "E-IMG-READ", "is no plain file, and was not opened", "take it out")

    def _stays(self, link: Path) -> bool:
        try:
            return link.resolve(strict=True).is_relative_to(self.root.resolve())
        except (OSError, RuntimeError):
            return False


def clashes(images: list[str]) -> Iterator[Problem]:
    """Yield a problem for images that share one caption file, or whose names are one on other systems."""
    stems: dict[str, list[str]] = defaultdict(list)
    for key in images:
        stems[unicodedata.normalize("NFC", stem(key)).casefold()].append(key)
    for first, *others in stems.values():
        for other in others:
            same = unicodedata.normalize("NFC", first).casefold() == unicodedata.normalize("NFC", other).casefold()
            code = "E-DATA-COLLIDE" if same else "E-CAP-AMBIGUOUS"
            yield Problem(other, f"has the same name as {first}: one caption cannot be for both", "rename one of the two", code=code)
