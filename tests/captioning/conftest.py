"""A review and its server for tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from captioned import write_images, write_spec

from loraspec.captioning.server import Server
from loraspec.captioning.session import Review


@pytest.fixture
def review(tmp_path: Path, make_plan: Callable[..., Any], tiny_plugin: None) -> Callable[..., Review]:
    """Make a review of pictures with these captions, or of those that are there: ``review({"a.png": "a judge"})``."""

    def made(captions: Mapping[str, str | None] | None = None, *, spec: str = "") -> Review:
        if captions is not None:
            write_images(tmp_path, captions)
            write_spec(tmp_path, captions=spec)
        return Review(make_plan(tmp_path / "spec.toml"))

    return made


@pytest.fixture
def serve(review: Callable[..., Review]) -> Iterator[Callable[..., Server]]:
    """Serve such a review; it ends with the test."""
    started: list[tuple[Server, threading.Thread]] = []

    def start(captions: Mapping[str, str | None] | None = None, *, port: int = 0, spec: str = "") -> Server:
        server = Server(review(captions, spec=spec), port=port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        started.append((server, thread))
        return server

    yield start
    for server, thread in started:
        server.shutdown()
        server.server_close()
        thread.join(10)
        assert not thread.is_alive()
