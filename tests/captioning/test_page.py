"""The review in a real browser, by keyboard alone; what it says is saved is on the disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, DRIVER, MISSING, Browser, browser
from captioned import JUDGE, NURSE, TAG, items, write_images, write_spec
from hostile.payloads import PAYLOADS

from loraspec.captioning.server import Server
from loraspec.ledger import Ledger

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)
FIFTY = {f"{number:03}.png": f"a judge number {number}, black robe, wooden courtroom, lithography, {TAG}" for number in range(50)}


def opened(page: Browser, server: Server) -> None:
    page.open(server.url)
    page.wait("document.querySelector('.item')")


def state(server: Server) -> list[str]:
    return [row.item.state for row in server.review.rows]


def test_fifty_images_by_keyboard(serve: Callable[..., Server], tmp_path: Path) -> None:
    """Approve them one after the other; edit one on the way, and take a decision back."""
    server = serve(FIFTY)
    with browser(tmp_path) as page:
        opened(page, server)
        assert page.text("counts") == "0 of 50 approved"
        for number in range(50):
            page.wait(f"document.getElementById('key').textContent === '{number:03}.png'")
            if number == 7:
                page.press("e")
                page.run("document.getElementById('text').setSelectionRange(0, 0)")
                page.write("caricature of ")
                page.press("enter", "control")
            else:
                page.press("a" if number % 2 else "enter")
            page.wait(f"document.getElementById('counts').textContent.startsWith('{number + 1} of')")
        assert state(server) == ["approved"] * 50
        assert (tmp_path / "images/007.txt").read_text(encoding="utf-8") == f"caricature of {FIFTY['007.png']}\n"
        assert len(Ledger(tmp_path / "images/captions.jsonl").entries()) == 50
        page.press("u")
        page.wait("document.getElementById('counts').textContent.startsWith('49 of')")
        page.wait("document.getElementById('badge').textContent === 'not looked at'")
        assert state(server)[49] == "found"
        page.press("r")
        page.wait("document.getElementById('badge').textContent === 'rejected'")
        assert [line for line in page.log() if "favicon" not in line] == []


def test_descriptors_are_moved_and_taken_out(serve: Callable[..., Server], tmp_path: Path) -> None:
    """By arrows with Alt and by Delete; each step is saved."""
    server = serve({"a.png": "one, two, three", "b.png": NURSE})
    path = tmp_path / "images/a.txt"

    def holds(text: str) -> None:
        page.wait(f"[...document.querySelectorAll('.chip')].map(one => one.textContent).join() === {text.replace(', ', ',')!r}")
        assert path.read_text() == f"{text}\n"

    with browser(tmp_path) as page:
        opened(page, server)
        page.press("d")
        page.press("right", "alt")
        holds("two, one, three")
        page.press("right", "alt")
        holds("two, three, one")
        page.press("left")
        page.press("delete")
        holds("two, one")
        page.press("escape")
        page.press("u")
        holds("two, three, one")
        assert state(server) == ["edited", "found"]


def test_editing_shows_remarks_and_can_be_left(serve: Callable[..., Server], tmp_path: Path) -> None:
    """Tokens and lint follow the typing; Escape leaves the caption as it was, Enter saves, nonsense is refused."""
    server = serve({"a.png": "a man", "b.png": NURSE})
    with browser(tmp_path) as page:
        opened(page, server)
        page.wait("document.getElementById('lint').textContent.includes('C102')")
        before = page.text("tokens")
        page.press("e")
        page.write(", a tall judge")
        page.wait(f"document.getElementById('tokens').textContent !== {before!r}")
        page.press("escape")
        assert page.text("tokens") == before
        assert not (tmp_path / "images/captions.jsonl").exists()
        page.press("e")
        page.run("document.getElementById('text').value = '...'")
        page.press("enter")
        page.wait("!document.getElementById('error').hidden")
        assert page.text("error") == "the caption holds no words"
        page.run("document.getElementById('text').value = 'a tall judge in his chair'")
        page.press("enter")
        page.wait("document.getElementById('badge').textContent === 'edited'")
        assert (tmp_path / "images/a.txt").read_text() == "a tall judge in his chair\n"


def test_filters_and_replacing(serve: Callable[..., Server], tmp_path: Path) -> None:
    """Show what has a remark or holds words; replace in what is shown, after a look."""
    server = serve({"a.png": JUDGE, "b.png": NURSE, "c.png": "a man"})
    with browser(tmp_path) as page:
        opened(page, server)
        page.wait("[...document.getElementById('code').options].some(one => one.value === 'C101')")
        page.run("const code = document.getElementById('code'); code.value = 'C101'; code.dispatchEvent(new Event('change'))")
        assert page.text("key") == "c.png"
        page.run("const code = document.getElementById('code'); code.value = ''; code.dispatchEvent(new Event('change'))")
        page.press("/")
        page.write("lithography")
        page.wait("document.querySelectorAll('.item').length === 2")
        page.press("escape")
        page.press("h")
        page.write("lithography")
        page.press("tab")
        page.write("etching")
        page.wait("document.getElementById('found').textContent === '2 of 2 captions would change'")
        assert state(server) == ["found"] * 3
        page.wait("document.querySelectorAll('#changes ins').length === 2")
        page.click("#apply")
        page.wait("!document.querySelector('dialog[open]')")
        assert state(server) == ["edited", "edited", "found"]
        page.wait("document.getElementById('badge').textContent === 'edited'")  # else the badge of before answers for the undo
        page.press("u")
        page.wait("document.getElementById('badge').textContent === 'not looked at'")
        assert (tmp_path / "images/b.txt").read_text(encoding="utf-8") == f"{NURSE}\n"


def test_a_second_page_sees_what_the_first_did(serve: Callable[..., Server], tmp_path: Path) -> None:
    """And cannot overwrite what it has not seen."""
    server = serve({"a.png": JUDGE, "b.png": NURSE})
    with browser(tmp_path / "one") as one, browser(tmp_path / "two") as two:
        opened(one, server)
        opened(two, server)
        two.press("e")
        one.press("e")
        one.run("document.getElementById('text').value = 'first words'")
        one.press("enter")
        one.wait("document.getElementById('badge').textContent === 'edited'")
        two.run("document.getElementById('text').value = 'second words'")
        two.run("rows[0].text = " + json.dumps(JUDGE))  # as if it had not heard of it yet
        two.press("enter")
        two.wait("!document.getElementById('error').hidden")
        assert "changed elsewhere meanwhile" in two.text("error")
        two.wait("document.getElementById('chips').textContent === 'first words'")
        assert (tmp_path / "images/a.txt").read_text() == "first words\n"
        two.press("a")
        one.wait("document.getElementById('counts').textContent.startsWith('1 of')")


def test_a_killed_server_loses_nothing(tmp_path: Path, tiny_plugin: None, make_plan: Callable[..., Any]) -> None:
    """SIGKILL between two decisions: the page says so, and a new one goes on where it was."""
    write_images(tmp_path, {"a.png": JUDGE, "b.png": NURSE})
    path = write_spec(tmp_path)
    words = [sys.executable, "-m", "loraspec", "captions", "review", str(path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}

    def start() -> tuple[subprocess.Popen[str], str]:
        attend = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell's background job ignores it, and so would its children
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment, preexec_fn=attend)
        assert process.stdout is not None
        return process, next(line.strip() for line in process.stdout if "http://" in line)

    with browser(tmp_path) as page:
        process, url = start()
        page.open(url)
        page.wait("document.querySelector('.item')")
        page.press("a")
        page.wait("document.getElementById('counts').textContent.startsWith('1 of')")
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        page.press("a")
        page.wait("!document.getElementById('error').hidden")
        assert "start it again to go on" in page.text("error")
        assert items(make_plan(path))["a.png"].state == "approved"
        process, url = start()
        page.open(url)
        page.wait("document.querySelector('.item')")
        assert page.text("counts") == "1 of 2 approved"
        assert page.text("key") == "b.png"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def test_hostile_captions_are_inert(serve: Callable[..., Server], tmp_path: Path) -> None:
    """Every payload as a caption and as a tag: it is text; nothing runs, nothing is asked for, nothing is broken."""
    captions = {f"{number:03}.png": " ".join(text.split())[:1500] or "x" for number, text in enumerate(PAYLOADS)}
    captions = {key: "".join(sign for sign in text if sign.isprintable()) or "x" for key, text in captions.items()}
    server = serve(captions)
    with browser(tmp_path) as page:
        opened(page, server)
        for number in range(len(captions)):
            page.wait(f"document.getElementById('key').textContent === '{number:03}.png'")
            page.press("right")
        page.press("e")
        page.press("escape")
        page.press("h")
        page.write("a")
        page.wait("document.getElementById('found').textContent.includes('would change')")
        page.press("escape")
        assert page.run("return document.querySelectorAll('script').length") == 1
        assert page.run("return document.querySelectorAll('#chips img, #list svg, iframe, #changes img, #lint a').length") == 0
        assert page.run("return typeof window.pwned") == "undefined"
        resources = page.run("return performance.getEntriesByType('resource').map(one => one.name)")
        assert resources
        assert [name for name in resources if not name.startswith(server.url) and not name.endswith("/favicon.ico")] == []
        assert [line for line in page.log() if "favicon" not in line] == []


@pytest.mark.parametrize(("width", "height", "dark"), [(1280, 800, False), (768, 1024, True), (390, 844, False)])
def test_it_fits_its_window(serve: Callable[..., Server], tmp_path: Path, width: int, height: int, dark: bool) -> None:
    """Nothing is wider than the window, and every control has a name."""
    server = serve({"a.png": ", ".join(["a long descriptor of many words"] * 20), "b.png": "x" * 300})
    with browser(tmp_path) as page:
        page.size(width, height, dark=dark)
        opened(page, server)
        for _ in range(2):
            assert page.run("return document.documentElement.scrollWidth <= innerWidth")
            page.press("right")
        named = "one.textContent.trim() || one.getAttribute('aria-label') || one.labels && one.labels.length"
        controls = "[...document.querySelectorAll('button, input, select, textarea')]"
        assert page.run(f"return {controls}.filter(one => !({named})).length") == 0


@pytest.mark.slow
def test_five_thousand_images(serve: Callable[..., Server], tmp_path: Path) -> None:
    """The page is there at once, draws only what is seen, and a decision takes no longer than with few."""
    server = serve({f"{number:05}.png": f"a judge number {number}, black robe, courtroom, {TAG}" for number in range(5000)})
    with browser(tmp_path) as page:
        began = time.monotonic()
        opened(page, server)
        assert time.monotonic() - began < 5
        assert page.run("return document.querySelectorAll('.item').length") < 60
        began = time.monotonic()
        for number in range(20):
            page.wait(f"document.getElementById('key').textContent === '{number:05}.png'")
            page.press("a")
            page.wait(f"document.getElementById('counts').textContent.startsWith('{number + 1} of')")
        assert time.monotonic() - began < 20
        page.wait("document.getElementById('code').options.length > 1", 120)
        page.run("document.getElementById('list').scrollTop = 1e9")
        page.wait("[...document.querySelectorAll('.item')].some(one => one.dataset.n === '4999')")
