"""The report: complete, offline, and safe whatever a run's folder holds."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from loraspec_guide.grid.report import report, size_words, time_words
from PIL import Image

HOSTILE = "</style></title></pre><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}\"'"


class Page(HTMLParser):
    """Tags, attributes and ids of a page; complains about tags that do not close."""

    VOID = ("meta", "img", "line", "circle", "polyline", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def values(self, attribute: str) -> list[str]:
        return [attrs[attribute] for _, attrs in self.tags if attribute in attrs]


def page_of(folder: Path) -> Page:
    return Page(report(folder).read_text(encoding="utf-8"))


def test_the_report_shows_the_whole_run(make_run: Callable[..., Path]) -> None:
    """Numbers, prompts, every cell once, curves, files, captions, rights, provenance, warnings, the resolved spec."""
    page = page_of(make_run(epochs=5))
    text = " ".join(" ".join(page.text).split())
    for part in (
        "daumier", "36", "10 repeats, 4 held out", "400 steps", "5 min", "1.9 GB", "Honoré Daumier; National Gallery of Art, Washington",
        "daumier-000005.safetensors", "1.8 MB", "caricature of a man, tall hat, lithography", "guide:dadapt-adamw (loraspec 0.1.0)",
        "2 captions are longer than 75 tokens", "460,800", "public-domain", 'name = "daumier"', "4f1c4f1c", "d × lr, logarithmic",
    ):  # fmt: skip
        assert part in text, part
    alts = page.values("alt")
    for prompt in range(2):
        assert sum(alt == "epoch 5, weight 0.8, seed 1" for alt in alts) == 2, prompt
    assert sum(alt == "without LoRA, seed 1" for alt in alts) == 2
    assert sum(tag == "svg" for tag, _ in page.tags) == 3


def test_cells_in_the_report_have_their_pixels(make_run: Callable[..., Path]) -> None:
    """Small cells are embedded without loss: epoch 3 at weight 0.6 of the second prompt."""
    folder = make_run(epochs=5)
    page = page_of(folder)
    index = json.loads((folder / "grid" / "index.json").read_text())
    place = {"epoch": 3, "weight": 0.6, "prompt": 1, "seed": 0}
    file = next(cell["file"] for cell in index["cells"] if {key: cell[key] for key in place} == place)
    start = next(i for i, (_, attrs) in enumerate(page.tags) if attrs.get("id") == "g2-1-3-1")
    uri = next(attrs["src"] for tag, attrs in page.tags[start:] if tag == "img")
    shown = Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/webp;base64,")))).convert("RGB")
    assert shown.tobytes() == Image.open(folder / "grid" / "cells" / file).convert("RGB").tobytes()


def test_the_report_is_one_offline_file_without_scripts(make_run: Callable[..., Path]) -> None:
    """No script, no event attribute, no inline style, nothing loaded; the policy allows exactly the page's own style sheet."""
    page = page_of(make_run())
    assert not [tag for tag, _ in page.tags if tag in ("script", "iframe", "object", "embed", "link", "form", "base", "input")]
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on") or name == "style"]
    assert all(uri.startswith("data:image/webp;base64,") for uri in page.values("src"))
    assert all(link.startswith(("#", "grid/sheets/")) for link in page.values("href"))
    policy = next(attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    source = (Path(str(report.__code__.co_filename)).parent / "report.css").read_text()
    digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
    assert policy == f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert "url(" not in source
    assert "@import" not in source


def test_links_lead_to_places_of_the_page(make_run: Callable[..., Path]) -> None:
    """Every inner link has its target, every id is there once, every sheet exists."""
    folder = make_run()
    page = page_of(folder)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    for link in page.values("href"):
        assert link.removeprefix("#") in ids if link.startswith("#") else (folder / link).is_file()


def test_hostile_text_stays_text(make_run: Callable[..., Path]) -> None:
    """Names, prompts, captions, credits, warnings, versions and the spec come from strangers: none becomes markup."""
    folder = make_run(prompts=(HOSTILE, "b"), captions=(HOSTILE,))
    for name in ("run.json", "lock.json", "manifest.jsonl", "events.jsonl", "epochs/index.json", "resolved.toml"):
        path, spoiled = folder / name, json.dumps(HOSTILE)[1:-1]
        text = path.read_text()
        for word in ("National Gallery of Art", "longer than", "2.13.0", "lithograph-", "daumier-0000"):
            text = text.replace(word, HOSTILE if name.endswith("toml") else spoiled)
        path.write_text(
            text.replace('"name": "daumier"', f'"name": {json.dumps(HOSTILE)}') + ("# " + HOSTILE if name.endswith("toml") else "")
        )
    raw = report(folder).read_text()
    page = Page(raw)
    assert not [tag for tag, _ in page.tags if tag == "script"]
    assert not [attrs for tag, attrs in page.tags if tag == "img" and "onerror" in attrs]
    assert raw.count("<style") == 1
    assert "49" not in "".join(page.text).split("{{")[0][-4:]
    assert "".join(page.text).count("{{ 7*7 }}") >= 6


def test_files_outside_the_folder_are_never_shown(make_run: Callable[..., Path], tmp_path: Path) -> None:
    """An index that names other files, or links that lead out, gets nothing embedded."""
    folder = make_run()
    secret = tmp_path / "secret.png"
    Image.new("RGB", (8, 8), (1, 2, 3)).save(secret)
    index = json.loads((folder / "grid" / "index.json").read_text())
    for number, cell in enumerate(index["cells"]):
        cell["file"] = ("../../../secret.png", str(secret), "0" * 64 + ".png", 5)[number % 4]
    (folder / "grid" / "cells" / ("0" * 64 + ".png")).symlink_to(secret)
    Image.new("RGB", (8, 8)).save(folder / "grid" / "cells" / "other.png")  # here, but no cell
    index["cells"][0]["file"] = "other.png"
    index["sheets"] = [{"prompt": 0, "seed": 0, "file": "javascript:alert(1)"}, {"prompt": 1, "seed": 0, "file": "index.json"}]
    (folder / "grid" / "index.json").write_text(json.dumps(index))
    page = page_of(folder)
    assert not page.values("src")
    assert not [link for link in page.values("href") if not link.startswith("#")]


NONSENSE = (
    "", "{", "[1, 2]", '{"epochs": 3, "cells": "x", "prompts": null}', '{"epoch', "\x00\xff",
    '{"epochs": [{"epoch": 1, "files": 5}, {"epoch": [2]}], "cells": [{"epoch": [], "file": {}}, 3], "prompts": [{}, []], "seeds": ["x"]}',
    '{"kind": "log", "step": [1], "loss": {}, "seconds": 5, "peak_memory": {"host": "much"}, "stages": [], "environment": {"packages": 3}}',
)  # fmt: skip


@pytest.mark.parametrize("content", NONSENSE)
def test_a_broken_folder_still_gives_a_page(make_run: Callable[..., Path], content: str) -> None:
    """Any file may be missing, cut or nonsense."""
    folder = make_run()
    for name in ("run.json", "lock.json", "manifest.jsonl", "events.jsonl", "epochs/index.json", "grid/index.json", "resolved.toml"):
        (folder / name).write_text(content)
    page = page_of(folder)
    assert "Provenance" in page.text


def test_an_empty_folder_gives_a_page(tmp_path: Path) -> None:
    """Nothing to show is no error; the folder's name is the title."""
    assert tmp_path.name in page_of(tmp_path).text


def test_steps_logged_twice_count_once(make_run: Callable[..., Path]) -> None:
    """A resumed run repeats some steps: the last line of a step is the true one, and a line cut by a kill is skipped."""
    folder = make_run()
    with (folder / "events.jsonl").open("a") as out:
        out.write('{"kind": "log", "step": 10, "loss": 9.0, "d_lr": 1e-4}\n{"kind": "log", "ste')
    from loraspec_guide.grid.folder import read_folder

    data = read_folder(folder)
    assert len(data.logs) == 40
    assert data.series("loss")[0] == (10.0, 9.0)


def test_a_large_grid_keeps_a_sensible_size(make_run: Callable[..., Path]) -> None:
    """Cells of 512 px are reduced before they are embedded."""
    folder = make_run(size=512, epochs=4, prompts=("a",))
    page = page_of(folder)
    sizes = [int(attrs["width"]) for tag, attrs in page.tags if tag == "img" and attrs["alt"].startswith("epoch 4, weight")]
    assert sizes == [512, 512, 512]
    assert (folder / "report.html").stat().st_size < 2_000_000


def test_a_grid_of_20_epochs_4_weights_and_4_prompts_stays_under_10_mb(make_run: Callable[..., Path]) -> None:
    """Noise is the worst that can be drawn; it is shown smaller, and is still there."""
    grain = np.random.Generator(np.random.Philox(key=[1, 2])).integers(0, 256, (256, 256, 3), dtype=np.uint8)

    def draw(epoch: int, weight: float, prompt: int, seed: int) -> Image.Image:
        return Image.fromarray(np.roll(grain, (17 * epoch, 29 * prompt + int(10 * weight)), (0, 1)))

    folder = make_run(size=256, epochs=20, weights=(0.4, 0.6, 0.8, 1.0), prompts=("a", "b", "c", "d"), draw=draw)
    page = page_of(folder)
    sizes = [int(attrs["width"]) for tag, attrs in page.tags if tag == "img" and "weight" in attrs["alt"]]
    assert len(sizes) >= 320
    assert min(sizes) >= 80
    assert (folder / "report.html").stat().st_size < 10_000_000


def test_the_report_needs_no_torch(make_run: Callable[..., Path]) -> None:
    """``loraspec report`` works where torch is not installed."""
    code = (
        "import sys; from pathlib import Path; from loraspec_guide.grid.report import report; report(Path(sys.argv[1]))\n"
        "found = {'torch', 'diffusers', 'transformers'} & set(sys.modules); sys.exit(str(found) if found else 0)"
    )
    plugins = str(Path(report.__code__.co_filename).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code, str(make_run())], env={"PYTHONPATH": plugins, "PATH": ""}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_words_are_those_of_a_person() -> None:
    """Bytes and seconds."""
    assert [size_words(n) for n in (0, 999, 1_843_220, 681_000_000, 13_600_000_000, None)] == [
        "0 bytes", "999 bytes", "1.8 MB", "681 MB", "13.6 GB", "",
    ]  # fmt: skip
    assert [time_words(s) for s in (3.2, 318.4, 7500)] == ["3 s", "5 min", "2 h 5 min"]


def test_pages_of_equal_folders_are_equal(make_run: Callable[..., Path]) -> None:
    """Nothing of the moment or the machine is in a report."""
    folder = make_run()
    first = report(folder).read_bytes()
    assert report(folder).read_bytes() == first
    assert not re.search(rb"/tmp/|/home/", first)
