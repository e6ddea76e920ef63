"""A page's server: this machine only, under an address that nobody can guess, for one person's browser.

Listens on 127.0.0.1. Every address begins with a random token; a request with another Host header (a name that a stranger's page
points at this machine) or, when it changes something, from another origin, is refused.
"""

from __future__ import annotations

import json
import secrets
import threading
from abc import abstractmethod
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any, ClassVar

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
PATIENCE = 20.0  # s that a connection may stay silent; browsers open some in advance


class PageServer(ThreadingHTTPServer):
    """Serves one session with the handler of a page.

    Args:
        handler: The page.
        port: On 127.0.0.1; 0: any free one.

    Raises:
        OSError: The port is taken.
    """

    daemon_threads = True
    allow_reuse_address = False

    def __init__(self, handler: type[PageHandler], *, port: int = 0) -> None:
        self.token = secrets.token_urlsafe(24)
        super().__init__(("127.0.0.1", port), handler)
        self.host = f"127.0.0.1:{self.server_address[1]}"

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{self.host}/{self.token}/"

    def end(self) -> None:
        """Stop serving, from whichever thread."""
        threading.Thread(target=self.shutdown, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a browser that hangs up is no error."""


class PageHandler(BaseHTTPRequestHandler):
    """Answers for one page; a subclass says what is at ``got`` and what ``posted`` does.

    Attributes:
        package: Where the page's files lie, in ``page/``.
        page: File and kind by address.
        most: Bytes of a request's body.
    """

    package: ClassVar[str]
    page: ClassVar[Mapping[str, tuple[str, str]]]
    most: ClassVar[int] = 4096
    server: Any
    server_version, sys_version = "loraspec", ""
    timeout = PATIENCE

    @abstractmethod
    def got(self, place: str) -> None:
        """Answer a GET of what is no file of the page."""

    @abstractmethod
    def posted(self, place: str, body: dict[str, Any]) -> None:
        """Answer a POST."""

    def do_GET(self) -> None:
        """Answer with a file of the page, or leave it to ``got``."""
        place = self._place()
        if place is None:
            return
        if place in self.page:
            name, kind = self.page[place]
            self.send(200, (files(self.package) / "page" / name).read_bytes(), f"{kind}; charset=utf-8")
        else:
            self.got(place)

    def do_POST(self) -> None:
        """Check where it comes from and what it holds, and leave it to ``posted``."""
        place = self._place()
        if place is None:
            return
        if self.headers.get("Origin", f"http://{self.server.host}") != f"http://{self.server.host}":
            self.refuse(403)
            return
        body = self._body()
        if body is None or self.headers.get_content_type() != "application/json":
            self.refuse(400)
        else:
            self.posted(place, body)

    def _place(self) -> str | None:
        """Return what follows the token in the address; None when the request was refused."""
        if self.headers.get_all("Host") != [self.server.host]:
            self.refuse(421)
            return None
        start = f"/{self.server.token}/"
        given = self.path[: len(start)].encode("utf-8", "replace")
        if not secrets.compare_digest(given, start.encode()):
            self.refuse(404)
            return None
        return self.path[len(start) :]

    def _body(self) -> dict[str, Any] | None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or int(length) > self.most:
            return None
        try:
            value = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None

    def json(self, status: int, value: Any) -> None:
        """Answer with JSON."""
        self.send(status, json.dumps(value).encode(), "application/json")

    def refuse(self, status: int) -> None:
        """Answer with nothing."""
        self.send(status, b"", "text/plain; charset=utf-8")

    def send(self, status: int, data: bytes, kind: str) -> None:
        """Answer."""
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Write no log: addresses hold the token."""
