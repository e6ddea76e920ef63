"""The server of the page on which captions are reviewed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, ClassVar

from loraspec.captioning.session import LARGE, SMALL, Review
from loraspec.errors import LoraspecError
from loraspec.localpage import PageHandler, PageServer


class Server(PageServer):
    """Serves one review; its captions are looked at in the background.

    Args:
        review: What is reviewed.
        port: On 127.0.0.1; 0: any free one.

    Raises:
        OSError: The port is taken.
    """

    def __init__(self, review: Review, *, port: int = 0) -> None:
        self.review = review
        super().__init__(_Handler, port=port)
        threading.Thread(target=review.lint, daemon=True).start()

    def server_close(self) -> None:
        """Stop listening."""
        self.review.close()
        super().server_close()


class _Handler(PageHandler):
    package = "loraspec.captioning"
    page: ClassVar = {
        "": ("index.html", "text/html"), "review.css": ("review.css", "text/css"), "review.js": ("review.js", "text/javascript"),
    }  # fmt: skip
    most = 256 * 1024
    server: Server

    def got(self, place: str) -> None:
        """Answer with the state, what changed, a row or a picture."""
        review = self.server.review
        name, _, number = place.partition("/")
        if place == "state":
            self._told(review.state)
        elif name == "since" and number.isascii() and number.isdigit():
            self._told(lambda: review.since(int(number)))
        elif name in ("row", "picture", "thumb") and number.isascii() and number.isdigit() and int(number) < len(review.rows):
            if name == "row":
                self._told(lambda: review.fresh(int(number)))
                return
            data = review.picture(int(number), side=LARGE if name == "picture" else SMALL)
            self.refuse(404) if data is None else self.send(200, data, "image/webp")
        else:
            self.refuse(404)

    def posted(self, place: str, body: dict[str, Any]) -> None:
        """Save, take back, replace, look at a text, look at all captions together, or end."""
        review, given = self.server.review, body.get("n")
        number = given if type(given) is int else -1
        known = 0 <= number < len(review.rows)
        if place == "save" and known and isinstance(body.get("seen"), (str, type(None))):
            self._told(
                lambda: review.plain(number),
                lambda: review.save(number, seen=body["seen"], text=str(body.get("text")), state=str(body.get("state"))),
            )
        elif place == "lint" and known:
            self._told(lambda: review.lint_text(number, str(body.get("text"))))
        elif place == "together":
            self._told(lambda: {"done": True}, review.lint_together)
        elif place == "undo":
            self._told(lambda: {"n": review.undo()})
        elif place == "replace" and isinstance(body.get("rows"), list) and all(type(one) is int for one in body["rows"]):
            self._told(lambda: review.replace(
                body["rows"], str(body.get("find")), str(body.get("by")), case=body.get("case") is True, apply=body.get("apply") is True
            ))  # fmt: skip
        elif place == "end":
            self.json(200, {"ended": True})
            self.server.end()
        else:
            self.refuse(404)

    def _told(self, say: Callable[[], dict[str, Any]], change: Callable[[], bool | None] | None = None) -> None:
        """Answer with JSON; 409 with the same when a change did not fit, 422 or 500 with the reason when it cannot be."""
        try:
            fits = change() if change is not None else True
            self.json(409 if fits is False else 200, say())
        except ValueError as error:
            self.json(422, {"error": str(error).replace("the answer", "the caption")})
        except OSError as error:
            self.json(500, {"error": f"cannot be written: {error.strerror or error}"})
        except LoraspecError as error:
            self.json(500, {"error": str(error)})
