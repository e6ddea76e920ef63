"""Images that lie packed in files: tar shards of WebDataset, Parquet tables. Nothing is unpacked to disk."""

from __future__ import annotations

import functools
import hashlib
import json
import tarfile
import unicodedata
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from attrs import frozen

from loraspec import Problem
from loraspec.errors import EnvironmentMissing, SpecError, closest
from loraspec.images import ImageError
from loraspec.known import known
from loraspec.values import Context, Sample, Scan
from loraspec_guide.data.captionfile import MAX_CAPTION, Caption, caption_of
from loraspec_guide.data.folder import MAX_IMAGE, learnt, tell, unreadable
from loraspec_guide.data.remarks import Remarks

if TYPE_CHECKING:
    from loraspec_guide.data.registry import PackedOptions, ParquetOptions, WebDatasetOptions

ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
MOST = 100_000  # images


@frozen(eq=False)
class Row:
    """One image as it lies in a file: its key, where its bytes are, and its caption (or what is wrong with that)."""

    key: str
    read: Callable[[], bytes]
    caption: str | Problem | None


@frozen(eq=False)
class Packed:
    """A data source of files that hold many images each."""

    options: PackedOptions
    ending = ""

    def scan(self, context: Context) -> Scan:
        """Return the images, in the order of their keys.

        Raises:
            EnvironmentMissing: No file is there, or a library is not installed.
        """
        problems: list[Problem] = []
        remarks, samples, first, before = Remarks(), [], dict[str, str](), known()
        for row in sorted(self._all(context, problems), key=lambda row: row.key):
            try:
                data = row.read()
            except (OSError, ValueError) as error:
                problems.append(Problem(row.key, f"cannot be read: {error}", code="E-IMG-READ"))
                continue
            sha256 = hashlib.sha256(data).hexdigest()
            try:
                facts = learnt(before, data, sha256)
            except ImageError as error:
                problems.append(unreadable(row.key, error))
                continue
            tell(row.key, facts, remarks)
            if (same := first.setdefault(facts.pixels, row.key)) != row.key:
                remarks.add("W-DATA-DUP", row.key, f"as {same}")
            reader = _Reader(row.read, row.key, sha256)
            rights = (self.options.rights, self.options.credits)
            samples.append(Sample(row.key, facts.width, facts.height, _text(row, problems, remarks), *rights, reader, sha256=sha256))
        before.save()
        return Scan(tuple(samples), (*problems, *remarks.problems()))

    @abstractmethod
    def _rows(self, path: Path, name: str, problems: list[Problem]) -> Iterator[Row]:
        """Yield the images of one file, keys beginning with its name."""

    def _all(self, context: Context, problems: list[Problem]) -> Iterator[Row]:
        taken: set[str] = set()
        for path in self._files(context):
            for row in self._rows(path, path.name.removesuffix(self.ending), problems):
                key = unicodedata.normalize("NFC", row.key)
                if key in taken:
                    problems.append(Problem(row.key, "is there twice", "keep one of the two", code="E-DATA-COLLIDE"))
                elif len(taken) >= MOST:
                    problems.append(Problem("", f"more than {MOST:,} images", "choose fewer files", code="E-DATA-SIZE"))
                    return
                else:
                    taken.add(key)
                    yield row

    def _files(self, context: Context) -> Sequence[Path]:
        place, named = context.path(self.options.path), repr(self.options.path)
        if place.is_file():
            return [place]
        found = sorted(path for path in place.glob(f"*{self.ending}") if path.is_file()) if place.is_dir() else []
        if not found:
            hint = self.options.get or f"path names a {self.ending} file, or a folder with such files"
            raise EnvironmentMissing(f"{named} holds no {self.ending} file", hint=hint).coded("E-DATA-EMPTY")
        return found


def _text(row: Row, problems: list[Problem], remarks: Remarks) -> str | None:
    found: Any = row.caption
    if isinstance(found, str):
        found = caption_of(row.key, found) if len(found.encode("utf-8", "surrogatepass")) <= MAX_CAPTION else Problem(
            row.key, f"its caption is larger than {MAX_CAPTION // 1024} KiB", "a caption is a line of text", code="E-CAP-SIZE")  # fmt: skip
    if isinstance(found, Problem):
        problems.append(found)
        return "-"
    if isinstance(found, Caption):
        for code, detail in found.remarks:
            remarks.add(code, row.key, detail)
        return found.text
    return None


@frozen(eq=False)
class _Reader:
    """Reads an image again, and holds it to the bytes that were looked at."""

    again: Callable[[], bytes]
    key: str
    sha256: str

    def __call__(self) -> bytes:
        data = self.again()
        if hashlib.sha256(data).hexdigest() != self.sha256:
            hint = "leave the files alone while a run reads them, and start it again"
            raise SpecError([Problem(self.key, "is not what was looked at", hint, code="E-DATA-DRIFT")])
        return data


# -- WebDataset ------------------------------------------------------------------------------------------------------------


@frozen(eq=False)
class WebDataset(Packed):
    """Tar files in which files of one name, but for what follows its first dot, are one sample."""

    options: WebDatasetOptions
    ending = ".tar"

    def _rows(self, path: Path, name: str, problems: list[Problem]) -> Iterator[Row]:
        samples: dict[str, dict[str, tarfile.TarInfo]] = {}
        try:
            with tarfile.open(path, "r:") as tar:
                for member in tar:
                    if not member.isfile() or member.issparse() or (key := _key(member.name)) is None:
                        continue
                    samples.setdefault(key[0], {})[key[1]] = member
                _ended(path, tar.offset)
                for key_, parts in samples.items():
                    yield from self._sample(path, f"{name}/{key_}", parts, problems)
        except (tarfile.TarError, OSError, EOFError) as error:
            problems.append(Problem(path.name, f"is no whole tar file: {error}", "get it again", code="E-DATA-PACKED"))

    def _sample(self, path: Path, key: str, parts: dict[str, tarfile.TarInfo], problems: list[Problem]) -> Iterator[Row]:
        images = [ending for ending in parts if f".{ending}".lower().endswith(ENDINGS)]
        if len(images) > 1:
            said = f"has several images: {', '.join(sorted(images))}"
            problems.append(Problem(key, said, "a sample has one", code="E-DATA-PACKED"))
        elif images:
            member = parts[images[0]]
            key = f"{key}.{images[0]}"
            if member.size > MAX_IMAGE:
                problems.append(Problem(key, f"is larger than {MAX_IMAGE // 2**20} MiB", "make it smaller", code="E-IMG-SIZE"))
            else:
                yield Row(key, _member(path, member), self._caption(path, key, parts))

    def _caption(self, path: Path, key: str, parts: dict[str, tarfile.TarInfo]) -> str | Problem | None:
        member = parts.get(self.options.caption)
        if member is None:
            return None
        if member.size > MAX_CAPTION:
            return Problem(key, f"its caption is larger than {MAX_CAPTION // 1024} KiB", "a caption is a line of text", code="E-CAP-SIZE")
        try:
            text = _member(path, member)().decode("utf-8-sig")
            if not self.options.caption.endswith("json"):
                return text
            found = json.loads(text).get(self.options.json_key)
        except (ValueError, AttributeError, RecursionError) as error:
            return Problem(key, f"its {self.options.caption} cannot be read: {type(error).__name__}", "save it as UTF-8",
                           code="E-CAP-ENCODING")  # fmt: skip
        return found if isinstance(found, str) else None


def _ended(path: Path, offset: int) -> None:
    """See that a tar file goes on, behind its last member, with the block of zeros that ends one: tarfile takes rubbish for the end.

    Raises:
        TarError: It does not.
    """
    with path.open("rb") as file:
        file.seek(offset)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.TarError(f"it breaks off, or is damaged, at byte {offset:,}")


def _key(name: str) -> tuple[str, str] | None:
    """Return (sample, ending) of a member: what stands before and behind the first dot of its last part; None for what is left alone."""
    path = PurePosixPath(name)
    before, dot, ending = path.name.partition(".")
    if not before or not dot or not name.isprintable() or path.is_absolute() or ".." in path.parts:
        return None
    return str(path.parent / before), ending


def _member(path: Path, member: tarfile.TarInfo) -> Callable[[], bytes]:
    """Return what reads a member where it lies: at its place in the file, by plain reading."""

    def read() -> bytes:
        with path.open("rb") as file:
            file.seek(member.offset_data)
            return file.read(member.size)

    return read


# -- Parquet ---------------------------------------------------------------------------------------------------------------


@frozen(eq=False)
class Parquet(Packed):
    """Tables with a column of encoded images, as ``datasets`` writes them: bytes, or a struct with ``bytes``."""

    options: ParquetOptions
    ending = ".parquet"

    def _rows(self, path: Path, name: str, problems: list[Problem]) -> Iterator[Row]:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            hint = 'pip install "loraspec[parquet]"'
            raise EnvironmentMissing("the library pyarrow is not installed", hint=hint).coded("E-PLUGIN-MISSING") from None
        options = self.options
        try:
            file = parquet.ParquetFile(path)
        except (pyarrow.ArrowInvalid, OSError) as error:
            said = str(error).splitlines()[0][:200]
            problems.append(Problem(path.name, f"is no whole Parquet file: {said}", "get it again", code="E-DATA-PACKED"))
            return
        with file:
            there = file.schema_arrow.names
            for column in filter(None, (options.image_column, options.text_column)):
                if column not in there:
                    near = closest(column, there)
                    hint = f"is it {near!r}?" if near else f"it has {', '.join(there)}"
                    problems.append(Problem(path.name, f"has no column {column!r}", hint, code="E-DATA-TABLE"))
                    return
            number, width = 0, len(str(max(0, file.metadata.num_rows - 1)))
            for group in range(file.num_row_groups):
                texts = file.read_row_group(group, columns=[options.text_column]).column(0).to_pylist() if options.text_column else []
                for place in range(file.metadata.row_group(group).num_rows):
                    text = texts[place] if texts else None
                    read = _cell(path, group, place, options.image_column)
                    yield Row(f"{name}/{number:0{width}}", read, text if isinstance(text, str) else None)
                    number += 1


def _cell(path: Path, group: int, place: int, column: str) -> Callable[[], bytes]:
    """Return what reads one cell."""

    def read() -> bytes:
        found: Any = _group(path, path.stat().st_mtime_ns, group, column)[place].as_py()
        data = found.get("bytes") if isinstance(found, dict) else found
        if not isinstance(data, bytes):
            raise ValueError("holds no bytes of an image")
        return data

    return read


@functools.lru_cache(maxsize=1)
def _group(path: Path, changed: int, group: int, column: str) -> Any:
    """Return the column of a group; the one that was read last is kept, so that images in order cost one reading."""
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        return file.read_row_group(group, columns=[column]).column(0)
