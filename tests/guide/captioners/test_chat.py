"""``openai-chat`` against a server of the tests: what is asked, what is made of answers, and every way to fail."""

from __future__ import annotations

import base64
import io
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from chat_server import ChatServer, chat_server
from loraspec_guide.captioners import chat
from loraspec_guide.captioners.chat import OpenAIChat, plain_answer
from loraspec_guide.captioners.registry import OpenAIChatOptions
from PIL import Image

from loraspec.drafts import CaptionDraft, drafted
from loraspec.errors import EnvironmentMissing
from loraspec.randomness import rng_of
from loraspec.testing import CaptionerSuite
from loraspec.values import Context

GOOD = "caricature of a judge, red robe, lithograph, by Nobody"

CONTEXT = Context(Path(), rng_of(0), lambda hook: [])


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(chat, "LONGEST_WAIT", 0.3)


class TestOpenAIChat(CaptionerSuite):
    use = "openai-chat"
    options: ClassVar = {"model": "stub"}

    @pytest.fixture(autouse=True)
    def _serve(self) -> Iterator[None]:
        with chat_server(lambda number, body: GOOD) as server:
            self.url = server.url
            yield

    def prepare(self, folder: Path) -> dict[str, Any]:
        return {"model": "stub", "base_url": self.url}


def ask(server: ChatServer, folder: Path, count: int = 3, **options: Any) -> list[CaptionDraft]:
    """Return the drafts, sorted."""
    requests = CaptionerSuite().requests(folder, count)
    captioner = OpenAIChat(OpenAIChatOptions(model="stub", base_url=server.url, **options))
    return sorted(drafted(captioner, requests, name="openai-chat", context=CONTEXT), key=lambda draft: draft.key)


def test_what_a_server_is_asked(tmp_path: Path) -> None:
    """Instructions with style tag, the picture within max_side as a JPEG, nothing random; no token of the person's own."""
    with chat_server(lambda number, body: GOOD) as server:
        [draft] = ask(server, tmp_path, 1, max_side=64, max_tokens=99, seed=7)
    [body] = server.bodies
    assert body["path"] == "/v1/chat/completions"
    assert (body["model"], body["max_tokens"], body["temperature"], body["seed"], body["stream"]) == ("stub", 99, 0.0, 7, True)
    system, user = body["messages"]
    assert "comma-separated descriptors" in system["content"]
    assert "The style tag is: by Nobody" in system["content"]
    kind, _, encoded = user["content"][0]["image_url"]["url"].partition(",")
    assert kind == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
        assert max(image.size) <= 64
    assert server.headers_seen[0]["authorization"] == "Bearer none"
    assert draft == CaptionDraft("00.png", GOOD, model="stub", seconds=draft.seconds)
    assert draft.seconds > 0


def test_the_key_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name of a variable; an absent one is told before anything is sent."""
    with chat_server(lambda number, body: GOOD) as server:
        with pytest.raises(EnvironmentMissing, match="VISION_KEY is not set"):
            ask(server, tmp_path, 1, key_variable="VISION_KEY")
        assert not server.bodies
        monkeypatch.setenv("VISION_KEY", "s3cret")
        ask(server, tmp_path, 1, key_variable="VISION_KEY")
        assert server.headers_seen[0]["authorization"] == "Bearer s3cret"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (GOOD, GOOD),
        (f'"{GOOD}"', GOOD),
        (f"Caption: {GOOD}", GOOD),
        (f"```\n{GOOD}\n```", GOOD),
        (f'Sure!\n```json\n{{"caption": "{GOOD}"}}\n```', GOOD),
        (json.dumps({"caption": GOOD}), GOOD),
        (json.dumps({"descriptors": GOOD.split(", ")}), GOOD),
        (json.dumps(GOOD.split(", ")), GOOD),
        (f"<think>I see a man, maybe a judge.</think>\n{GOOD}", GOOD),
        ("a judge,\n red robe", "a judge, red robe"),
        ("{not json", "{not json"),
        ("a judge\x1b[2J\u202e, red", "a judge[2J, red"),
        ("e\u0301tching", "étching"),
    ],
)
def test_answers_become_captions(answer: str, text: str, tmp_path: Path) -> None:
    """Whatever a model wraps its words in."""
    with chat_server(lambda number, body: answer) as server:
        [draft] = ask(server, tmp_path, 1)
    assert (draft.text, draft.problem) == (text, "")


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("", "no words"),
        ("...", "no words"),
        ("<think>for ever and ever", "no words"),
        ("word " * 500, "a caption has up to 2000"),
        ("word " * 9000, "longer than 40000"),
        (lambda reply: reply.refuse(401, "bad key"), "the server answered 401: bad key"),
        (lambda reply: reply.refuse(404, "no model \x1b[31mstub"), r"the server answered 404: no model \u001b[31mstub"),
        (lambda reply: reply.raw(b"<html>hello", kind="text/html"), "no words"),
        (lambda reply: reply.raw(b'data: {"choices": 7}\n\n'), "does not answer as OpenAI's do"),
        (lambda reply: reply.raw(b"data: {{{{\n\n"), "does not answer as OpenAI's do"),
        (lambda reply: reply.raw(b"\xff\xfe\x00", status=200), "no words"),
    ],
)  # fmt: skip
def test_what_is_no_caption_is_told(answer: Any, problem: str, tmp_path: Path) -> None:
    """Junk and refusals: the image gets no draft, and the reason."""
    with chat_server(lambda number, body: answer) as server:
        [draft] = ask(server, tmp_path, 1, retries=0)
    assert problem in draft.problem, draft
    assert not draft.text or draft.problem


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(status: int, tmp_path: Path) -> None:
    """Twice refused, then answered; the wait that it asks for is kept."""
    def answer(number: int, body: dict[str, Any]) -> Any:
        return GOOD if number == 2 else lambda reply: reply.refuse(status, "busy", Retry_After="0.2")

    since = time.monotonic()
    with chat_server(answer) as server:
        [draft] = ask(server, tmp_path, 1)
    assert draft.text == GOOD
    assert len(server.bodies) == 3
    assert time.monotonic() - since > 0.4


def test_retries_end(tmp_path: Path) -> None:
    """A server that stays busy costs ``retries`` further tries, and the image its draft."""
    with chat_server(lambda number, body: lambda reply: reply.refuse(503, "no")) as server:
        [draft] = ask(server, tmp_path, 1, retries=2)
    assert len(server.bodies) == 3
    assert draft.problem == "the server answered 503: no"


@pytest.mark.parametrize("how", [lambda reply: time.sleep(1), lambda reply: reply.stream("word " * 40, pause=0.05)])
def test_slow_answers_are_given_up(how: Callable[[Any], None], tmp_path: Path) -> None:
    """One that does not begin, and one that never ends."""
    with chat_server(lambda number, body: how) as server:
        since = time.monotonic()
        [draft] = ask(server, tmp_path, 1, timeout=0.3, retries=0)
        assert time.monotonic() - since < 1.5
    assert "0.3 s" in draft.problem


def test_a_broken_answer_costs_one_image(tmp_path: Path) -> None:
    """The connection breaks in the middle of one; the others are drafted."""
    def answer(number: int, body: dict[str, Any]) -> Any:
        def cut(reply: Any) -> None:
            reply.send_response(200)
            reply.send_header("Content-Length", "1000")
            reply.end_headers()
            reply.wfile.write(b"data: ")
            reply.connection.shutdown(socket.SHUT_RDWR)

        return cut if number == 1 else GOOD

    with chat_server(answer) as server:
        drafts = ask(server, tmp_path, 3, retries=0, concurrency=1)
    assert [bool(draft.problem) for draft in drafts] == [False, True, False]
    assert "the connection broke" in drafts[1].problem


def test_several_images_are_asked_about_at_once(tmp_path: Path) -> None:
    """As many as ``concurrency`` says and no more."""
    def answer(number: int, body: dict[str, Any]) -> Any:
        time.sleep(0.1)
        return GOOD

    with chat_server(answer) as server:
        drafts = ask(server, tmp_path, 9, concurrency=3)
    assert server.most == 3
    assert all(draft.text == GOOD for draft in drafts)


def test_no_server_is_told_once_and_soon(tmp_path: Path) -> None:
    """A refused connection is not tried for every image."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    requests = CaptionerSuite().requests(tmp_path, 20)
    captioner = OpenAIChat(OpenAIChatOptions(model="stub", base_url=f"http://127.0.0.1:{port}/v1", concurrency=1))
    since = time.monotonic()
    drafts = list(drafted(captioner, requests, name="openai-chat", context=CONTEXT))
    assert time.monotonic() - since < 3
    assert len(drafts) == 20
    assert "no server listens" in drafts[0].problem
    assert all("could not be reached" in draft.problem for draft in drafts[1:])


def test_what_is_announced() -> None:
    """Where images go, and what they cost; local and free needs no consent."""
    def made(**options: Any) -> OpenAIChat:
        return OpenAIChat(OpenAIChatOptions(model="stub", **options))

    requests = [object()] * 0
    for url in ("http://127.0.0.1:1/v1", "http://localhost:1/v1", "http://[::1]:1/v1"):
        assert not made(base_url=url).consent
        assert "on this machine" in made(base_url=url).announce(requests)
    away = made(base_url="https://api.example.org/v1", price_in=2.5, price_out=10.0)
    assert away.consent
    assert "api.example.org, which is NOT this machine" in away.announce(requests)
    assert made(price_in=1.0).consent


def test_costs_are_counted(tmp_path: Path) -> None:
    """Tokens of the pictures, the instructions and the answers, each at its price."""
    requests = CaptionerSuite().requests(tmp_path, 3)
    said = OpenAIChat(OpenAIChatOptions(model="stub", price_in=1000.0, price_out=0.0, max_side=750, max_tokens=16)).announce(requests)
    tokens = 3 * (750 + len(OpenAIChat(OpenAIChatOptions(model="x"))._instructions(requests[0])) // 4)
    assert f"up to {tokens + 48:,} tokens" in said
    assert f"about {tokens / 1000:.2f} USD" in said


def test_thoughts_alone_are_nothing() -> None:
    """A reasoning model that was cut off in its thoughts said nothing."""
    assert plain_answer("<think>a judge") == ""
