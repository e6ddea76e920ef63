"""Fixtures for every test; the cache of latents is never the user's own."""

import json

import numpy as np
import pytest

from loraspec import known
from loraspec.randomness import generator
from loraspec.testing import TINY_SPEC
from loraspec.testing.tiny import GRID_ONLY


@pytest.fixture(autouse=True)
def _own_surroundings(tmp_path_factory, monkeypatch):
    """Give each test a cache of its own, no width that pytest's workers were told, and files that all changed just now."""
    monkeypatch.setenv("LORASPEC_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(known, "RACY", 10**18)  # whether they did would depend on how fast the machine is


@pytest.fixture
def paint(tmp_path):
    """Write a picture with its caption into ``pictures``: ``paint(number, seed=number, caption=None) -> path``."""

    def write(number, *, seed=None, caption=None, colour=None):
        from PIL import Image

        folder = tmp_path / "pictures"
        folder.mkdir(exist_ok=True)
        pixels = generator(0, "painted", number if seed is None else seed).integers(0, 256, (40, 36, 3), dtype=np.uint8)
        path = folder / f"{number}.png"
        Image.fromarray(pixels if colour is None else np.full_like(pixels, colour)).save(path)
        path.with_suffix(".txt").write_text(caption or f"picture {number}, noise, by Nobody", encoding="utf-8")
        return path

    return write


@pytest.fixture
def painted_spec(paint, spec_file, tiny_plugin):
    """Write four pictures and a spec of the tiny family that trains on them; return its path."""
    for number in range(4):
        paint(number)
    text = TINY_SPEC.replace('use = "tiny:tiny"\nrights', 'use = "folder"\npath = "pictures"\nrights')
    assert text != TINY_SPEC
    return spec_file(text.replace(GRID_ONLY, "").replace("[run]", "evaluators = []\n[run]"), "painted.toml")


@pytest.fixture
def cache_counts():
    """Return what a run read from the cache and made anew: ``counts(outcome) -> {"latents": (read, made), "embeddings": ...}``."""

    def counts(outcome):
        outcome.assert_success()
        found = {}
        for event in outcome.events:
            if event["kind"] == "cache":
                read, made = found.get(event["entries"], (0, 0))
                found[event["entries"]] = (read + event["read"], made + event["made"])
        return found

    return counts


@pytest.fixture
def told():
    """Return the warnings of a run: ``told(outcome) -> str``."""

    def warnings(outcome):
        lines = (outcome.folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
        events = [json.loads(line) for line in lines]
        return "\n".join(event["text"] for event in events if event["kind"] == "message" and event["severity"] == "warning")

    return warnings
