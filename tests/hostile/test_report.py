"""A report made of hostile text is a page without scripts that loads nothing: read by a parser, and shown in a browser."""

from __future__ import annotations

import html.parser
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from loraspec_guide.grid.report import report
from PIL import Image

from hostile.payloads import PAYLOADS
from loraspec.engine.cells import save_png

TAGS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "header",
    "main",
    "footer",
    "section",
    "nav",
    "p",
    "h1",
    "h2",
    "h3",
    "dl",
    "dt",
    "dd",
    "div",
    "span",
    "ul",
    "li",
    "a",
    "img",
    "figure",
    "figcaption",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "details",
    "summary",
    "code",
    "pre",
    "em",
    "strong",
    "svg",
    "g",
    "line",
    "text",
    "polyline",
    "path",
    "circle",
    "rect",
}
CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), "")

LOCAL = ("file:", "data:", "chrome:", "chrome-extension:", "devtools:", "about:", "blob:")
OWN = re.compile(r"https?://[\w.-]+\.(google|googleapis|gvt1|gstatic)\.com[/:]")  # the browser asks for the time and its updates


class Page(html.parser.HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.styles: list[str] = []
        self.other: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        (self.styles if self.cdata_elem else self.words).append(data)

    def handle_comment(self, data: str) -> None:
        self.other.append(data)

    handle_pi = unknown_decl = handle_comment


def hostile_run(folder: Path, text: str) -> Path:
    """Write a run's folder in which every text that a stranger can choose is ``text``."""
    save = {
        "run.json": {
            "name": text,
            "loraspec": text,
            "started": text,
            "state": "failed",
            "step": 4,
            "spec_hash": text,
            "seconds": {"train": 5},
        },
        "lock.json": {
            "loraspec": text,
            "spec": {"sha256": text},
            "data": {"sha256": text},
            "environment": {"python": text, "packages": {text: text}},
            "model": {"base": text, "family": text, "prediction": text},
            "adapter": {"kind": text, "rank": text},
            "stages": {text: [{"use": text, "distribution": text, "version": text}]},
            "run": {"base": {text: text}, "device": {text: text}},
        },
        "epochs/index.json": {
            "epochs": [
                {
                    "epoch": 1,
                    "step": 4,
                    "loss": 0.5,
                    "d_lr": 1e-4,
                    "weight_norm": 1.0,
                    "files": [{"path": text, "bytes": 10, "sha256": text}],
                }
            ]
        },
    }
    cells = [
        {"epoch": epoch, "weight": weight, "prompt": 0, "seed": 0, "file": f"{number}" * 64 + ".png"}
        for number, (epoch, weight) in enumerate([(0, 0.0), (1, 1.0)])
    ]
    cells.append({"epoch": 1, "weight": 1.0, "prompt": 1, "seed": 0, "file": text})
    save["grid/index.json"] = {
        "prompts": [text, text],
        "seeds": [1],
        "epochs": [1],
        "weights": [1.0],
        "cells": cells,
        "negative": text,
        "sampling": {text: text},
        "sheets": [{"prompt": 0, "seed": 0, "file": text}],
        "failed": [{"epoch": 1, "weight": 1.0, "prompt": 1, "seed": 0, "why": text}],
    }
    for name, value in save.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(value), encoding="utf-8")
    for cell in cells[:2]:
        save_png(folder / "grid" / "cells" / cell["file"], Image.new("RGB", (8, 8), (40, 90, 200)), {"prompt": text})
    rows = [
        {"key": text, "caption": text, "caption_state": "draft", "rights": text, "credits": text, "width": 8, "height": 8, "thumb": text}
    ]
    events = [
        {"kind": "message", "severity": "warning", "text": text},
        {"kind": "log", "step": 1, "loss": 0.5, "name": text},
        {"kind": "log", "step": 4, "loss": 0.4},
        {"kind": text, "step": text},
    ]
    for name, lines in (("manifest.jsonl", rows), ("events.jsonl", events)):
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    spec = f"[model]\nuse = {json.dumps(text)}\ncheckpoint = {json.dumps(text)}\n[run]\nname = {json.dumps(text)}\nseed = 1\n"
    (folder / "resolved.toml").write_text(spec + f"# {text}\n", encoding="utf-8", errors="replace")
    return folder


def check(page: Page) -> None:
    """Look for anything that runs, loads or leads away."""
    assert {tag for tag, _ in page.tags} <= TAGS, {tag for tag, _ in page.tags} - TAGS
    assert page.other == []
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            said = f"<{tag} {name}={value[:80]!r}>"
            assert not name.startswith("on"), said
            assert name not in ("style", "srcset", "srcdoc", "action", "formaction", "background", "poster", "data", "xlink:href"), said
            if name == "src":
                assert value.startswith("data:image/webp;base64,"), said
                assert value.removeprefix("data:image/webp;base64,").isascii(), said
            if name == "href":
                assert value.startswith(("#", "grid/sheets/")), said
                assert "evil" not in value, said
    assert len(page.styles) == 1
    for word in ("url(", "@import", "evil", "expression("):
        assert word not in page.styles[0], word
    policies = [attributes["content"] for tag, attributes in page.tags if attributes.get("http-equiv") == "Content-Security-Policy"]
    equivalents = [attributes["http-equiv"] for tag, attributes in page.tags if "http-equiv" in attributes]
    assert equivalents == ["Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in policies[0].split("; "))
    assert (rules["default-src"], rules["img-src"], rules["base-uri"], rules["form-action"]) == ("'none'", "data:", "'none'", "'none'")
    assert rules["style-src"].startswith("'sha256-")  # narrower than 'unsafe-inline': our own sheet and no other


@pytest.mark.parametrize("number", range(len(PAYLOADS)))
def test_payload_in_every_field_stays_text(number: int, tmp_path: Path) -> None:
    """Name, captions, prompts, credits, rights, file names, plugins, versions, warnings, model, spec: shown as they are, and inert."""
    text = PAYLOADS[number]
    page = Page(report(hostile_run(tmp_path, text)).read_text(encoding="utf-8"))

    check(page)
    shown = "".join(page.words)
    assert text in shown, "the page does not show the text that it was given"
    assert "49" not in shown.replace(text, "")


def test_there_are_sixty_payloads() -> None:
    """Each is another one, and the check sees each kind of harm when nothing escapes it."""
    assert len({*PAYLOADS}) == len(PAYLOADS) == 60
    raw = "<!doctype html><html><head></head><body>{}</body></html>"
    caught = 0
    for text in PAYLOADS:
        try:
            check(Page(raw.format(text)))
        except (AssertionError, IndexError, KeyError):
            caught += 1
    assert caught == 60


def requests_of(page: Path, folder: Path) -> tuple[list[str], str]:
    """Open a page in a headless browser; return the URLs of the network requests that it made, and its document at the end."""
    log = folder / "net.json"
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-default-apps",
        "--disable-extensions",
        "--no-first-run",
        "--no-default-browser-check",
        "--disable-domain-reliability",
        "--disable-features=OptimizationHints,MediaRouter,Translate,NetworkTimeServiceQuerying",
        f"--user-data-dir={folder / 'profile'}",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--log-net-log={log}",
        "--net-log-capture-mode=IncludeSensitive",
        "--virtual-time-budget=4000",
        "--dump-dom",
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    text = log.read_text(encoding="utf-8")
    logged: dict[str, Any] = json.loads(text if text.rstrip().endswith("}") else text.rstrip().rstrip(",") + "]}")
    wanted = {event["params"]["url"] for event in logged["events"] if isinstance(event.get("params"), dict) and "url" in event["params"]}
    return sorted(url for url in wanted if not url.startswith(LOCAL) and not OWN.match(url)), done.stdout


@pytest.mark.skipif(not CHROMIUM, reason="no chromium here: apt-get install chromium")
def test_browser_loads_nothing_and_runs_nothing(tmp_path: Path) -> None:
    """A page with all payloads at once makes no request in Chromium and its title stays; a page without our care makes some."""
    (tmp_path / "run").mkdir()
    page = report(hostile_run(tmp_path / "run", "\n".join(PAYLOADS)))
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    quiet, document = requests_of(page, tmp_path / "one")
    assert quiet == []
    assert "loraspec report" in document
    raw = tmp_path / "raw.html"
    raw.write_text("<!doctype html><title>x</title><script>document.title='ran'</script><img src=http://evil.example/x>", encoding="utf-8")
    loud, document = requests_of(raw, tmp_path / "two")
    assert any("evil.example" in url for url in loud), "the log of requests sees none even where there is one"
    assert "ran" in document
