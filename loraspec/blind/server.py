"""The server of the page on which epochs are judged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from loraspec.blind.session import Session
from loraspec.errors import LoraspecError
from loraspec.localpage import PageHandler, PageServer


class Server(PageServer):
    """Serves one session.

    Args:
        session: What is judged.
        port: On 127.0.0.1; 0: any free one.

    Raises:
        OSError: The port is taken.
    """

    def __init__(self, session: Session, *, port: int = 0) -> None:
        self.session = session
        super().__init__(_Handler, port=port)


class _Handler(PageHandler):
    package = "loraspec.blind"
    page: ClassVar = {"": ("index.html", "text/html"), "judge.css": ("judge.css", "text/css"), "judge.js": ("judge.js", "text/javascript")}
    server: Server

    def got(self, place: str) -> None:
        """Answer with the state, a picture or the results."""
        if place == "state":
            self._told(self.server.session.state)
        elif place == "results":
            self._told(self._results)
        elif place.startswith("picture/") and place.count("/") == 2:
            self._picture(self.server.session.picture(*place.split("/")[1:]))
        elif place.startswith("own/"):
            self._picture(self.server.session.own_picture(place.removeprefix("own/")))
        else:
            self.refuse(404)

    def posted(self, place: str, body: dict[str, Any]) -> None:
        """Take an answer, take it back, go on or end; answer with the new state."""
        session = self.server.session
        if place == "answer":
            self._told(session.state, lambda: session.answer(str(body.get("pair")), str(body.get("choice"))))
        elif place == "undo":
            self._told(session.state, session.undo)
        elif place in ("more", "enough"):
            self._told(session.state, session.more if place == "more" else session.enough)
        elif place == "end":
            self.json(200, {"ended": True})
            self.server.end()
        else:
            self.refuse(404)

    def _picture(self, data: bytes | None) -> None:
        self.refuse(404) if data is None else self.send(200, data, "image/png")

    def _results(self) -> dict[str, Any]:
        found = self.server.session.results()
        return {"sentences": ["Nothing was answered."], "table": [], "answers": 0} if found is None else found.plain()

    def _told(self, say: Callable[[], dict[str, Any]], change: Callable[[], bool | None] | None = None) -> None:
        """Answer with JSON; 409 with the same when a change did not fit, 500 with the reason when the disk refused it."""
        try:
            fits = change() if change is not None else True
            self.json(409 if fits is False else 200, say())
        except LoraspecError as error:
            self.json(500, {"error": str(error)})
