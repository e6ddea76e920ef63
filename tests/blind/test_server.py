"""The server: this machine, this address, this page; everything else is refused and changes nothing."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from typing import Any

import pytest

from loraspec.blind.server import Server
from loraspec.localpage import HEADERS, POLICY

Serve = Callable[..., Server]


class Reply:
    """A status, headers and a body."""

    def __init__(self, found: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.data = found.status, found.headers, found.read()

    @property
    def value(self) -> Any:
        return json.loads(self.data)


def ask(server: Server, place: str, *, method: str = "GET", body: bytes | None = None, whole: bool = False, **headers: str) -> Reply:
    """Send a request; ``headers`` replace those of a browser, "" leaves one out."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    try:
        connection.putrequest(method, place if whole else f"/{server.token}/{place}", skip_host=True, skip_accept_encoding=True)
        sent = {"Host": server.host, **({"Content-Type": "application/json", "Content-Length": str(len(body or b""))} if body else {})}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in sent.items():
            if value:
                connection.putheader(name, value)
        connection.endheaders(body)
        return Reply(connection.getresponse())
    finally:
        connection.close()


def post(server: Server, place: str, value: Any, **headers: str) -> Reply:
    return ask(server, place, method="POST", body=json.dumps(value).encode(), **headers)


def test_the_page_and_its_parts_are_served(serve: Serve) -> None:
    """Each with its type and every header of the policy; the page has no script or style of its own."""
    server = serve()
    assert server.server_address[0] == "127.0.0.1"
    for place, kind in (("", "text/html"), ("judge.js", "text/javascript"), ("judge.css", "text/css"), ("state", "application/json")):
        reply = ask(server, place)
        assert (reply.status, reply.headers.get_content_type()) == (200, kind)
        assert {name: reply.headers[name] for name in HEADERS} == HEADERS
    page = ask(server, "").data.decode()
    assert page.count("<script") == 1
    assert "<style" not in page
    assert " style=" not in page
    script = ask(server, "judge.js").data.decode()
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http:", "https:"):
        assert word not in script
    assert "default-src 'none'" in POLICY
    assert "unsafe" not in POLICY


def test_the_artists_own_pictures_are_served(serve: Serve) -> None:
    """By their number, as PNG."""
    server = serve(own=2)
    reply = ask(server, "own/1")
    assert (reply.status, reply.headers.get_content_type(), reply.data[:4]) == (200, "image/png", b"\x89PNG")
    assert [ask(server, place).status for place in ("own/2", "own/", "own/0/1", "own/../state")] == [404] * 4


def test_answers_go_round(serve: Serve) -> None:
    """State, picture, answer, undo, results, more: as the page does it."""
    server = serve(goal=2)
    state = ask(server, "state").value
    picture = ask(server, f"picture/{state['pair']}/left")
    assert (picture.status, picture.headers["Content-Type"], picture.data[:4]) == (200, "image/png", b"\x89PNG")
    after = post(server, "answer", {"pair": state["pair"], "choice": "left"})
    assert (after.status, after.value["done"]) == (200, 1)
    assert post(server, "undo", {}).value["done"] == 0
    for _ in range(2):
        post(server, "answer", {"pair": ask(server, "state").value["pair"], "choice": "tie"})
    assert ask(server, "state").value["pair"] is None
    assert ask(server, "results").value["answers"] == 2
    assert post(server, "more", {}).value["pair"]
    assert post(server, "enough", {}).value["pair"] is None


@pytest.mark.parametrize("host", [
    "", "localhost", "localhost:{port}", "evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "127.0.0.2:{port}",
    "[::1]:{port}", "127.0.0.1:{port}.evil.example",
])  # fmt: skip
def test_other_hosts_are_refused(serve: Serve, host: str) -> None:
    """A name that a stranger's page made point here gets nothing, though it knew the token."""
    server = serve()
    reply = ask(server, "state", Host=host.format(port=server.server_address[1]))
    assert (reply.status, reply.data) == (421, b"")
    assert post(server, "answer", {"pair": "x", "choice": "left"}, Host=host.format(port=server.server_address[1])).status == 421


def test_without_the_token_there_is_nothing(serve: Serve) -> None:
    """Not the page, not a favicon, not a place beside it."""
    server = serve()
    for place in ("/", "/state", "/favicon.ico", f"/{server.token}", f"/{server.token[:-1]}/", f"/{'x' * len(server.token)}/"):
        assert ask(server, place, whole=True).status == 404
    for place in ("judge.html", "../server.py", "page/index.html", "picture", "picture/a/left", "picture/../../run.json", "answer"):
        assert ask(server, place).status == 404
    assert len(server.token) >= 32


@pytest.mark.parametrize(("headers", "status"), [
    ({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403), ({"Content_Type": "text/plain"}, 400),
    ({"Content_Type": "application/x-www-form-urlencoded"}, 400), ({"Content_Length": ""}, 400), ({"Content_Length": "-1"}, 400),
    ({"Content_Length": "4097"}, 400),
])  # fmt: skip
def test_what_a_strangers_page_can_send_is_refused(serve: Serve, headers: dict[str, str], status: int) -> None:
    """Another origin, a form, a body without length or without end: nothing is kept."""
    server = serve()
    pair = ask(server, "state").value["pair"]
    assert post(server, "answer", {"pair": pair, "choice": "left"}, **headers).status == status
    assert ask(server, "state").value["done"] == 0
    assert not server.session.answers.path.exists()
    assert post(server, "answer", {"pair": pair, "choice": "left"}, Origin=f"http://{server.host}").status == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"[" * 4000, b"\xff"])
def test_bodies_that_are_none_are_refused(serve: Serve, body: bytes) -> None:
    """Never a crash."""
    server = serve()
    reply = ask(server, "answer", method="POST", body=body, Content_Type="application/json", Content_Length=str(len(body)))
    assert reply.status == 400
    assert ask(server, "state").status == 200


def test_an_answer_that_does_not_fit_is_told(serve: Serve) -> None:
    """409 with the state as it is; other methods are none."""
    server = serve()
    reply = post(server, "answer", {"pair": "0" * 16, "choice": "left"})
    assert (reply.status, reply.value["done"]) == (409, 0)
    assert post(server, "nothing", {}).status == 404
    assert ask(server, "state", method="DELETE").status == 501


def test_what_the_disk_refuses_is_told(serve: Serve) -> None:
    """The page gets the words, not a picture of progress that is none."""
    server = serve()
    pair = ask(server, "state").value["pair"]
    server.session.answers.path.symlink_to("/dev/null")
    reply = post(server, "answer", {"pair": pair, "choice": "left"})
    assert reply.status == 500
    assert "is a link" in reply.value["error"]


def test_the_last_button_ends_the_server(serve: Serve) -> None:
    """The reply comes, then nobody listens."""
    server = serve()
    assert post(server, "end", {}).value == {"ended": True}
