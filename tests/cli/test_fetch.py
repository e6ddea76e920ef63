"""``loraspec fetch`` from a spec to a plan: what it lists, brings, and tells; and nothing else asks a server."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from file_server import FileServer, serving, status
from guide.data.fetching import encoded
from guide.data.test_nga import tables
from safetensors import safe_open

from loraspec.testing import TINY_SPEC

SOURCE = """\
use = "nga"
path = "works"
artist = "daumier"
classification = "print"
caption = "{title}, {medium}, {artist}"
tables = "URL/data\""""


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as server:
        server.files |= {f"/data/{name}": data for name, data in tables(server.url).items()}
        for number, size in (("101", 2048), ("102", 800)):
            server.files[f"/iiif/uuid-{number}/full/!{size},{size}/0/default.jpg"] = encoded(int(number))
        yield server


@pytest.fixture
def spec(tmp_path: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch, tiny_plugin: None) -> Path:
    """Two lithographs of the gallery; the working folder is the spec's."""
    text = TINY_SPEC.replace('use = "tiny:tiny"\nrights = "own"', SOURCE.replace("URL", server.url))
    text = text.replace("[grid]", "[grid]\nheldout = 0").replace("max = 64 }", "max = 64, upscale = true }")
    assert "nga" in text
    path = tmp_path / "spec.toml"
    path.write_text(text)
    monkeypatch.chdir(tmp_path)
    return path


def test_from_a_spec_to_a_locked_run(spec: Path, server: FileServer, loraspec_cli: Callable[..., Any], tmp_path: Path) -> None:
    """A plan says what is missing, fetch brings it, and its digests, rights and credits reach lock, manifest and weights."""
    loraspec_cli("plan", "spec.toml").assert_failed(3, "nothing was fetched yet")
    assert server.asked == []
    dry = loraspec_cli("fetch", "spec.toml", "--dry-run", "--pause", "0")
    dry.assert_success()
    assert "Rue Transnonain" in dry.out
    assert not list(tmp_path.glob("works/*.jpg"))
    loraspec_cli("plan", "spec.toml").assert_failed(3, "2 images, Honoré Daumier: Rue Transnonain")
    done = loraspec_cli("fetch", "spec.toml", "--pause", "0")
    done.assert_success()
    assert "data.sources[0]: 2 fetched" in done.out
    asked = len(server.asked)
    loraspec_cli("run", "spec.toml", "-o", "out").assert_success()
    loraspec_cli("lock", "spec.toml").assert_success()
    assert len(server.asked) == asked
    locked = json.loads((tmp_path / "spec.lock").read_text())["data"]["images"]
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "works").glob("*.jpg")}
    assert {key: row["sha256"] for key, row in locked.items()} == digests
    assert {row["rights"] for row in locked.values()} == {"public-domain"}
    credited = "Honoré Daumier; National Gallery of Art, Washington"
    assert json.loads((tmp_path / "spec.lock").read_text())["data"]["credits"] == [credited]
    assert credited in (tmp_path / "out" / "report.html").read_text()
    weights = sorted((tmp_path / "out" / "epochs").rglob("*.safetensors"))
    assert len(weights) == 2
    for path in weights:
        with safe_open(path, "pt") as file:
            assert credited in json.dumps(file.metadata(), ensure_ascii=False), path
    again = loraspec_cli("fetch", "spec.toml", "--pause", "0")
    assert "0 fetched (0.0 MiB), 2 there already, 0 failed" in again.out


def test_what_fails_is_told_and_the_exit_code_says_so(spec: Path, server: FileServer, loraspec_cli: Callable[..., Any]) -> None:
    """By its place in the spec; a run is refused until it is there or left out."""
    server.faults["/iiif/uuid-101/full/!2048,2048/0/default.jpg"] = [status(404)]
    outcome = loraspec_cli("fetch", "spec.toml", "--pause", "0")
    outcome.assert_failed(1, "HTTP 404")
    assert "nga-101" in outcome.err
    assert "1 fetched" in outcome.out
    assert "1 failed" in outcome.out
    loraspec_cli("plan", "spec.toml").assert_failed(2, "1 image is not fetched yet: nga-101")
    spec.write_text(spec.read_text().replace('path = "works"', 'path = "works"\nexclude = ["nga-101"]'))
    loraspec_cli("plan", "spec.toml").assert_success()


def test_specs_without_such_sources_are_told(painted_spec: Path, loraspec_cli: Callable[..., Any]) -> None:
    """All is on this machine."""
    outcome = loraspec_cli("fetch", painted_spec)
    outcome.assert_success()
    assert "no data source of this spec is fetched" in outcome.out
