"""The page in a real browser: keys, buttons, undo, results, widths, colours; nothing breaks its policy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from browser import CHROMIUM, DRIVER, MISSING, Browser, browser

from loraspec.blind.server import Server

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)
SHOWN, TOLD = "!document.getElementById('ask').hidden", "!document.getElementById('told').hidden"


def count(page: Browser, text: str) -> None:
    page.wait(f"document.getElementById('count').innerText === {text!r}")


def choices(server: Server) -> list[str]:
    return [answer.choice for answer in server.session.answers.given()]


def test_a_person_judges_by_keyboard_alone(serve: Callable[..., Server], tmp_path: Path) -> None:
    """Left, right, down, backspace, then the results, focus on them, more pairs, close: answers are on the disk at once."""
    server = serve(goal=4, epochs=(1, 2, 3, 4))
    with browser(tmp_path) as page:
        page.open(server.url)
        page.wait(SHOWN)
        count(page, "Pair 1 of 4")
        for number, key in enumerate(("left", "right", "down"), 2):
            page.press(key)
            count(page, f"Pair {number} of 4")
        assert choices(server) == ["left", "right", "tie"]
        page.press("back")
        count(page, "Pair 3 of 4")
        assert choices(server) == ["left", "right"]
        page.press("right")
        count(page, "Pair 4 of 4")
        page.press("left")
        page.wait(TOLD)
        assert choices(server) == ["left", "right", "right", "left"]
        assert page.run("return document.activeElement.id") == "verdict"
        assert "Of 4 pairs" in page.text("sentences")
        assert page.run("return document.querySelectorAll('#table tr').length") == 5
        page.press("left")  # the results are no question
        page.press("back")
        page.wait(SHOWN)
        count(page, "Pair 4 of 4")
        page.press("down")
        page.wait(TOLD)
        page.click("#more")
        page.wait(SHOWN)
        count(page, "Pair 5 of 8")
        page.click("#enough")
        page.wait(TOLD)
        page.click("#end")
        page.wait("document.getElementById('closed')")
        assert [line for line in page.log() if "favicon" not in line] == []


def test_answers_can_be_given_by_button_and_by_tab(serve: Callable[..., Server], tmp_path: Path) -> None:
    """What a screen reader or a finger presses; focus stays where it was."""
    server = serve(epochs=(1, 2, 3, 4))
    with browser(tmp_path) as page:
        page.open(server.url)
        page.wait(SHOWN)
        page.press("tab")
        assert page.run("return document.activeElement.id") == "left"
        page.press("enter")
        page.wait("document.getElementById('bar').value === 1")
        assert page.run("return document.activeElement.id") == "left"
        for name in ("right", "tie"):
            before = len(choices(server))
            page.click(f"#{name}")
            page.wait(f"document.getElementById('bar').value === {before + 1}")
        assert choices(server) == ["left", "right", "tie"]
        alts = page.run("return [...document.images].map(image => image.alt)")
        assert alts[0].startswith("left picture: a ")
        assert alts[1] == alts[0].replace("left", "right", 1)
        markup = page.run("return document.getElementById('ask').outerHTML").lower()
        assert "epoch" not in markup.replace("two epochs at full weight", "")  # nothing says which
        names = page.run("return [...document.querySelectorAll('button')].map(one => one.innerText.trim() || one.ariaLabel)")
        assert all(names[:5])
        assert page.run("return document.getElementById('count').getAttribute('aria-live')") == "polite"


def test_keys_with_modifiers_and_held_keys_do_not_answer(serve: Callable[..., Server], tmp_path: Path) -> None:
    """Alt and left goes back in a browser; a key that is held down repeats itself."""
    server = serve(epochs=(1, 2, 3, 4))
    with browser(tmp_path) as page:
        page.open(server.url)
        page.wait(SHOWN)
        for options in ("altKey: true", "ctrlKey: true", "metaKey: true", "shiftKey: true", "repeat: true"):
            page.run(f"document.dispatchEvent(new KeyboardEvent('keydown', {{key: 'ArrowLeft', {options}}}))")
        page.press("down")
        page.wait("document.getElementById('bar').value === 1")
        assert choices(server) == ["tie"]


def test_the_artists_own_pictures_are_shown_once(serve: Callable[..., Server], tmp_path: Path) -> None:
    """Above the pair, with words for those who do not see them; they stay while pairs change, and nothing tells an epoch."""
    server = serve(epochs=(1, 2, 3, 4), own=3)
    with browser(tmp_path) as page:
        page.open(server.url)
        page.wait(SHOWN)
        page.press("left")
        page.wait("document.getElementById('bar').value === 1")
        page.wait("[...document.querySelectorAll('#own-pictures img')].every(one => one.naturalWidth === 48)")
        alts = page.run("return [...document.querySelectorAll('#own-pictures img')].map(one => one.alt)")
        assert alts == [f"picture {number} of 3: the artist's own, never trained on" for number in (1, 2, 3)]
        assert page.text("own-words") == "the artist's own, never trained on"


@pytest.mark.parametrize("own", [0, 6])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_fits_a_phone_and_is_readable(serve: Callable[..., Server], tmp_path: Path, dark: bool, own: int) -> None:
    """No sideways scrolling at three widths, both pictures in sight, text at least 4.5 to 1 on its ground."""
    server = serve(size=64, own=own)
    contrast = """
      const light = (text) => {
        const parts = text.match(/[0-9.]+/g).map(one => one / 255);
        const [r, g, b] = parts.map(one => one <= .04045 ? one / 12.92 : ((one + .055) / 1.055) ** 2.4);
        return .2126 * r + .7152 * g + .0722 * b;
      };
      const ground = (node) => {
        const colour = getComputedStyle(node).backgroundColor;
        return colour.startsWith('rgba(0, 0, 0, 0') ? ground(node.parentElement) : colour;
      };
      return [...document.querySelectorAll('h1, p, figcaption, button:enabled, kbd')]
        .filter(one => one.checkVisibility() && one.innerText.trim())
        .map(one => [light(getComputedStyle(one).color), light(ground(one))].sort((a, b) => b - a))
        .map(([high, low]) => (high + .05) / (low + .05));
    """
    with browser(tmp_path) as page:
        for width, height in ((1280, 800), (768, 1024), (390, 844)):
            page.size(width, height, dark=dark)
            page.open(server.url)
            page.wait(SHOWN)
            assert page.run("return document.documentElement.scrollWidth <= innerWidth")
            box = "one.getBoundingClientRect()"
            images = "document.querySelectorAll('.pair img, #own img')"
            boxes = page.run(f"return [...{images}].map(one => [{box}.left, {box}.right, {box}.bottom])")
            assert len(boxes) == 2 + own
            assert boxes[own][1] < boxes[own + 1][0]
            assert all(box[0] >= 0 and box[1] <= width and box[2] <= height for box in boxes)
            assert min(page.run(contrast)) >= 4.5
            assert min(page.run("return [...document.querySelectorAll('#ask button')].map(one => one.offsetHeight)")) >= 44
        ground = page.run("return getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(22, 21, 19)") is dark
