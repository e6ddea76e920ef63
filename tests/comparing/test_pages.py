"""The page and the Markdown say the same, load nothing, and are inert whatever a run's texts are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import CHROMIUM, DRIVER, MISSING, browser
from finished_run import finished_run, ranking
from hostile.payloads import PAYLOADS
from hostile.test_report import TAGS, Page, check
from PIL import Image

from loraspec.comparing import pages
from loraspec.comparing.sides import sides
from loraspec.engine.folder import RunFolder
from loraspec.escape import escaped
from loraspec.finished import read
from loraspec.picking import chosen, keep


def pair(folder: Path) -> Any:
    """Two runs that share prompts, one with a person's pick."""
    one, two = finished_run(folder / "one", name="one"), finished_run(folder / "two", name="two", rank=8)
    run = read(one)
    keep(run, chosen(run, epoch=2, weight=0.9, note="softer | lines"))
    return sides([read(one), read(two)])


def hostile(folder: Path, text: str) -> Any:
    """Two runs in which every text that a stranger can choose is ``text``."""
    found = []
    for number in range(2):
        place = finished_run(folder / f"run{number}", prompts=(text, f"{text}2"))
        RunFolder(place).note(name=text, data_sha256=f"{number}{text}")
        spec = {"use": text, "checkpoint": f"{text}{number}", "key": number}
        lines = [f"{json.dumps(key)} = {json.dumps(value)}" for key, value in spec.items()]
        quoted = json.dumps(text + str(number))
        (place / "resolved.toml").write_text("\n".join(["[run]", "seed = 1", "[model]", *lines, f"{quoted} = 1", ""]), encoding="utf-8")
        made = ranking({1: 0.1, 2: 0.2})
        object.__setattr__(made, "sentences", (text,))
        object.__setattr__(made, "reasons", (text,))
        (place / "ranking.json").write_text(made.to_json(), encoding="utf-8")
        run = read(place)
        keep(run, chosen(run, epoch=2, weight=1.0, note=text))
        found.append(read(place))
    (found[1].folder / "pick.json").write_text(json.dumps({"version": text}), encoding="utf-8")
    return sides(found)


def inert(page: Page) -> None:
    """As for the report, which draws no band."""
    TAGS.add("polygon")
    try:
        check(page)
    finally:
        TAGS.discard("polygon")


def test_the_page_holds_everything(tmp_path: Path) -> None:
    """What differs, what was picked, pictures with alt texts, charts with their numbers; tables have scopes, headings an order."""
    text = pages.html(pair(tmp_path)).decode()
    page = Page(text)
    inert(page)
    words = " ".join("".join(page.words).split())
    for part in ("one · two", "adapter.rank", "epoch 2 at 0.9", "softer | lines", "epoch 3 at 1.0", "Training loss", "by Nobody, seed 7"):
        assert part in words
    alts = [attributes["alt"] for tag, attributes in page.tags if tag == "img"]
    assert len(alts) == 8
    assert alts[0] == "one: epoch 2 at 0.9, a boat, by Nobody, seed 7"
    assert all(attributes.get("scope") for tag, attributes in page.tags if tag == "th")
    assert [tag for tag, _ in page.tags if tag in ("h1", "h2", "h3")] == ["h1", "h2", "h2", "h2"]
    assert text.count("<svg viewBox") == 4
    assert len(text) < 200_000


def test_pictures_are_those_of_the_choice(tmp_path: Path) -> None:
    """Decoded from the page, a small one is the cell to the pixel; a large one is reduced."""
    compared = pair(tmp_path)
    row = pages._rows(compared)[0]["pictures"]
    cell = compared[0].pictures.files[0.9][2, "a boat, by Nobody", 7]
    (tmp_path / "shown.webp").write_bytes(row[0].data)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "shown.webp").convert("RGB")), np.asarray(Image.open(cell)))
    big = sides([read(finished_run(tmp_path / "big", size=700))])
    shown = pages._rows(big)[0]["pictures"][0]
    assert (shown.width, shown.height, shown.tiny) == (512, 512, False)


def test_a_picture_that_cannot_be_read_is_no_picture(tmp_path: Path) -> None:
    """The others stand."""
    compared = pair(tmp_path)
    compared[1].pictures.files[1.0][3, "a boat, by Nobody", 7].write_bytes(b"GIF89a")
    text = pages.html(compared).decode()
    assert text.count('<div class="none">no picture</div>') == 1
    assert text.count("<img ") == 7


def test_markdown_says_the_same(tmp_path: Path) -> None:
    """Tables, pictures and charts in a folder beside it, which are all there and all used."""
    compared = pair(tmp_path)
    (page,) = pages.write(compared, page=None, text=tmp_path / "a b.md")
    text = page.read_text(encoding="utf-8")
    for part in ("| adapter.rank | 4 | 8 |", "epoch 2 at 0.9", r"softer \| lines", "### Training loss", "| 1 | 0.48 | 0.48 |"):
        assert part in text
    named = set(re.findall(r"\]\((a-b-files/[^)]+)\)", text))
    assert named == {path.relative_to(tmp_path).as_posix() for path in (tmp_path / "a-b-files").iterdir()}
    assert len(named) == 8 + 4
    svg = (tmp_path / "a-b-files" / "key.svg").read_text(encoding="utf-8")
    assert svg.startswith('<svg xmlns="http://www.w3.org/2000/svg"')


def test_equal_specs_are_said_to_be(tmp_path: Path) -> None:
    """In both forms."""
    run = read(finished_run(tmp_path / "run"))
    compared = sides([run, run])
    assert b"The resolved specs are the same." in pages.html(compared)
    assert b"The resolved specs are the same." in pages.markdown(compared, "x")[0]


@pytest.mark.parametrize("number", range(len(PAYLOADS)))
def test_payload_in_every_field_stays_text(number: int, tmp_path: Path) -> None:
    """Names, keys and values of the spec, prompts, notes, digests: shown as they are on the page and in the Markdown, and inert."""
    from markdown_it import MarkdownIt

    text = PAYLOADS[number]
    compared = hostile(tmp_path, text)
    page = Page(pages.html(compared).decode())
    inert(page)
    assert escaped(text) in "".join(page.words)
    said = pages.markdown(compared, "x-files")[0].decode()
    shown = Page(MarkdownIt("commonmark", {"html": True, "linkify": False}).enable("table").render(said))
    assert {tag for tag, _ in shown.tags} <= {"h1", "h2", "h3", "p", "blockquote", "table", "thead", "tbody", "tr", "th", "td", "img", "br"}
    assert shown.other == []
    for tag, attributes in shown.tags:
        assert tag != "img" or attributes["src"].startswith("x-files/")
        assert set(attributes) <= {"src", "alt"}
    assert " ".join(escaped(" ".join(text.split())).split()) in " ".join("".join(shown.words).split())
    assert not re.search(r"(?<!\\)://|www\.", said)  # nothing that GitHub would make a link of


def test_nothing_but_the_page_and_its_pictures_is_written(tmp_path: Path) -> None:
    """Whatever the runs are called; runs stay as they were."""
    compared = hostile(tmp_path / "in", "../../x")
    before = sorted(path for path in (tmp_path / "in").rglob("*"))
    pages.write(compared, page=tmp_path / "out" / "c.html", text=tmp_path / "out" / "c.md")
    assert sorted(path for path in (tmp_path / "in").rglob("*")) == before
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"c.html", "c.md", "c-files"}


@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)
def test_the_page_fits_three_widths_and_breaks_no_policy(tmp_path: Path) -> None:
    """In Chromium: no sideways scrolling, every picture drawn, the style sheet used, nothing on the console."""
    pages.write(pair(tmp_path), page=tmp_path / "c.html", text=None)
    with browser(tmp_path) as window:
        for width, dark in ((1280, False), (768, True), (390, False)):
            window.size(width, 900, dark=dark)
            window.open((tmp_path / "c.html").as_uri())
            assert window.run("return document.documentElement.scrollWidth <= innerWidth")
            assert window.run("return [...document.images].every(one => one.complete && one.naturalWidth === 24)")
            ground = window.run("return getComputedStyle(document.body).backgroundColor")
            assert ground == ("rgb(22, 21, 19)" if dark else "rgb(251, 250, 247)")
        assert window.log() == []


@pytest.mark.parametrize(("text", "wanted"), [
    ("1. one", "1\\. one"), ("- a", "\\- a"), ("# a", "\\# a"), ("0.5", "0.5"), ("a|b", "a\\|b"), ("a\nb", "a b"),
    ("<b>&", "&lt;b&gt;&amp;"),
    ("https://x.y", "https\\://x.y"), ("www.x.y", "www\\.x.y"), ("a@b.c", "a\\@b.c"), ("[x](y)", "\\[x\\](y)"), ("", ""),
])  # fmt: skip
def test_markdown_shows_a_text_as_it_is(text: str, wanted: str) -> None:
    """Only what Markdown would take for more than text is escaped."""
    assert pages.md(text) == wanted
