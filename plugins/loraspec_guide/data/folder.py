"""Images in a folder, each with its caption in a text file of the same name."""

from __future__ import annotations

import stat
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from attrs import field, frozen

from loraspec import Problem
from loraspec.captions import flatten
from loraspec.errors import EnvironmentMissing, closest
from loraspec.images import ImageError, check
from loraspec.values import Context, Sample, Scan

if TYPE_CHECKING:
    from loraspec_guide.data.registry import FolderOptions

MAX_CAPTION = 64 * 1024  # bytes
MAX_IMAGE = 256 * 1024 * 1024  # bytes
MAX_DEPTH = 16  # folders below the one that is named
SKIPPED_FOLDERS = ("__MACOSX",)


@frozen(eq=False)
class Folder:
    """A folder of images: every image is read and decoded once, so that nothing fails after a run has started.

    Hidden files and folders are left alone. Links are followed inside the folder only.
    """

    options: FolderOptions

    def scan(self, context: Context) -> Scan:
        """Return the images sorted by key, and all that is wrong with any of them.

        Raises:
            EnvironmentMissing: The folder is not there.
        """
        options = self.options
        root = context.path(options.path)
        if not root.is_dir():
            raise self._missing(root)
        walk = _Walk(root, options.recursive)
        files = sorted(walk.files())
        problems = walk.problems
        endings = tuple(extension.lower() for extension in options.extensions)
        images = [key for key in files if key.lower().endswith(endings)]
        problems += _clashes(images)
        samples = []
        for key in images:
            path = root / key
            caption_path = path.with_suffix(options.caption_extension)
            found, wrong = _caption(key, caption_path, root)
            problems += wrong
            try:
                size = check(_read(path, MAX_IMAGE))
            except (ImageError, OSError) as error:
                message = error.message if isinstance(error, ImageError) else f"cannot be read: {error.strerror or error}"
                problems.append(Problem(key, message, getattr(error, "hint", "")))
                continue
            samples.append(Sample(key, size.width, size.height, found, options.rights, options.credits, _Reader(path)))
        problems += self._orphans(files, images)
        return Scan(tuple(sorted(samples, key=lambda sample: sample.key)), tuple(problems))

    def _missing(self, root: Path) -> EnvironmentMissing:
        """Say which folder is not there, and where its images come from."""
        if root.exists():
            return EnvironmentMissing(f"{self.options.path!r} is no folder", hint="path names a folder with images")
        hints = [self.options.get or f"put the images and their {self.options.caption_extension} captions there"]
        beside = [entry.name for entry in root.parent.iterdir() if entry.is_dir()] if root.parent.is_dir() else []
        near = closest(root.name, beside)
        if near is not None:
            hints.append(f"did you mean {near!r}, which is there?")
        said = f" (images: {self.options.credits})" if self.options.credits else ""
        return EnvironmentMissing(f"the data folder {self.options.path!r} is not there{said}", hint="; ".join(hints))

    def _orphans(self, files: list[str], images: list[str]) -> Iterator[Problem]:
        """Yield a warning that names the captions without an image."""
        ending = self.options.caption_extension
        stems = set(map(_stem, images))
        alone = [key for key in files if key.endswith(ending) and key.removesuffix(ending) not in stems]
        if alone and images:
            shown = ", ".join(alone[:8]) + (f" and {len(alone) - 8} more" if len(alone) > 8 else "")
            yield Problem("", f"captions without an image: {shown}", severity="warning")


@frozen(eq=False)
class _Reader:
    """Reads an image's bytes when they are needed."""

    path: Path

    def __call__(self) -> bytes:
        return _read(self.path, MAX_IMAGE)


@frozen(eq=False)
class _Walk:
    """Collects the files below a folder as keys; what leaves the folder, or is no plain file, becomes a problem."""

    root: Path
    recursive: bool
    problems: list[Problem] = field(factory=list)

    def files(self) -> Iterator[str]:
        """Yield keys: relative paths with ``/``."""
        yield from self._below(self.root, "", frozenset())

    def _below(self, folder: Path, prefix: str, above: frozenset[Path]) -> Iterator[str]:
        real = folder.resolve()
        if real in above or len(above) > MAX_DEPTH:
            self.problems.append(Problem(prefix.rstrip("/"), "a loop of links, or folders nested too deeply"))
            return
        try:
            entries = sorted(folder.iterdir())
        except OSError as error:
            self.problems.append(Problem(prefix.rstrip("/"), f"cannot be read: {error.strerror or error}"))
            return
        for entry in entries:
            key = prefix + entry.name
            if entry.name.startswith(".") or entry.name in SKIPPED_FOLDERS:
                continue
            if not key.isprintable():
                self.problems.append(Problem(ascii(key), "a file name with unprintable characters", "rename it"))
                continue
            if entry.is_symlink() and not self._stays(entry):
                self.problems.append(Problem(key, "is a link that leads nowhere, or out of the folder", "put a copy there"))
                continue
            if entry.is_dir():
                if self.recursive:
                    yield from self._below(entry, key + "/", above | {real})
            elif stat.S_ISREG(entry.stat().st_mode):
                yield key
            else:
                self.problems.append(Problem(key, "is no plain file"))

    def _stays(self, link: Path) -> bool:
        try:
            return link.resolve(strict=True).is_relative_to(self.root.resolve())
        except (OSError, RuntimeError):
            return False


def _stem(key: str) -> str:
    """Return a key without its extension."""
    return str(PurePosixPath(key).with_suffix(""))


def _read(path: Path, most: int) -> bytes:
    """Read a file of at most ``most`` bytes."""
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ImageError(f"is larger than {most // 2**20} MiB", "make it smaller")
    return data


def _clashes(images: list[str]) -> Iterator[Problem]:
    """Yield a problem for images that share one caption file, or whose names are one on other systems."""
    stems: dict[str, list[str]] = defaultdict(list)
    for key in images:
        stems[unicodedata.normalize("NFC", _stem(key)).casefold()].append(key)
    for keys in stems.values():
        if len(keys) > 1:
            yield Problem(keys[1], f"has the same name as {keys[0]}: one caption cannot be for both", "rename one of the two")


def _caption(key: str, path: Path, root: Path) -> tuple[str | None, list[Problem]]:
    """Return the caption of an image on one line, None when there is none, and what is wrong with it."""
    if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
        return "-", []  # the walk says so; not reported as missing too
    if not path.is_file():
        return None, []
    try:
        data = _read(path, MAX_CAPTION)
    except ImageError:
        return "-", [Problem(key, f"its caption {path.name} is larger than {MAX_CAPTION // 1024} KiB")]
    except OSError as error:
        return "-", [Problem(key, f"its caption {path.name} cannot be read: {error.strerror or error}")]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        message = f"its caption {path.name} is not UTF-8: byte 0x{data[error.start]:02x} in line {line}"
        return "-", [Problem(key, message, "save it as UTF-8")]
    text = flatten(text)
    control = sorted({f"U+{ord(sign):04X}" for sign in text if unicodedata.category(sign) in ("Cc", "Cs")})
    if control:
        return "-", [Problem(key, f"its caption {path.name} holds control characters: {', '.join(control)}", "take them out")]
    return text, []
