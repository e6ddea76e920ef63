"""What ``loraspec fetch`` does with what a source wants: looked at, listed, gone on with, never overwritten."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from file_server import FileServer, cut, serving, status
from PIL import Image

from loraspec.download import Downloader
from loraspec.errors import SpecError
from loraspec.fetching import LIST, FetchingSource, Outcome, Remote, fetch, listed
from loraspec.randomness import rng_of
from loraspec.values import Context


def image(name: str, kind: str = "JPEG") -> bytes:
    """Return an encoded picture that is its name's own."""
    file = io.BytesIO()
    seed = sum(name.encode())
    Image.frombytes("RGB", (40, 40), bytes((seed * 7 + place * place) % 256 for place in range(4800))).save(file, kind)
    return file.getvalue()


@frozen(eq=False)
class Shelf:
    """A source of the images a, b and c of a server."""

    place: Path
    url: str
    names: Sequence[str] = ("a", "b", "c")
    choice: str = "all"

    def folder(self, context: Context) -> Path:
        return self.place

    def selection(self) -> Mapping[str, Any]:
        return {"choice": self.choice}

    def remotes(self, context: Context, downloader: Downloader) -> Sequence[Remote]:
        return [Remote(name, f"{self.url}/{name}", rights="licensed", credits=f"the maker of {name}", caption=f"a thing, {name}")
                for name in self.names]  # fmt: skip


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as server:
        server.files |= {f"/{name}": image(name, kind) for name, kind in zip("abc", ("JPEG", "PNG", "WEBP"), strict=True)}
        yield server


def run(source: Shelf) -> list[Outcome]:
    """Fetch everything."""
    context = Context(source.place, rng_of(0), lambda hook: [])
    downloader = Downloader(pause=0, tries=3, sleep=lambda _: None)
    return list(fetch(source, context, source.remotes(context, downloader), downloader))


def states(outcomes: Sequence[Outcome]) -> list[str]:
    return [one.state for one in outcomes]


def test_brings_images_with_captions_and_a_list(server: FileServer, tmp_path: Path) -> None:
    """Extensions follow what an image is; the list holds digest, address, rights and credits."""
    source = Shelf(tmp_path / "images", server.url)
    assert isinstance(source, FetchingSource)
    assert states(run(source)) == ["fetched"] * 3
    assert {path.name for path in source.place.iterdir()} == {"a.jpg", "a.txt", "b.png", "b.txt", "c.webp", "c.txt", LIST}
    assert (source.place / "b.png").read_bytes() == server.files["/b"]
    assert (source.place / "b.txt").read_text() == "a thing, b\n"
    selection, files = listed(source.place)
    assert selection == {"choice": "all"}
    one = files["b.png"]
    assert (one.rights, one.credits, one.url) == ("licensed", "the maker of b", f"{server.url}/b")


def test_again_asks_for_nothing(server: FileServer, tmp_path: Path) -> None:
    """What is there stays; a caption that a person wrote stays too."""
    source = Shelf(tmp_path, server.url)
    run(source)
    (tmp_path / "a.txt").write_text("mine")
    before, asked = (tmp_path / LIST).read_bytes(), len(server.asked)
    assert states(run(source)) == ["there"] * 3
    assert len(server.asked) == asked
    assert (tmp_path / LIST).read_bytes() == before
    (tmp_path / "a.jpg").unlink()
    assert states(run(source)) == ["fetched", "there", "there"]
    assert (tmp_path / "a.txt").read_text() == "mine"


@pytest.mark.parametrize(("fault", "code", "said"), [
    ([status(404)], "E-FETCH-HTTP", "HTTP 404"), ([status(503)] * 3, "E-FETCH-HTTP", "busy"),
    ([cut(image("b", "PNG"), 20)] * 3, "E-FETCH-HTTP", "broke off|cannot be reached|sent"),
    ([lambda handler: handler.send(b"<html>Please wait</html>")], "E-FETCH-IMAGE", "begins with '<html>Please wait</html>'"),
    ([lambda handler: handler.send(image("b", "PNG")[:-20])], "E-FETCH-IMAGE", "no usable image"),
    ([lambda handler: handler.send(b"")], "E-FETCH-IMAGE", "no usable image"),
])  # fmt: skip
def test_one_that_fails_keeps_no_other_back(server: FileServer, tmp_path: Path, fault: Any, code: str, said: str) -> None:
    """It is told and not listed; the next fetch brings it."""
    server.faults["/b"] = list(fault)
    source = Shelf(tmp_path, server.url)
    outcomes = run(source)
    assert states(outcomes) == ["fetched", "failed", "fetched"]
    problem = outcomes[1].problem
    assert problem is not None
    assert problem.code == code
    assert any(one in problem.message for one in said.split("|")), problem.message
    assert 'exclude = ["b"]' in problem.hint
    assert set(listed(tmp_path)[1]) == {"a.jpg", "c.webp"}
    assert not (tmp_path / "b.png").exists()
    assert states(run(source)) == ["there", "fetched", "there"]


def test_a_changed_file_is_told_and_left(server: FileServer, tmp_path: Path) -> None:
    """It may be a person's work; deleting it has it fetched again."""
    source = Shelf(tmp_path, server.url)
    run(source)
    (tmp_path / "b.png").write_bytes(image("other", "PNG"))
    outcomes = run(source)
    assert states(outcomes) == ["there", "changed", "there"]
    assert outcomes[1].problem is not None
    assert outcomes[1].problem.code == "E-FETCH-DRIFT"
    assert (tmp_path / "b.png").read_bytes() == image("other", "PNG")


def test_another_selection_lists_what_it_wants(server: FileServer, tmp_path: Path) -> None:
    """What both want is not asked for again; what only the old one wanted is a stranger from now on."""
    run(Shelf(tmp_path, server.url))
    asked = len(server.asked)
    server.files["/d"] = image("d")
    assert states(run(Shelf(tmp_path, server.url, names="bd", choice="some"))) == ["there", "fetched"]
    assert len(server.asked) == asked + 1
    selection, files = listed(tmp_path)
    assert selection == {"choice": "some"}
    assert set(files) == {"b.png", "d.jpg"}


def test_a_killed_fetch_is_gone_on_with(server: FileServer, tmp_path: Path) -> None:
    """Half a line at the end is passed over and cut off; half a line elsewhere is an error with its number."""
    source = Shelf(tmp_path, server.url)
    run(source)
    path = tmp_path / LIST
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    assert set(listed(tmp_path)[1]) == {"a.jpg", "b.png"}
    assert states(run(source)) == ["there", "there", "fetched"]
    assert path.read_bytes() == whole
    path.write_bytes(whole.replace(b'"file":"a.jpg"', b'"file":a.jpg'))
    with pytest.raises(SpecError, match=f"{LIST}:2"):
        listed(tmp_path)


def test_a_file_of_somebody_elses_is_not_written_over(server: FileServer, tmp_path: Path) -> None:
    """Unless it is the very image, which a killed fetch could not list."""
    (tmp_path / "a.jpg").write_bytes(b"mine")
    (tmp_path / "b.png").write_bytes(server.files["/b"])
    outcomes = run(Shelf(tmp_path, server.url))
    assert states(outcomes) == ["failed", "fetched", "fetched"]
    assert (tmp_path / "a.jpg").read_bytes() == b"mine"
    assert set(listed(tmp_path)[1]) == {"b.png", "c.webp"}
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("row", [{"file": "a.jpg"}, {"file": "a.jpg", "sha256": "0", "odd": "1"}, []])
def test_a_list_of_another_make_is_refused(tmp_path: Path, row: Any) -> None:
    """Unknown keys are not passed over."""
    (tmp_path / LIST).write_text(json.dumps({"selection": {}}) + "\n" + json.dumps(row) + "\n\n")
    with pytest.raises(SpecError, match=r"is no line of this list"):
        listed(tmp_path)


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "", "a\x1b[31m", "x" * 200, "nul\0"])
def test_names_are_names(server: FileServer, tmp_path: Path, name: str) -> None:
    """A server does not choose where files go."""
    folder = tmp_path / "images"
    [outcome] = run(Shelf(folder, server.url, names=[name]))
    assert outcome.state == "failed"
    assert "\x1b" not in str(outcome.problem)
    assert [path.name for path in tmp_path.rglob("*")] == ["images", LIST]
