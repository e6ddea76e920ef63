"""Images in a folder whose captions stand in one table, ``metadata.jsonl`` or ``metadata.csv``, as Hugging Face's ``datasets`` has it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from loraspec import Problem
from loraspec.errors import closest
from loraspec.textfile import NotTextError, TooLargeError, decode, read_plain
from loraspec_guide.data.captionfile import MAX_CAPTION, caption_of
from loraspec_guide.data.folder import Folder, FolderScan, Names
from loraspec_guide.data.remarks import SHOWN

if TYPE_CHECKING:
    from loraspec_guide.data.registry import ImageFolderOptions

TABLES = ("metadata.jsonl", "metadata.csv")
MAX_TABLE = 256 * 1024 * 1024  # bytes
MOST = 100_000  # rows


@frozen(eq=False)
class ImageFolder(Folder):
    """A folder of images with one table of captions at its top; images are looked at as by ``folder``."""

    options: ImageFolderOptions

    def _words(self) -> str:
        return "table metadata.jsonl or metadata.csv"

    def _look(self, root: Path) -> FolderScan:
        table = _Table(root, self.options)
        rows = table.rows()
        return _TableScan(root, self.options, problems=table.problems, rows=rows)


@frozen(eq=False)
class _TableScan(FolderScan):
    """A look at a folder whose captions come from a table."""

    rows: Mapping[str, str | None] = field(kw_only=True)

    def _caption(self, key: str, named: Names) -> tuple[str | None, Path | None]:
        text = self.rows.get(key)
        if text is None:
            return None, None
        if len(text.encode("utf-8", "surrogatepass")) > MAX_CAPTION:
            message = f"its caption is larger than {MAX_CAPTION // 1024} KiB"
            return self._text(key, Problem(key, message, "a caption is a line of text", code="E-CAP-SIZE")), None
        return self._text(key, caption_of(key, text)), None

    def _others(self, files: list[str], images: list[str], named: Names) -> None:
        super()._others(files, images, named)
        gone = sorted(set(self.rows) - set(images))
        if gone:
            rest = f" and {len(gone) - SHOWN} more" if len(gone) > SHOWN else ""
            message = f"its table names {len(gone)} images that are not there: {', '.join(gone[:SHOWN])}{rest}"
            self.problems.append(Problem("", message, "take the rows out, or put the images there", code="E-DATA-TABLE"))


@frozen(eq=False)
class _Table:
    """The table of a folder."""

    root: Path
    options: ImageFolderOptions
    problems: list[Problem] = field(factory=list)

    def rows(self) -> dict[str, str | None]:
        """Return captions by image; None for an image without one."""
        there = [name for name in TABLES if (self.root / name).is_file()]
        if len(there) != 1:
            what = "holds neither metadata.jsonl nor metadata.csv" if not there else "holds both metadata.jsonl and metadata.csv"
            self._tell(f"{self.options.path!r} {what}", "one of the two has a row for each image")
            return {}
        [name] = there
        try:
            text, _ = decode(read_plain(self.root / name, MAX_TABLE))
        except NotTextError as error:
            self._tell(f"{name} {error.message} in line {error.line}, column {error.column}", "save it as UTF-8")
            return {}
        except (OSError, TooLargeError) as error:
            self._tell(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}")
            return {}
        found: dict[str, str | None] = {}
        for line, row in _jsonl(text) if name.endswith(".jsonl") else _csv(text):
            if len(found) >= MOST:
                self._tell(f"{name} has more than {MOST:,} rows")
                break
            self._row(f"{name}:{line}", row, found)
        return found

    def _row(self, where: str, row: Any, found: dict[str, str | None]) -> None:
        options = self.options
        if isinstance(row, str):
            return self._tell(f"{where} {row}")
        file, text = row.get(options.file_column), row.get(options.text_column)
        for column in (options.file_column, options.text_column):
            if column not in row:
                near = closest(column, list(map(str, row)))
                return self._tell(f"{where} has no {column!r}", f"did you mean {near!r}?" if near else f"it has {', '.join(map(str, row))}")
        if not isinstance(file, str) or not file.strip() or not (text is None or isinstance(text, str)):
            return self._tell(f"{where} is no file name and text: {file!r}, {text!r}"[:300])
        parts = PurePosixPath(file).parts
        if "\\" in file or file.startswith("/") or ".." in parts or not file.isprintable():
            return self._tell(f"{where} names {file!r}, which is no place inside the folder", "write the path below the folder, with /")
        key = "/".join(part for part in parts if part != ".")
        if key in found:
            return self._tell(f"{where} names {key!r} a second time")
        found[key] = text
        return None

    def _tell(self, message: str, hint: str = "") -> None:
        self.problems.append(Problem("", message, hint, code="E-DATA-TABLE"))


def _jsonl(text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Yield line numbers with objects, or with what is wrong."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, f"is no JSON: {getattr(error, 'msg', error)}"
            continue
        yield number, row if isinstance(row, dict) else f"is no object, but {type(row).__name__}"


def _csv(text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Yield line numbers with rows by column, or with what is wrong."""
    reader = csv.reader(io.StringIO(text), strict=True)
    columns: list[str] = []
    try:
        for row in reader:
            if not columns:
                columns = row
            elif len(row) != len(columns):
                yield reader.line_num, f"has {len(row)} fields; the first line names {len(columns)} columns"
            else:
                yield reader.line_num, {name: value or None for name, value in zip(columns, row, strict=True)}
    except csv.Error as error:
        yield reader.line_num, f"is no CSV: {error}"
