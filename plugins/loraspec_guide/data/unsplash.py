"""Photographs from Unsplash: a collection through its API, or a choice from the files of the Lite data set.

A collection needs an access key in the environment, which is sent to the API alone and written nowhere. As the API's guidelines ask, each
download is announced to it. Photographers are credited by name.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from attrs import frozen

from loraspec import Problem
from loraspec.download import DownloadError
from loraspec.errors import EnvironmentMissing, SpecError
from loraspec.fetching import Remote
from loraspec_guide.data.fetched import FetchedFolder

if TYPE_CHECKING:
    from loraspec.download import Downloader
    from loraspec.values import Context
    from loraspec_guide.data.registry import UnsplashOptions

KEY = "UNSPLASH_ACCESS_KEY"
PAGE = 30  # photographs, the most that the API gives at once
MOST_PAGES = 200
COLUMNS = ("photo_id", "photo_image_url", "photographer_first_name", "photographer_last_name", "photographer_username",
           "photo_description", "ai_description")  # fmt: skip


@frozen(eq=False)
class Unsplash(FetchedFolder):
    """A collection, or a choice from the Lite data set."""

    options: UnsplashOptions

    def selection(self) -> Mapping[str, Any]:
        """Return the options that choose photographs, and their size."""
        options = self.options
        return {"collection": options.collection, "lite": bool(options.lite), "keywords": list(options.keywords), "size": options.size,
                "limit": options.limit}  # fmt: skip

    def told(self) -> str:
        """Say what is chosen."""
        if self.options.collection:
            return f"Unsplash collection {self.options.collection}"
        return f"Unsplash Lite, {' and '.join(self.options.keywords) or 'every photograph'}"

    def ahead(self, context: Context) -> Sequence[Remote] | None:
        """Return the photographs of the Lite data set, whose files are here."""
        return list(self._lite(context)) if self.options.lite else None

    def remotes(self, context: Context, downloader: Downloader) -> Sequence[Remote]:
        """Return the photographs that the options choose.

        Raises:
            EnvironmentMissing: There is no key, the API cannot be asked, or the files of the data set are not there.
            SpecError: Nothing fits, or both or neither of collection and lite is set.
        """
        options = self.options
        if bool(options.collection) == bool(options.lite):
            message = "names a collection and the Lite data set" if options.lite else "names neither a collection nor the Lite data set"
            raise SpecError([Problem("collection", message, 'collection = "NUMBER", or lite = "FOLDER"', code="E-FETCH-NONE")])
        found = list(self._lite(context) if options.lite else self._collection(downloader))
        if not found:
            raise SpecError([Problem("collection", f"{self.told()}: no photograph fits", "widen the choice", code="E-FETCH-NONE")])
        return found[: options.limit or None]

    # -- a collection ------------------------------------------------------------------------------------------------------

    def _collection(self, downloader: Downloader) -> Iterator[Remote]:
        key = os.environ.get(KEY, "")
        if not key:
            hint = f"make one at unsplash.com/developers, and set it in {KEY}"
            raise EnvironmentMissing("Unsplash's API wants an access key", hint=hint).coded("E-FETCH-KEY")
        headers = {"Authorization": f"Client-ID {key}", "Accept-Version": "v1"}
        number = 0
        for page in range(1, MOST_PAGES + 1):
            asked = urlencode({"page": page, "per_page": PAGE})
            url = f"{self.options.api.rstrip('/')}/collections/{self.options.collection}/photos?{asked}"
            try:
                rows = json.loads(downloader.get(url, headers=headers))
                photographs = [self._of_api(row, headers) for row in rows]
            except DownloadError as error:
                raise EnvironmentMissing(f"{self.told()}: {error.message}", hint=error.hint).coded("E-FETCH-HTTP") from None
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                said = f"{self.told()}: the API's answer is not what it is documented to be ({type(error).__name__})"
                raise EnvironmentMissing(said, hint="try later").coded("E-FETCH-HTTP") from None
            yield from photographs
            number += len(photographs)
            if len(photographs) < PAGE or (self.options.limit and number >= self.options.limit):
                return

    def _of_api(self, row: Mapping[str, Any], headers: Mapping[str, str]) -> Remote:
        name, place = str(row["user"]["name"]), str(row["links"]["download_location"])
        size, api = self.options.size, urlsplit(self.options.api)

        def before(downloader: Downloader) -> str:
            """Announce the download; only the API itself is given the key."""
            if urlsplit(place)[:2] == api[:2]:
                downloader.get(place, headers=headers)
            return _sized(str(row["urls"]["raw"]), size)

        return Remote(_named(str(row["id"])), _sized(str(row["urls"]["raw"]), size), _told(name, row.get("description"),
                      row.get("alt_description")), "licensed", f"{name} on Unsplash", before=before)  # fmt: skip

    # -- the Lite data set -------------------------------------------------------------------------------------------------

    def _lite(self, context: Context) -> Iterator[Remote]:
        folder = context.path(self.options.lite)
        keywords = [keyword.casefold() for keyword in self.options.keywords]
        fitting = self._with_keywords(folder, keywords) if keywords else None
        rows = (row for row in _rows(folder, "photos", COLUMNS) if fitting is None or row["photo_id"] in fitting)
        for row in sorted(rows, key=lambda row: row["photo_id"])[: self.options.limit or None]:
            name = " ".join(part for part in (row["photographer_first_name"], row["photographer_last_name"]) if part)
            name = name or row["photographer_username"] or "a photographer"
            told = _told(name, row["photo_description"], row["ai_description"])
            url = _sized(row["photo_image_url"], self.options.size)
            yield Remote(_named(row["photo_id"]), url, told, "licensed", f"{name} on Unsplash")

    def _with_keywords(self, folder: Path, keywords: Sequence[str]) -> frozenset[str]:
        """Return the photographs that have every keyword."""
        found = [set[str]() for _ in keywords]
        for row in _rows(folder, "keywords", ("photo_id", "keyword")):
            for place, keyword in enumerate(keywords):
                if row["keyword"].casefold() == keyword:
                    found[place].add(row["photo_id"])
        return frozenset(set.intersection(*found))


def _rows(folder: Path, table: str, columns: Sequence[str]) -> Iterator[Mapping[str, str]]:
    """Yield the rows of a table, which may lie in several files (``photos.tsv000``, or ``photos.csv000`` of newer releases).

    Raises:
        EnvironmentMissing: It is not there.
        SpecError: It lacks a column.
    """
    files = sorted(path for path in folder.glob(f"{table}.*") if re.fullmatch(r"\.(tsv|csv)\d*", path.suffix))
    if not files:
        hint = "get the Lite data set from unsplash.com/data, unpack it, and name its folder"
        raise EnvironmentMissing(f"{folder.name!r} holds no {table}.tsv000", hint=hint).coded("E-FETCH-TABLE")
    csv.field_size_limit(2**20)
    for path in files:
        try:
            with path.open(encoding="utf-8", newline="") as file:
                tabs = path.suffix.startswith(".tsv")
                reader = csv.DictReader(file, delimiter="\t" if tabs else ",", quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL,
                                        restval="")  # fmt: skip
                lacking = [column for column in columns if column not in (reader.fieldnames or ())]
                if lacking:
                    raise SpecError([Problem(path.name, f"has no column {', '.join(lacking)}", "get it again",
                                             code="E-FETCH-TABLE")])  # fmt: skip
                yield from reader
        except (csv.Error, UnicodeDecodeError, OSError) as error:
            raise SpecError([Problem(path.name, f"cannot be read: {error}", "get it again", code="E-FETCH-TABLE")]) from None


def _named(photograph: str) -> str:
    return "unsplash-" + re.sub("[^A-Za-z0-9_-]", "", photograph)


def _told(name: str, *descriptions: object) -> str:
    said = next((str(text).strip() for text in descriptions if text), "")
    return f"{name}: {said[:80]}" if said else name


def _sized(url: str, size: int) -> str:
    """Return an image's address with the size that is wanted: JPEG, no side longer, nothing enlarged."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query)) | {"fm": "jpg", "q": "90", "fit": "max", "w": str(size), "h": str(size)}
    return urlunsplit(parts._replace(query=urlencode(query)))
