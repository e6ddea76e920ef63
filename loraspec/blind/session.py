"""One judge at one page: which pair is shown, what is answered, what comes of it. Knows no HTTP."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from loraspec.blind.answers import Answer, Answers, Choice, now
from loraspec.blind.pairs import Pair, every, following
from loraspec.blind.pool import Pool
from loraspec.blind.results import Results, results
from loraspec.escape import escaped
from loraspec.finished import Finished
from loraspec.imagefile import ImageError
from loraspec.ownpictures import own_pictures
from loraspec.textfile import read_plain

if TYPE_CHECKING:
    from PIL.Image import Image

LARGEST = 64 * 2**20  # bytes of a picture
LEAST, ROUNDS = 30, 3  # pairs that are asked for at first: at least, and for each pair of epochs
KEPT = 16  # decoded pictures
OWN = 6  # of the artist's own pictures beside a pair


class Session:
    """A judge's session. Every method may be called from several threads.

    Args:
        run: The run.
        pool: What is compared.
        goal: Number of pairs to ask for, those that were answered before included; 0: ``LEAST``, or ``ROUNDS`` for each pair of epochs.
    """

    def __init__(self, run: Finished, pool: Pool, *, goal: int = 0) -> None:
        self.run, self.pool = run, pool
        self.answers = Answers(run.folder)
        self.step = goal or max(LEAST, ROUNDS * len(pool.epochs) * (len(pool.epochs) - 1) // 2)
        self.goal = self.step
        self.own = own_pictures(run.folder, OWN)
        self.unreadable = 0
        self.same = 0
        self._pairs = list(every(pool, run.seed))
        self._pictures: dict[Path, Image] = {}
        self._lock = threading.RLock()

    def state(self) -> dict[str, Any]:
        """Return what the page shows now: a pair, or that all is answered."""
        with self._lock:
            given = self.answers.given(self.pool.epochs)
            pair = self._next(given) if len(given) < self.goal else None
            known = {one.pair for one in given}
            left = sum(one.name not in known for one in self._pairs)
            found: dict[str, Any] = {
                "done": len(given), "goal": min(self.goal, len(given) + left), "left": left, "undo": bool(given), "pair": None,
                "unreadable": self.unreadable, "same": self.same, "own": len(self.own.files), "own_words": self.own.words,
            }  # fmt: skip
            if pair is not None:
                picture = self._picture(self._place(pair, "left"))
                found |= {"pair": pair.name, "prompt": escaped(pair.prompt), "width": picture.width, "height": picture.height}
            return found

    def answer(self, name: str, choice: str) -> bool:
        """Keep an answer; False when that pair is not the one that is shown, or there is no such answer."""
        with self._lock:
            given = self.answers.given(self.pool.epochs)
            pair = self._next(given)
            word: Choice | None = next((one for one in get_args(Choice) if one == choice), None)
            if pair is None or pair.name != name or word is None:
                return False
            self.answers.add(Answer(pair.name, pair.left, pair.right, pair.prompt, pair.seed, word, now()))
            return True

    def undo(self) -> bool:
        """Take the last answer back; False when there is none."""
        with self._lock:
            given = self.answers.given(self.pool.epochs)
            if given:
                self.answers.take_back(given[-1])
                self.goal = max(self.goal, len(given))  # so that its pair is shown again
            return bool(given)

    def more(self) -> None:
        """Ask for as many pairs again."""
        with self._lock:
            self.goal = len(self.answers.given(self.pool.epochs)) + self.step

    def enough(self) -> None:
        """Ask for no further pair."""
        with self._lock:
            self.goal = 0

    def picture(self, name: str, side: str) -> bytes | None:
        """Return a PNG of the pixels alone, without what its file says; None when there is no such picture."""
        with self._lock:
            pair = next((one for one in self._pairs if one.name == name), None)
            if pair is None or side not in ("left", "right"):
                return None
            return self._png(self._place(pair, side))

    def own_picture(self, number: str) -> bytes | None:
        """Return one of the artist's own pictures, as ``picture``."""
        with self._lock:
            places = {str(place): path for place, path in enumerate(self.own.files)}
            return self._png(places[number]) if number in places else None

    def _png(self, path: Path) -> bytes | None:
        try:
            image = self._picture(path)
        except (OSError, ValueError, ImageError):
            return None
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()

    def results(self) -> Results | None:
        """Return what all answers so far say; None without any."""
        with self._lock:
            return results(self.run, self.answers.given(self.pool.epochs), self.pool.epochs)

    def _next(self, given: tuple[Answer, ...]) -> Pair | None:
        """Return the next pair that can be shown and in which there is something to see."""
        while (pair := following(self._pairs, given)) is not None:
            try:
                one, other = (self._picture(self._place(pair, side)) for side in ("left", "right"))
            except (OSError, ValueError, ImageError):
                self.unreadable += 1
                self._pairs.remove(pair)
                continue
            if one.size != other.size or one.tobytes() != other.tobytes():
                return pair
            self.same += 1
            self._pairs.remove(pair)
        return None

    def _place(self, pair: Pair, side: str) -> Path:
        return self.pool.files[pair.left if side == "left" else pair.right, pair.prompt, pair.seed]

    def _picture(self, path: Path) -> Image:
        from loraspec.images import decode

        if path not in self._pictures:
            if len(self._pictures) >= KEPT:
                self._pictures.pop(next(iter(self._pictures)))
            self._pictures[path] = decode(read_plain(path, LARGEST))
        return self._pictures[path]
