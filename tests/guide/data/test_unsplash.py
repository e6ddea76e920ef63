"""The data source ``unsplash``, against a server that speaks its API, and with files like those of the Lite data set."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from file_server import FileServer, Handler, serving, status
from guide.data.fetching import Work, encoded

from loraspec.errors import EnvironmentMissing, SpecError
from loraspec.testing import DataSourceSuite

COUNT = 33  # two pages


class Api:
    """Answers as the API does: pages of a collection, announcements of downloads, images."""

    def __init__(self, server: FileServer, count: int = COUNT) -> None:
        self.server, self.count = server, count
        for page in (1, 2, 3):
            server.faults["/collections/42/photos"].append(self.page(page))
        for number in range(count):
            server.files[f"/photos/p{number}/download"] = b"{}"
            server.files[f"/raw/p{number}"] = encoded(number)

    def page(self, number: int) -> Any:
        def answer(handler: Handler) -> None:
            asked = parse_qs(urlsplit(handler.path).query)
            assert asked == {"page": [str(number)], "per_page": ["30"]}
            rows = [self.row(one) for one in range((number - 1) * 30, min(number * 30, self.count))]
            handler.send(json.dumps(rows).encode())

        return answer

    def row(self, number: int) -> dict[str, Any]:
        url = self.server.url
        return {"id": f"p{number}", "width": 4000, "height": 3000, "description": None, "alt_description": "a harbour",
                "user": {"name": f"Photographer {number}"}, "urls": {"raw": f"{url}/raw/p{number}?ixid=abc"},
                "links": {"download_location": f"{url}/photos/p{number}/download?ixid=abc"}}  # fmt: skip


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as server:
        yield server


@pytest.fixture
def api(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setenv("UNSPLASH_ACCESS_KEY", "the-key")
    return Api(server)


def lite(folder: Path, url: str, count: int = 3) -> None:
    """Write files as those of the Lite data set: tabs, no quotes."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = ["photo_id", "photo_url", "photo_image_url", "photo_width", "photo_height", "photographer_username",
               "photographer_first_name", "photographer_last_name", "photo_description", "ai_description"]  # fmt: skip
    rows = [[f"x{number}", "", f"{url}/raw/x{number}", "4000", "3000", f"user{number}", "Ada", f"Nr {number}", 'a "quoted" one', ""]
            for number in range(count)]  # fmt: skip
    (folder / "photos.tsv000").write_text("\n".join("\t".join(row) for row in [columns, *rows]) + "\n")
    words = [["photo_id", "keyword", "suggested_by_user"], *([f"x{number}", word, "f"] for number in range(count)
             for word in (["harbour", "boat"] if number else ["harbour"]))]  # fmt: skip
    (folder / "keywords.tsv000").write_text("\n".join("\t".join(row) for row in words) + "\n")


class TestUnsplash(DataSourceSuite):
    """``unsplash`` keeps the contract, once fetched."""

    use = "guide:unsplash"

    def prepare(self, folder: Path) -> dict[str, Any]:
        """Fetch three photographs from a server that is gone afterwards."""
        with serving() as server:
            lite(folder / "lite", server.url)
            server.files |= {f"/raw/x{number}": encoded(number) for number in range(3)}
            work = Work("unsplash", folder, lite="lite")
            assert [one.state for one in work.fetch()] == ["fetched"] * 3
        return {"path": "images", "lite": "lite"}


def test_a_collection_is_fetched_page_by_page(api: Api, server: FileServer, tmp_path: Path) -> None:
    """Each photographer is credited, each download announced, sizes are asked of the server."""
    work = Work("unsplash", tmp_path, api=server.url, collection="42", size=1024)
    assert [one.state for one in work.fetch()] == ["fetched"] * COUNT
    found = {one.key: one for one in work.scan().samples}
    assert len(found) == COUNT
    assert (found["unsplash-p7.jpg"].rights, found["unsplash-p7.jpg"].credits) == ("licensed", "Photographer 7 on Unsplash")
    asked = api.server.asked
    assert sum(path.startswith("/photos/") for path, _ in asked) == COUNT
    [raw] = [path for path, _ in asked if path.startswith("/raw/p7?")]
    assert parse_qs(urlsplit(raw).query) == {"ixid": ["abc"], "fm": ["jpg"], "q": ["90"], "fit": ["max"], "w": ["1024"], "h": ["1024"]}


def test_the_longest_side_is_what_is_asked_for(api: Api, server: FileServer, tmp_path: Path) -> None:
    """Also of a photograph whose short side is shorter than that."""
    row = {**api.row(0), "width": 2500, "height": 1500}
    server.faults["/collections/42/photos"] = [lambda handler: handler.send(json.dumps([row]).encode())]
    [one] = Work("unsplash", tmp_path, api=server.url, collection="42", size=2048).wanted()
    assert parse_qs(urlsplit(one.url).query)["w"] == ["2048"]


def test_the_key_goes_to_the_api_alone(api: Api, server: FileServer, tmp_path: Path) -> None:
    """Images, and announcements that lead elsewhere, do not get it; it stands in no file."""
    with serving() as elsewhere:
        elsewhere.files["/photos/p0/download"] = b"{}"
        row = api.row(0)
        row["links"]["download_location"] = f"{elsewhere.url}/photos/p0/download"
        server.faults["/collections/42/photos"] = [lambda handler: handler.send(json.dumps([row]).encode())]
        assert [one.state for one in Work("unsplash", tmp_path, api=server.url, collection="42").fetch()] == ["fetched"]
        assert elsewhere.asked == []
    for path, headers in server.asked:
        assert ("authorization" in headers) == path.startswith(("/collections", "/photos")), path
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"the-key" in path.read_bytes()]


def test_without_a_key_it_says_where_one_is_made(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is asked."""
    monkeypatch.delenv("UNSPLASH_ACCESS_KEY", raising=False)
    with pytest.raises(EnvironmentMissing, match="access key") as caught:
        Work("unsplash", tmp_path, api=server.url, collection="42").wanted()
    assert "UNSPLASH_ACCESS_KEY" in str(caught.value.hint)


@pytest.mark.parametrize(("fault", "said"), [
    ([status(401)], "HTTP 401"), ([status(403)], "HTTP 403"), ([status(404)], "HTTP 404"), ([status(429)] * 3, "busy"),
    ([lambda handler: handler.send(b"<html>")], "not what it is documented to be"),
    ([lambda handler: handler.send(b'{"errors": ["no"]}')], "not what it is documented to be"),
    ([lambda handler: handler.send(b'[{"id": "a"}]')], "not what it is documented to be"),
])  # fmt: skip
def test_what_the_api_says_is_told(api: Api, server: FileServer, tmp_path: Path, fault: Any, said: str) -> None:
    """As what is missing, with what to do; without the key."""
    server.faults["/collections/42/photos"] = list(fault)
    with pytest.raises(EnvironmentMissing, match=said) as caught:
        Work("unsplash", tmp_path, api=server.url, collection="42").wanted()
    assert "the-key" not in f"{caught.value} {caught.value.hint}"


def test_a_busy_api_is_waited_for(api: Api, server: FileServer, tmp_path: Path) -> None:
    """And a limit asks for no page that is not needed."""
    server.faults["/collections/42/photos"].insert(0, status(429, Retry_After="1"))
    assert len(Work("unsplash", tmp_path, api=server.url, collection="42", limit=5).wanted()) == 5
    assert server.times("/collections/42/photos") == 2


def test_the_lite_data_set_is_chosen_by_keywords(server: FileServer, tmp_path: Path) -> None:
    """All of them, in any case; a plan knows what would be fetched."""
    lite(tmp_path / "lite", server.url)
    server.files |= {f"/raw/x{number}": encoded(number) for number in range(3)}
    work = Work("unsplash", tmp_path, lite="lite", keywords=("Harbour", "boat"))
    with pytest.raises(EnvironmentMissing, match="Unsplash Lite, Harbour and boat: nothing was fetched yet: 2 images"):
        work.scan()
    assert [one.state for one in work.fetch()] == ["fetched"] * 2
    assert {one.key: one.credits for one in work.scan().samples} == {
        "unsplash-x1.jpg": "Ada Nr 1 on Unsplash", "unsplash-x2.jpg": "Ada Nr 2 on Unsplash",
    }  # fmt: skip


def test_choices_that_are_none_are_told(server: FileServer, tmp_path: Path) -> None:
    """Both, neither, no such keyword, no files."""
    lite(tmp_path / "lite", server.url)
    for options, said in [({}, "neither"), ({"collection": "42", "lite": "lite"}, "a collection and the Lite"),
                          ({"lite": "lite", "keywords": ("zebra",)}, "no photograph fits")]:  # fmt: skip
        with pytest.raises(SpecError, match=said):
            Work("unsplash", tmp_path, **options).wanted()
    with pytest.raises(EnvironmentMissing, match="holds no photos"):
        Work("unsplash", tmp_path, lite="nowhere").wanted()
