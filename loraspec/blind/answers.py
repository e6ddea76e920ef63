"""``judgements.jsonl``: every answer of a person, on the disk before the next pair is shown; what is taken back is a line too."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from attrs import asdict, frozen

from loraspec.errors import RunError
from loraspec.textfile import read_plain

JUDGEMENTS = "judgements.jsonl"
LARGEST = 64 * 2**20  # bytes
Choice = Literal["left", "right", "tie"]


@frozen
class Answer:
    """An answer.

    Attributes:
        pair: Name of the pair.
        left, right: Epochs that stood there.
        prompt, seed: Of both pictures.
        choice: ``left``, ``right`` or ``tie``.
        when: UTC, ``2026-01-31T12:00:00Z``.
    """

    pair: str
    left: int
    right: int
    prompt: str
    seed: int
    choice: Choice
    when: str

    @property
    def winner(self) -> int | None:
        """The epoch that was preferred, None of a tie."""
        return {"left": self.left, "right": self.right}.get(self.choice)


class Answers:
    """The answers of a run, read anew whenever they are asked for: several pages may judge one run."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / JUDGEMENTS

    def given(self, epochs: Sequence[int] = ()) -> tuple[Answer, ...]:
        """Return what was answered and not taken back, oldest first; of ``epochs`` alone, where any are named.

        A line that is none, or was cut off, is left out.

        Raises:
            RunError: The file is a link, or cannot be read.
        """
        found: list[Answer] = []
        for line in self._data().split(b"\n"):
            kind, value = _line(line)
            if kind == "answer":
                found.append(value)
            elif kind == "undo":
                at = next((i for i in range(len(found) - 1, -1, -1) if found[i].pair == value), None)
                if at is not None:
                    del found[at]
        return tuple(one for one in found if not epochs or {one.left, one.right} <= set(epochs))

    def add(self, answer: Answer) -> None:
        """Append an answer, durably.

        Raises:
            RunError: The disk refuses it.
        """
        self._append({"kind": "answer", **asdict(answer)})

    def take_back(self, answer: Answer) -> None:
        """Append that an answer does not count, durably.

        Raises:
            RunError: The disk refuses it.
        """
        self._append({"kind": "undo", "pair": answer.pair, "when": now()})

    def _append(self, line: dict[str, Any]) -> None:
        from loraspec.engine.disk import shorten
        from loraspec.engine.folder import disk_told
        from loraspec.engine.records import append_line

        data = self._data()
        with disk_told(self.path.parent):
            if data and not data.endswith(b"\n"):  # a machine that stopped left half a line
                shorten(self.path, data.rfind(b"\n") + 1)
            append_line(self.path, line)

    def _data(self) -> bytes:
        if self.path.is_symlink():  # appending would write somewhere else
            raise RunError(f"{self.path}: is a link; a run's files are real ones").coded("E-RUN-LAYOUT")
        try:
            return read_plain(self.path, LARGEST)
        except FileNotFoundError:
            return b""
        except (OSError, ValueError) as error:
            raise RunError(f"{self.path}: cannot be read: {error}").coded("E-RUN-LAYOUT") from None


def now() -> str:
    """Return the time, as answers have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _line(text: bytes) -> tuple[str, Any]:
    """Return what a line is and what it holds: ``answer`` and an Answer, ``undo`` and a pair's name, else ""."""
    try:
        raw = json.loads(text)
        if raw["kind"] == "undo":
            return "undo", str(raw["pair"])
        if raw["kind"] != "answer" or raw["choice"] not in get_args(Choice):
            return "", None
        left, right, seed = raw["left"], raw["right"], raw["seed"]
        if not all(type(one) is int for one in (left, right, seed)) or left == right or min(left, right) < 1:
            return "", None
        return "answer", Answer(str(raw["pair"]), left, right, str(raw["prompt"]), seed, raw["choice"], str(raw["when"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return "", None
