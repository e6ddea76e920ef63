"""The page's server: this machine only, under an address that nobody can guess, for one browser's eyes.

Listens on 127.0.0.1. Every address begins with a random token; a request with another Host header (a name that a stranger's page
points at this machine) or, when it changes something, from another origin, is refused.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

from loraspec.blind.session import Session
from loraspec.errors import LoraspecError

PAGE = {
    "": ("index.html", "text/html; charset=utf-8"),
    "judge.css": ("judge.css", "text/css; charset=utf-8"),
    "judge.js": ("judge.js", "text/javascript; charset=utf-8"),
}
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
MOST = 4096  # bytes of a request's body
PATIENCE = 20.0  # s that a connection may stay silent; browsers open some in advance


class Server(ThreadingHTTPServer):
    """Serves one session.

    Args:
        session: What is judged.
        port: On 127.0.0.1; 0: any free one.

    Raises:
        OSError: The port is taken.
    """

    daemon_threads = True
    allow_reuse_address = False

    def __init__(self, session: Session, *, port: int = 0) -> None:
        self.session = session
        self.token = secrets.token_urlsafe(24)
        super().__init__(("127.0.0.1", port), _Handler)
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


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version, sys_version = "loraspec", ""
    timeout = PATIENCE

    def do_GET(self) -> None:
        """Answer with the page, its parts, the state, a picture or the results."""
        place = self._place()
        if place is None:
            return
        if place in PAGE:
            name, kind = PAGE[place]
            self._send(200, (files("loraspec.blind") / "page" / name).read_bytes(), kind)
        elif place == "state":
            self._told(self.server.session.state)
        elif place == "results":
            self._told(self._results)
        elif place.startswith("picture/") and place.count("/") == 2:
            data = self.server.session.picture(*place.split("/")[1:])
            self._refuse(404) if data is None else self._send(200, data, "image/png")
        else:
            self._refuse(404)

    def do_POST(self) -> None:
        """Take an answer, take it back, go on or end; answer with the new state."""
        place = self._place()
        if place is None:
            return
        if self.headers.get("Origin", f"http://{self.server.host}") != f"http://{self.server.host}":
            self._refuse(403)
            return
        body = self._body()
        session = self.server.session
        if body is None or self.headers.get_content_type() != "application/json":
            self._refuse(400)
        elif place == "answer":
            self._told(session.state, lambda: session.answer(str(body.get("pair")), str(body.get("choice"))))
        elif place == "undo":
            self._told(session.state, session.undo)
        elif place in ("more", "enough"):
            self._told(session.state, session.more if place == "more" else session.enough)
        elif place == "end":
            self._json(200, {"ended": True})
            self.server.end()
        else:
            self._refuse(404)

    # -- what comes in ---------------------------------------------------------------------------------------------------

    def _place(self) -> str | None:
        """Return what follows the token in the address; None when the request was refused."""
        if self.headers.get_all("Host") != [self.server.host]:
            self._refuse(421)
            return None
        start = f"/{self.server.token}/"
        given = self.path[: len(start)].encode("utf-8", "replace")
        if not secrets.compare_digest(given, start.encode()):
            self._refuse(404)
            return None
        return self.path[len(start) :]

    def _body(self) -> dict[str, Any] | None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or int(length) > MOST:
            return None
        try:
            value = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None

    # -- what goes out ---------------------------------------------------------------------------------------------------

    def _results(self) -> dict[str, Any]:
        found = self.server.session.results()
        return {"sentences": ["Nothing was answered."], "table": [], "answers": 0} if found is None else found.plain()

    def _told(self, say: Callable[[], dict[str, Any]], change: Callable[[], bool | None] | None = None) -> None:
        """Answer with JSON; 409 with the same when a change did not fit, 500 with the reason when the disk refused it."""
        try:
            fits = change() if change is not None else True
            self._json(409 if fits is False else 200, say())
        except LoraspecError as error:
            self._json(500, {"error": str(error)})

    def _json(self, status: int, value: dict[str, Any]) -> None:
        self._send(status, json.dumps(value).encode(), "application/json")

    def _refuse(self, status: int) -> None:
        self._send(status, b"", "text/plain; charset=utf-8")

    def _send(self, status: int, data: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Write no log: addresses hold the token."""
