"""A server for the tests of the page."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from finished_run import finished_run

from loraspec.blind.pool import pool_of
from loraspec.blind.server import Server
from loraspec.blind.session import Session
from loraspec.finished import read


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Serve a made-up run: ``serve(goal=0, epochs=(), **run)``; it ends with the test."""
    started: list[tuple[Server, threading.Thread]] = []

    def start(*, goal: int = 0, epochs: tuple[int, ...] = (), **run: Any) -> Server:
        found = read(finished_run(tmp_path / "run", **run))
        server = Server(Session(found, pool_of(found, epochs), goal=goal))
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
