"""The National Gallery of Art's open data: works chosen from its published tables, images through its IIIF server.

Its tables (``objects.csv``, ``published_images.csv``, ``constituents.csv``, ``objects_constituents.csv``) are CC0; images that they mark
``openaccess`` are in the public domain. Only those are chosen, and of each work its primary view.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import asdict, frozen

from loraspec import Problem
from loraspec.download import DownloadError
from loraspec.errors import EnvironmentMissing, SpecError, closest
from loraspec.fetching import Remote
from loraspec_guide.data.fetched import FetchedFolder
from loraspec_guide.data.remote import ANY

if TYPE_CHECKING:
    from loraspec.download import Downloader
    from loraspec.values import Context
    from loraspec_guide.data.registry import NGAOptions

MAX_TABLE = 2**30  # bytes
WHERE = "National Gallery of Art, Washington"
COLUMNS = {
    "objects.csv": ("objectid", "title", "displaydate", "beginyear", "endyear", "medium", "attribution", "classification"),
    "published_images.csv": ("uuid", "iiifurl", "viewtype", "width", "height", "openaccess", "depictstmsobjectid"),
    "constituents.csv": ("constituentid", "preferreddisplayname"),
    "objects_constituents.csv": ("objectid", "constituentid", "roletype"),
}

Row = Mapping[str, str]


@frozen(eq=False)
class NGA(FetchedFolder):
    """Works of art by artist, medium, classification and date."""

    options: NGAOptions

    def selection(self) -> Mapping[str, Any]:
        """Return the options that choose works, and the size of their images."""
        chosen = asdict(self.options)
        return {key: _plain(chosen[key]) for key in ("artist", "classification", "medium", "title", "years", "size", "limit")}

    def told(self) -> str:
        """Say what is chosen."""
        return f"{', '.join(self._criteria()) or 'any work'} of the {WHERE}"

    def ahead(self, context: Context) -> Sequence[Remote] | None:
        """Return the works when the tables are here."""
        folder = self._tables(context)
        return list(self._chosen(folder)) if all((folder / name).is_file() for name in COLUMNS) else None

    def remotes(self, context: Context, downloader: Downloader) -> Sequence[Remote]:
        """Fetch the tables that are not here, and return the works that the options choose.

        Raises:
            EnvironmentMissing: A table cannot be had.
            SpecError: A table lacks a column, or nothing fits the options.
        """
        folder = self._tables(context)
        for name in COLUMNS:
            if not (folder / name).is_file():
                folder.mkdir(parents=True, exist_ok=True)
                try:
                    downloader.save(f"{self.options.tables.rstrip('/')}/{name}", folder / name, most=MAX_TABLE)
                except DownloadError as error:
                    raise EnvironmentMissing(f"the table {name}: {error.message}", hint=error.hint).coded("E-FETCH-HTTP") from None
        found = list(self._chosen(folder))
        if not found:
            raise SpecError([Problem("artist", f"no work of the {WHERE} in open access fits: {', '.join(self._criteria())}",
                                     self._near(folder), code="E-FETCH-NONE")])  # fmt: skip
        return found

    def _tables(self, context: Context) -> Path:
        """Return the folder with the tables: the user's own, or one beside the images."""
        remote = re.match("https?://", self.options.tables)
        return self.folder(context) / ".tables" if remote else context.path(self.options.tables)

    def _criteria(self) -> list[str]:
        options = self.options
        words = [f"{name} {value!r}" for name in ("artist", "classification", "medium", "title") if (value := getattr(options, name))]
        return [*words, f"{options.years[0]} to {options.years[1]}"] if options.years != ANY else words

    def _chosen(self, folder: Path) -> Iterator[Remote]:
        options = self.options
        artists = self._artists(folder) if options.artist else None
        works = {row["objectid"]: row for row in _rows(folder, "objects.csv") if self._fits(row, artists)}
        images: dict[str, Row] = {}
        for row in _rows(folder, "published_images.csv"):
            work = row["depictstmsobjectid"]
            if work in works and row["viewtype"] == "primary" and row["openaccess"] == "1" and row["iiifurl"].startswith("http"):
                images.setdefault(work, row)
        chosen = sorted(images, key=lambda number: (len(number), number))
        for work in chosen[: options.limit or None]:
            yield self._remote(works[work], images[work])

    def _artists(self, folder: Path) -> frozenset[str]:
        """Return the works of which somebody of this name is an artist."""
        wanted = _folded(self.options.artist)
        people = {row["constituentid"] for row in _rows(folder, "constituents.csv") if wanted in _folded(row["preferreddisplayname"])}
        links = _rows(folder, "objects_constituents.csv")
        return frozenset(row["objectid"] for row in links if row["constituentid"] in people and row["roletype"] == "artist")

    def _fits(self, row: Row, artists: frozenset[str] | None) -> bool:
        options = self.options
        if artists is not None and row["objectid"] not in artists:
            return False
        if not all(_folded(getattr(options, name)) in _folded(row[name]) for name in ("classification", "medium", "title")):
            return False
        if options.years == ANY:
            return True
        first, last = _year(row["beginyear"]), _year(row["endyear"])
        first, last = (first if first is not None else last), (last if last is not None else first)
        return first is not None and last is not None and first <= options.years[1] and last >= options.years[0]

    def _remote(self, work: Row, image: Row) -> Remote:
        sides = [int(image[name]) for name in ("width", "height") if image[name].isdigit()]
        size = min(self.options.size, max(sides)) if sides else self.options.size  # a server would enlarge
        name, date = work["attribution"].strip() or "unknown artist", work["displaydate"].strip()
        said = {"title": work["title"], "artist": name, "date": date, "medium": work["medium"], "classification": work["classification"]}
        told = ", ".join(part for part in (work["title"].strip() or "untitled", date) if part)
        return Remote(
            name=f"nga-{re.sub('[^A-Za-z0-9]', '', work['objectid'])}",
            url=f"{image['iiifurl'].rstrip('/')}/full/!{size},{size}/0/default.jpg",
            told=f"{name}: {told}",
            rights="public-domain",
            credits=f"{name}; {WHERE}",
            caption=self.options.caption.format(**{key: _descriptor(value) for key, value in said.items()}),
        )

    def _near(self, folder: Path) -> str:
        """Name an artist who may be meant."""
        names: dict[str, str] = defaultdict(str)
        if self.options.artist:
            names |= {_folded(row["preferreddisplayname"]): row["preferreddisplayname"] for row in _rows(folder, "constituents.csv")}
        near = closest(_folded(self.options.artist), list(names))
        return f"is it {names[near]!r}?" if near and near != _folded(self.options.artist) else "widen the choice"


def _rows(folder: Path, name: str) -> Iterator[Row]:
    """Yield the rows of a table.

    Raises:
        SpecError: It lacks a column, or is no CSV.
    """
    try:
        with (folder / name).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True, restval="")
            lacking = [column for column in COLUMNS[name] if column not in (reader.fieldnames or ())]
            if lacking:
                said = f"has no column {', '.join(lacking)}"
                raise SpecError([Problem(name, said, "delete it, and fetch it again", code="E-FETCH-TABLE")])
            yield from reader
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise SpecError([Problem(name, f"cannot be read: {error}", "delete it, and fetch it again", code="E-FETCH-TABLE")]) from None


def _folded(text: str) -> str:
    """Return text without case, accents and doubled spaces."""
    plain = "".join(sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))
    return " ".join(plain.casefold().split())


def _descriptor(text: str) -> str:
    """Return text as one descriptor: without commas and line breaks."""
    return " ".join(text.replace(",", " ").replace(";", " ").split())


def _year(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?\d{1,5}", text.strip()) else None


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
