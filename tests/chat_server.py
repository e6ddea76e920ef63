"""A server that speaks the chat protocol as OpenAI's do, and fails in the ways in which servers fail."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from running import running


class ChatServer(ThreadingHTTPServer):
    """``answer(number, body)`` is asked for every request: text to stream, or a function that answers by itself."""

    daemon_threads = True

    def __init__(self, answer: Callable[[int, dict[str, Any]], Any]) -> None:
        self.answer = answer
        self.bodies: list[dict[str, Any]] = []
        self.headers_seen: list[dict[str, str]] = []
        self.lock = threading.Lock()
        self.now = self.most = 0
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """What a spec writes as ``base_url``."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error."""


class _Handler(BaseHTTPRequestHandler):
    server: ChatServer

    def do_POST(self) -> None:
        """Answer as the test says."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            number = len(server.bodies)
            server.bodies.append({**body, "path": self.path})
            server.headers_seen.append(dict(self.headers))
            server.now += 1
            server.most = max(server.most, server.now)
        try:
            said = server.answer(number, body)
            said(self) if callable(said) else self.stream(said)
        finally:
            with server.lock:
                server.now -= 1

    def stream(self, text: str, *, pause: float = 0.0, ends: bool = True) -> None:
        """Send a text word by word."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for word in text.split(" "):
            row = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "stub", "system_fingerprint": "",
                   "choices": [{"index": 0, "delta": {"role": "assistant", "content": word + " "}, "finish_reason": None}]}  # fmt: skip
            self.wfile.write(f"data: {json.dumps(row)}\n\n".encode())
            self.wfile.flush()
            time.sleep(pause)
        if ends:
            self.wfile.write(b"data: [DONE]\n\n")

    def refuse(self, status: int, message: str = "", **headers: str) -> None:
        """Refuse as OpenAI's servers do."""
        data = json.dumps({"error": {"message": message, "type": "x"}}).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def raw(self, data: bytes, status: int = 200, kind: str = "text/event-stream") -> None:
        """Send anything."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def chat_server(answer: Callable[[int, dict[str, Any]], Any]) -> AbstractContextManager[ChatServer]:
    """Serve until the block ends."""
    return running(ChatServer(answer))
