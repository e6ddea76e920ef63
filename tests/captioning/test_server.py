"""The server of the review: who may ask, what is answered, what is refused."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from typing import Any

import pytest
from captioned import JUDGE, NURSE

from loraspec.captioning.server import Server
from loraspec.localpage import HEADERS


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    """Two captions."""
    return serve({"a.png": JUDGE, "b.png": NURSE})


def ask(server: Server, place: str, body: Any = None, *, token: str | None = None, **headers: str) -> tuple[int, Any, Any]:
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=10)
    path = f"/{server.token if token is None else token}/{place}"
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        given.setdefault("Content-Type", "application/json")
        connection.request("POST", path, data, given)
    else:
        connection.request("GET", path, headers=given)
    reply = connection.getresponse()
    data = reply.read()
    connection.close()
    kind = reply.headers.get_content_type()
    return reply.status, json.loads(data) if kind == "application/json" else data, reply.headers


def test_everything_that_the_page_needs_is_there(server: Server) -> None:
    """With headers that let nothing else in."""
    for place in ("", "review.css", "review.js", "state", "since/0", "row/0", "picture/0", "thumb/1"):
        status, data, headers = ask(server, place)
        assert status == 200
        assert data
        assert {name: headers[name] for name in HEADERS} == HEADERS
    assert ask(server, "state")[1]["rows"][0]["text"] == JUDGE


@pytest.mark.parametrize(
    ("place", "body", "headers", "status"),
    [
        ("state", None, {"Host": "evil.example"}, 421),
        ("save", {"n": 0}, {"Origin": "http://evil.example"}, 403),
        ("save", b"{", {}, 400),
        ("save", b"[]", {}, 400),
        ("save", {"n": 0, "seen": JUDGE, "text": "x", "state": "edited"}, {"Content_Type": "text/plain"}, 400),
        ("save", {"n": 9, "seen": JUDGE, "text": "x", "state": "edited"}, {}, 404),
        ("save", {"n": True, "seen": JUDGE, "text": "x", "state": "edited"}, {}, 404),
        ("save", {"n": -1, "seen": JUDGE, "text": "x", "state": "edited"}, {}, 404),
        ("save", {"n": 0, "seen": 7, "text": "x", "state": "edited"}, {}, 404),
        ("save", {"n": 0, "seen": JUDGE, "text": "", "state": "edited"}, {}, 422),
        ("save", {"n": 0, "seen": JUDGE, "text": "x", "state": "good"}, {}, 422),
        ("save", {"n": 0, "seen": "other", "text": "x", "state": "edited"}, {}, 409),
        ("replace", {"rows": "all", "find": "a", "by": "b"}, {}, 404),
        ("replace", {"rows": [0], "find": "", "by": "b"}, {}, 422),
        ("picture/9", None, {}, 404),
        ("picture/-1", None, {}, 404),
        ("picture/0/../1", None, {}, 404),
        ("../state", None, {}, 404),
        ("since/x", None, {}, 404),
        ("nothing", {}, {}, 404),
        ("save", b"x" * (256 * 1024 + 1), {}, 400),
    ],
)
def test_what_does_not_belong_is_refused(server: Server, place: str, body: Any, headers: dict[str, str], status: int) -> None:
    """And nothing is changed by it."""
    if isinstance(body, bytes) and len(body) > 9000:
        with pytest.raises((ConnectionError, AssertionError)):  # it hangs up instead of reading on
            assert ask(server, place, body, **headers)[0] != status
    else:
        assert ask(server, place, body, **headers)[0] == status
    assert [row["state"] for row in ask(server, "state")[1]["rows"]] == ["found", "found"]


def test_the_token_is_needed(server: Server) -> None:
    """Nobody finds the page by its port."""
    for token in ("", "x", server.token[:-1], server.token + "x"):
        assert ask(server, "state", token=token)[0] == 404
    assert len(server.token) >= 32


def test_changes_go_through(server: Server) -> None:
    """Save, replace, undo, lint, all together."""
    status, row, _ = ask(server, "save", {"n": 0, "seen": JUDGE, "text": JUDGE, "state": "approved"})
    assert (status, row["state"], row["n"]) == (200, "approved", 0)
    assert ask(server, "lint", {"n": 1, "text": "a man"})[1]["lint"]
    told = ask(server, "replace", {"rows": [0, 1], "find": "lithography", "by": "etching", "case": True, "apply": True})[1]
    assert (told["applied"], len(told["changes"])) == (True, 2)
    assert ask(server, "together", {})[1] == {"done": True}
    assert ask(server, "undo", {})[1] == {"n": 0}
    assert ask(server, "row/0")[1]["state"] == "approved"


def test_a_disk_that_refuses_is_told(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reason; the next change works."""
    import errno

    from loraspec.engine import disk

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    body = {"n": 0, "seen": JUDGE, "text": "new words", "state": "edited"}
    with monkeypatch.context() as patch:
        patch.setattr(disk, "append", full)
        status, told, _ = ask(server, "save", body)
        assert status == 500
        assert "No space left" in told["error"]
    assert ask(server, "save", body)[0] == 200


def test_the_page_can_end_it(serve: Callable[..., Server]) -> None:
    """By its button."""
    server = serve({"a.png": JUDGE})
    assert ask(server, "end", {})[1] == {"ended": True}
