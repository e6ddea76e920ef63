"""The data source ``nga``, against a server with excerpts of the tables and images at addresses of IIIF."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from file_server import FileServer, cut, serving, status
from guide.data.fetching import Work, encoded

from loraspec.errors import EnvironmentMissing, SpecError
from loraspec.testing import DataSourceSuite

OBJECTS = [
    ("101", "Rue Transnonain, le 15 Avril 1834", "1834", "1834", "1834", "lithograph on wove paper", "Honoré Daumier", "Print"),
    ("102", "Le Ventre législatif", "1834", "1834", "1834", "lithograph on chine collé", "Honoré Daumier", "Print"),
    ("9", "Advice to a Young Artist", "1865/1868", "1865", "1868", "oil on canvas", "Honoré Daumier", "Painting"),
    ("103", "After a Drawing", "c. 1840", "1838", "1842", "wood engraving", "Charles Maurand", "Print"),
    ("104", "A Study, unpublished", "", "", "", "graphite", "Honoré Daumier", "Drawing"),
    ("105", "Not open", "1850", "1850", "1850", "lithograph", "Honoré Daumier", "Print"),
]
WORK = ["objectid", "title", "displaydate", "beginyear", "endyear", "medium", "attribution", "classification"]
PEOPLE = [("1", "Daumier, Honoré"), ("2", "Maurand, Charles"), ("3", "Daumiér's Circle")]
LINKS = [("101", "1", "artist"), ("102", "1", "artist"), ("9", "1", "artist"), ("104", "1", "artist"), ("105", "1", "artist"),
         ("103", "2", "artist"), ("103", "1", "artist after"), ("101", "3", "donor")]  # fmt: skip


def table(columns: list[str], rows: Any) -> bytes:
    """Return a table as the gallery writes it: with a mark at the beginning, and columns that are not needed."""
    file = io.StringIO(newline="")
    csv.writer(file).writerows([["more", *columns], *(["x", *row] for row in rows)])
    return b"\xef\xbb\xbf" + file.getvalue().encode()


def tables(url: str) -> dict[str, bytes]:
    """Return excerpts of the four tables."""
    images = [(f"uuid-{number}", f"{url}/iiif/uuid-{number}", "primary", "3000", "2000", "1", number)
              for number in ("101", "102", "9", "103", "104")]  # fmt: skip
    images.append(("uuid-105", f"{url}/iiif/uuid-105", "primary", "3000", "2000", "0", "105"))
    images.insert(0, ("uuid-101b", f"{url}/iiif/uuid-101b", "alternate", "3000", "2000", "1", "101"))
    images[2] = (*images[2][:3], "800", "500", *images[2][5:])
    return {
        "objects.csv": table(WORK, OBJECTS),
        "published_images.csv": table(["uuid", "iiifurl", "viewtype", "width", "height", "openaccess", "depictstmsobjectid"], images),
        "constituents.csv": table(["constituentid", "preferreddisplayname"], PEOPLE),
        "objects_constituents.csv": table(["objectid", "constituentid", "roletype"], LINKS),
    }  # fmt: skip


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as server:
        server.files |= {f"/data/{name}": data for name, data in tables(server.url).items()}
        for number in ("101", "102", "9", "103", "104", "105"):
            size = min(2048, {"102": 800}.get(number, 9999))
            server.files[f"/iiif/uuid-{number}/full/!{size},{size}/0/default.jpg"] = encoded(int(number))
        yield server


def nga(folder: Path, server: FileServer, **options: Any) -> Work:
    return Work("nga", folder, tables=f"{server.url}/data", **options)


class TestNGA(DataSourceSuite):
    """``nga`` keeps the contract, once fetched."""

    use = "guide:nga"

    def prepare(self, folder: Path) -> dict[str, Any]:
        """Fetch from a server that is gone afterwards."""
        with serving() as server:
            server.files |= {f"/data/{name}": data for name, data in tables(server.url).items()}
            server.files |= {f"/iiif/uuid-{number}/full/!{size},{size}/0/default.jpg": encoded(int(number))
                             for number, size in (("101", 2048), ("102", 800))}  # fmt: skip
            options = {"artist": "daumier", "classification": "print", "tables": f"{server.url}/data", "caption": "{title}, {medium}"}
            assert [one.state for one in Work("nga", folder, **options).fetch()] == ["fetched", "fetched"]
        return {"path": "images", **options}


@pytest.mark.parametrize(("options", "numbers"), [
    ({"artist": "daumier"}, ["9", "101", "102", "104"]), ({"artist": "HONORE"}, ["9", "101", "102", "104"]),
    ({"artist": "Daumier", "classification": "print"}, ["101", "102"]), ({"medium": "lithograph"}, ["101", "102"]),
    ({"years": (1835, 1866)}, ["9", "103"]), ({"years": (1868, 1900)}, ["9"]), ({"title": "ventre legislatif"}, ["102"]),
    ({"artist": "maurand"}, ["103"]), ({"classification": "painting"}, ["9"]), ({"artist": "daumier", "limit": 2}, ["9", "101"]),
    ({}, ["9", "101", "102", "103", "104"]),
])  # fmt: skip
def test_works_are_chosen(server: FileServer, tmp_path: Path, options: dict[str, Any], numbers: list[str]) -> None:
    """By all criteria at once; never one that is not in open access, and only who made a work is its artist."""
    assert [one.name for one in nga(tmp_path, server, **options).wanted()] == [f"nga-{number}" for number in numbers]


def test_brings_images_with_rights_and_credits(server: FileServer, tmp_path: Path) -> None:
    """At the wanted size and no larger than the image is; captions are descriptors without commas of their own."""
    work = nga(tmp_path, server, artist="daumier", classification="print", caption="{title}, {medium}, {artist}")
    assert [one.state for one in work.fetch()] == ["fetched", "fetched"]
    found = work.scan()
    assert [(one.key, one.caption) for one in found.samples] == [
        ("nga-101.jpg", "Rue Transnonain le 15 Avril 1834, lithograph on wove paper, Honoré Daumier"),
        ("nga-102.jpg", "Le Ventre législatif, lithograph on chine collé, Honoré Daumier"),
    ]
    credited = "Honoré Daumier; National Gallery of Art, Washington"
    assert {(one.rights, one.credits) for one in found.samples} == {("public-domain", credited)}
    assert found.problems == ()
    asked = len(server.asked)
    assert [one.state for one in work.fetch()] == ["there", "there"]
    assert len(server.asked) == asked


def test_a_plan_says_what_would_be_fetched(server: FileServer, tmp_path: Path) -> None:
    """Nothing is asked for: without tables it says what is chosen, with them what each work is."""
    work = nga(tmp_path, server, artist="daumier", classification="print")
    said = "artist 'daumier', classification 'print' of the National Gallery of Art, Washington: nothing was fetched yet"
    with pytest.raises(EnvironmentMissing, match=said) as caught:
        work.scan()
    assert server.asked == []
    assert "loraspec fetch" in str(caught.value.hint)
    work.wanted()
    with pytest.raises(EnvironmentMissing, match="2 images, Honoré Daumier: Rue Transnonain, le 15 Avril 1834, 1834"):
        work.scan()


def test_tables_may_be_ones_own(server: FileServer, tmp_path: Path) -> None:
    """A folder in place of an address; then the images alone are asked for."""
    (tmp_path / "tables").mkdir()
    for name, data in tables(server.url).items():
        (tmp_path / "tables" / name).write_bytes(data)
    work = Work("nga", tmp_path, tables="tables", title="young artist")
    assert [one.state for one in work.fetch()] == ["fetched"]
    assert [path for path, _ in server.asked] == ["/iiif/uuid-9/full/!2048,2048/0/default.jpg"]


def test_what_failed_is_missing_and_the_rest_is_not_used_alone(server: FileServer, tmp_path: Path) -> None:
    """A scan names what is not there yet; ``exclude`` leaves it out."""
    address = "/iiif/uuid-102/full/!800,800/0/default.jpg"
    server.faults[address] = [cut(server.files[address], 100), status(500), status(429)]
    work = nga(tmp_path, server, artist="daumier", classification="print")
    assert [one.state for one in work.fetch()] == ["fetched", "failed"]
    assert work.told() == ["E-FETCH-NONE"]
    assert nga(tmp_path, server, artist="daumier", classification="print", exclude=("nga-102",)).told() == []
    assert [one.state for one in work.fetch()] == ["there", "fetched"]
    assert work.told() == []


def test_another_choice_asks_for_a_fetch(server: FileServer, tmp_path: Path) -> None:
    """What was fetched for other options is not trained on."""
    nga(tmp_path, server, artist="daumier", classification="print").fetch()
    with pytest.raises(EnvironmentMissing, match="was chosen by another medium"):
        nga(tmp_path, server, artist="daumier", classification="print", medium="wove").scan()


def test_changed_gone_and_strange_files_are_told(server: FileServer, tmp_path: Path) -> None:
    """A fetched folder is what the list says."""
    work = nga(tmp_path, server, artist="daumier", classification="print")
    work.fetch()
    first, second = (tmp_path / "images" / f"nga-{number}.jpg" for number in ("101", "102"))
    first.write_bytes(encoded(7))
    second.unlink()
    (tmp_path / "images" / "mine.jpg").write_bytes(encoded(8))
    assert sorted(work.told()) == ["E-FETCH-DRIFT", "E-FETCH-DRIFT"]
    assert "W-FETCH-STRANGER" in work.told("warning")
    assert [one.key for one in work.scan().samples] == ["nga-101.jpg"]


@pytest.mark.parametrize(("data", "said"), [
    (b"objectid,title\r\n1,a\r\n", "has no column displaydate"), (b"\xff\xff", "cannot be read"), (b"", "has no column"),
    (b"<html>nothing here</html>", "has no column"),
])  # fmt: skip
def test_tables_that_are_odd_are_told(server: FileServer, tmp_path: Path, data: bytes, said: str) -> None:
    """A table that changed its form is no empty choice."""
    server.files["/data/objects.csv"] = data
    with pytest.raises(SpecError, match=said):
        nga(tmp_path, server, artist="daumier").wanted()


def test_errors_of_the_choice_are_told(server: FileServer, tmp_path: Path) -> None:
    """A name that is nearly one, and tables that are not there."""
    with pytest.raises(SpecError, match="no work of the National Gallery") as caught:
        nga(tmp_path, server, artist="Daumir, Honore").wanted()
    assert "Daumier, Honoré" in caught.value.problems[0].hint
    with pytest.raises(EnvironmentMissing, match=r"objects\.csv: .* answers HTTP 404"):
        Work("nga", tmp_path / "other", tables=f"{server.url}/nowhere").wanted()
