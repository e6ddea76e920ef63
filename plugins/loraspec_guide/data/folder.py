"""Images in a folder, each with its caption in a text file of the same name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from attrs import asdict, field, frozen

from loraspec import Problem
from loraspec.errors import EnvironmentMissing, SpecError, closest
from loraspec.images import ImageError, ImageFacts, check
from loraspec.known import Known, known, with_pillow
from loraspec.textfile import TooLargeError, read_plain
from loraspec.values import Context, Sample, Scan
from loraspec_guide.data.captionfile import Caption, read_caption
from loraspec_guide.data.registry import FolderOptions
from loraspec_guide.data.remarks import SHOWN, Remarks
from loraspec_guide.data.walk import Walk, clashes, stem

if TYPE_CHECKING:
    from loraspec_guide.data.registry import ImageOptions

FACTS = "facts 1"  # of an image; raise it when ``check`` finds something else
MAX_IMAGE = 256 * 1024 * 1024  # bytes
_NAMES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_OTHER_IMAGES = (".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jxl", ".svg", ".psd", ".eps", ".jp2", ".dng", ".cr2", ".nef")
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")


@frozen(eq=False)
class Folder:
    """A folder of images: every image is read and decoded once, so that nothing fails after a run has started; and never again.

    Hidden files and folders are left alone. Links are followed inside the folder only.
    """

    options: FolderOptions

    def scan(self, context: Context) -> Scan:
        """Return the images sorted by key, and all that is wrong with any of them.

        Raises:
            EnvironmentMissing: The folder is not there.
        """
        root = context.path(self.options.path)
        if not root.is_dir():
            raise self._missing(root)
        return self._look(root).made()

    def _look(self, root: Path) -> FolderScan:
        return FolderScan(root, self.options)

    def _words(self) -> str:
        return f"{self.options.caption_extension} captions"

    def _missing(self, root: Path) -> EnvironmentMissing:
        """Say which folder is not there, and where its images come from."""
        named = repr(self.options.path)
        if root.name.lower().endswith(_ARCHIVES) and root.exists():
            hint = "unpack it yourself, look at what is in it, and name the folder"
            return EnvironmentMissing(f"{named} is an archive, which is never unpacked", hint=hint).coded("E-DATA-ARCHIVE")
        if root.exists():
            return EnvironmentMissing(f"{named} is no folder", hint="path names a folder with images").coded("E-DATA-READ")
        hints = [self.options.get or f"put the images and their {self._words()} there"]
        beside = [entry.name for entry in sorted(root.parent.iterdir()) if entry.is_dir()] if root.parent.is_dir() else []
        near = closest(root.name, beside)
        if near is not None:
            hints.append(f"did you mean {near!r}, which is there?")
        said = f" (images: {self.options.credits})" if self.options.credits else ""
        return EnvironmentMissing(f"the data folder {named} is not there{said}", hint="; ".join(hints)).coded("E-DATA-EMPTY")


@frozen(eq=False)
class _Reader:
    """Reads an image's bytes when they are needed; they are the ones that were looked at, or none."""

    path: Path
    key: str
    sha256: str

    def __call__(self) -> bytes:
        data = _read(self.path)
        if hashlib.sha256(data).hexdigest() != self.sha256:
            message = "changed while the run was being prepared: these are not the bytes that were looked at"
            hint = "leave the images alone while a run reads them, and start it again"
            raise SpecError([Problem(self.key, message, hint, code="E-DATA-DRIFT")])
        return data


def _read(path: Path) -> bytes:
    try:
        return read_plain(path, MAX_IMAGE)
    except TooLargeError as error:
        raise ImageError("E-IMG-SIZE", str(error), "make it smaller") from None


@frozen(eq=False)
class FolderScan:
    """One look at a folder."""

    root: Path
    options: ImageOptions
    problems: list[Problem] = field(factory=list)
    remarks: Remarks = field(factory=Remarks)
    known: Known = field(factory=known)

    def made(self) -> Scan:
        """Return what the folder holds."""
        endings = tuple(extension.lower() for extension in self.options.extensions)
        walk = Walk(self.root, self.options.recursive, (*endings, *map(str.lower, self._captions())))
        files = walk.files()
        images = [key for key in files if key.lower().endswith(endings)]
        self.problems.extend([*walk.problems, *clashes(images)])
        named = Names(files, frozenset(problem.path for problem in walk.problems), "".join(self._captions()))
        samples = [sample for key in images if (sample := self._sample(key, named)) is not None]
        self.known.save()
        self._others(files, images, named)
        if not images and not self.problems:
            self._nothing(files, walk.ignored)
        return Scan(tuple(samples), (*self.problems, *self.remarks.problems()))

    def _captions(self) -> tuple[str, ...]:
        """Return the ending of files that hold captions, if there are such files."""
        return (self.options.caption_extension,) if isinstance(self.options, FolderOptions) else ()

    def _sample(self, key: str, named: Names) -> Sample | None:
        caption, written = self._caption(key, named)
        options, path = self.options, self.root / key
        try:
            sha256 = self.known.sha256(path)
            facts = None if sha256 is None else facts_of(self.known, sha256)
            if facts is None:
                data, sha256 = self.known.read(path, _read)
                facts = learnt(self.known, data, sha256)
        except (ImageError, OSError) as error:
            self.problems.append(unreadable(key, error))
            return None
        assert sha256 is not None
        tell(key, facts, self.remarks)
        named.seen(key, facts)
        reader = _Reader(path, key, sha256)
        home: Path | None = self.root
        if options.path.startswith("package:"):  # an installed package is no place to write captions
            home = written = None
        rights = (options.rights, options.credits)
        known = {"repeats": self._repeats(key), "sha256": sha256, "file": path}
        return Sample(key, facts.width, facts.height, caption, *rights, reader, written, home, **known)

    def _repeats(self, key: str) -> int | None:
        """Return how often the folder itself says that an image is seen in an epoch."""
        return None

    def _caption(self, key: str, named: Names) -> tuple[str | None, Path | None]:
        """Return an image's caption, None without one, "-" when it is wrong (so that it is not told as missing too); and its file."""
        found, path = named.caption_of(key), self.root / (stem(key) + named.ending)
        if found is None:
            return ("-" if stem(key) + named.ending in named.refused else None), path
        if isinstance(found, Problem):
            self.problems.append(found)
            return "-", None
        return self._text(key, read_caption(key, path)), path

    def _text(self, key: str, caption: Caption | Problem) -> str:
        """Return a caption's text, or "-" for one that is wrong; note what is to be told of it."""
        if not isinstance(caption, Caption):
            self.problems.append(caption)
            return "-"
        for code, detail in caption.remarks:
            self.remarks.add(code, key, detail)
        return caption.text

    def _others(self, files: list[str], images: list[str], named: Names) -> None:
        """Note duplicates, grey images among coloured ones, captions without an image, and images of other kinds."""
        for key, first in named.duplicates():
            self.remarks.add("W-DATA-DUP", key, f"as {first}")
        for key in named.grey():
            self.remarks.add("W-IMG-GREY", key)
        stems, taken = set(map(stem, images)), set(images)
        others = [key for key in files if key.lower().endswith(_OTHER_IMAGES) and key not in taken]
        for key in others:
            if stem(key) not in stems:
                self.remarks.add("W-IMG-FORMAT", key)
        for key in named.orphans(stems | set(map(stem, others))) if images else ():
            self.remarks.add("W-CAP-ORPHAN", key)

    def _nothing(self, files: list[str], ignored: list[str]) -> None:
        """Say that there is no image, and what is there instead."""
        there = sorted([*files, *ignored])
        rest = f" and {len(there) - SHOWN} more" if len(there) > SHOWN else ""
        left = f"; left alone: {', '.join(there[:SHOWN])}{rest}" if there else ""
        hint = f"images end with {', '.join(self.options.extensions)}"
        self.problems.append(Problem("", f"{self.options.path!r} holds no image{left}", hint, code="E-DATA-EMPTY"))


def facts_of(before: Known, sha256: str) -> ImageFacts | None:
    """Return what an image is known to be."""
    row = before.of_bytes(sha256, with_pillow(FACTS))
    return None if row is None else ImageFacts(**{**row, "remarks": tuple(row["remarks"])})


def learnt(before: Known, data: bytes, sha256: str) -> ImageFacts:
    """Return what an image is, decoded completely unless these bytes are known.

    Raises:
        ImageError: It cannot be used.
    """
    facts = facts_of(before, sha256)
    if facts is None:
        facts = check(data)
        before.learn(sha256, with_pillow(FACTS), asdict(facts))
    return facts


def tell(key: str, facts: ImageFacts, remarks: Remarks) -> None:
    """Note what is odd about an image."""
    for code in facts.remarks:
        remarks.add(code, key)
    if _NAMES.get(PurePosixPath(key).suffix.lower(), facts.kind) != facts.kind:
        remarks.add("W-IMG-EXT", key, facts.kind)


def unreadable(key: str, error: ImageError | OSError) -> Problem:
    """Say why an image cannot be used."""
    if isinstance(error, ImageError):
        return Problem(key, error.message, error.hint, code=error.code)
    return Problem(key, f"cannot be read: {error.strerror or error}", code="E-IMG-READ")


@frozen(eq=False)
class Names:
    """The files of a folder by name: which caption is whose; and the images by what they show."""

    files: list[str]
    refused: frozenset[str]
    ending: str
    _all: frozenset[str] = field(init=False)
    _facts: dict[str, ImageFacts] = field(init=False, factory=dict)
    _folded: dict[str, str] = field(init=False)

    @_folded.default
    def _by_folded_name(self) -> dict[str, str]:
        ending = self.ending.casefold()
        return {key.casefold(): key for key in reversed(self.files) if ending and key.casefold().endswith(ending)}

    @_all.default
    def _every_name(self) -> frozenset[str]:
        return frozenset(self.files)

    def caption_of(self, key: str) -> str | Problem | None:
        """Return the key of an image's caption, None without one; a problem when only its case is another."""
        wanted = stem(key) + self.ending
        found = self._folded.get(wanted.casefold())
        if found is None or found == wanted or wanted in self._all:
            return None if found is None else wanted
        name, own = Path(found).name, Path(wanted).name
        return Problem(key, f"its caption is named {name}, not {own}", "rename it: other systems tell the two apart", code="E-CAP-CASE")

    def orphans(self, stems: set[str]) -> Iterator[str]:
        """Yield captions that belong to no image, whatever their case."""
        folded = {one.casefold() for one in stems}
        for key in self.files if self.ending else ():
            if key.endswith(self.ending) and key.removesuffix(self.ending).casefold() not in folded:
                yield key

    def seen(self, key: str, facts: ImageFacts) -> None:
        """Remember what an image shows."""
        self._facts[key] = facts

    def duplicates(self) -> Iterator[tuple[str, str]]:
        """Yield (image, an earlier image with the same pixels)."""
        first: dict[str, str] = {}
        for key, facts in self._facts.items():
            if first.setdefault(facts.pixels, key) != key:
                yield key, first[facts.pixels]

    def grey(self) -> Iterator[str]:
        """Yield grey images, when there are others."""
        found = [key for key, facts in self._facts.items() if facts.grey]
        yield from found if len(found) < len(self._facts) else ()
