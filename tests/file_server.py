"""A server of files on this machine, and the ways in which such servers fail."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from running import running


class FileServer(ThreadingHTTPServer):
    """Serves ``files`` (path to bytes); ``faults[path]`` is a list of functions, one of which answers each request in its place."""

    daemon_threads = True

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[Callable[[Handler], None]]] = defaultdict(list)
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.ranges = True
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def times(self, path: str) -> int:
        """How often a path was asked for."""
        return sum(urlsplit(one).path == path for one, _ in self.asked)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error."""


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: FileServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer, or fail as a test says."""
        self.server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        path = urlsplit(self.path).path
        faults = self.server.faults[path]
        if faults:
            faults.pop(0)(self)
        elif path in self.server.files:
            self.send(self.server.files[path])
        else:
            self.refuse(404)

    def send(self, data: bytes, *, cut: int | None = None, tag: str = "") -> None:
        """Send a file, or only its first ``cut`` bytes and hang up; part of it when that is asked for."""
        tag = tag or f'"{hashlib.sha256(data).hexdigest()[:12]}"'
        begin = 0
        asked = self.headers.get("Range", "")
        if self.server.ranges and asked and self.headers.get("If-Range", tag) == tag:
            begin = int(asked.removeprefix("bytes=").rstrip("-"))
            if begin >= len(data):
                return self.refuse(416)
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(data) - begin))
        self.end_headers()
        self.wfile.write(data[begin : None if cut is None else begin + cut])
        if cut is not None:
            self.close_connection = True
        return None

    def refuse(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Answer with a status."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def serving() -> AbstractContextManager[FileServer]:
    """Run a server for a test."""
    return running(FileServer())


def status(code: int, **headers: str) -> Callable[[Handler], None]:
    """Return a fault: this status."""
    return lambda handler: handler.refuse(code, **headers)


def cut(data: bytes, count: int) -> Callable[[Handler], None]:
    """Return a fault: so many more bytes of a file, then nothing."""
    return lambda handler: handler.send(data, cut=count)


def hang_up(handler: Handler) -> None:
    """Fault: the connection is closed without a word."""
    handler.close_connection = True
    handler.connection.close()
