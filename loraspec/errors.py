"""Problems and errors: where, what was found, what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Self

from attrs import evolve, frozen

EXIT_DONE = 0
EXIT_FOUND = 1
EXIT_SPEC = 2
EXIT_ENVIRONMENT = 3
EXIT_STOPPED = 4


@frozen
class Problem:
    """One mistake, told so that a person can mend it.

    Attributes:
        path: Dotted place in the spec (``adapter.rank``, ``captions.transforms[1].keep``), an image key, or "".
        message: What was found and what would be right, without the path.
        hint: One line that starts a repair, or "".
        file: The file the place is in, as the user named it, or "".
        line: Line of the place, from 1; 0 when it has none.
        column: Column of the place, from 1; 0 when it has none.
        severity: ``error`` stops; ``warning`` is shown and passes.
        code: A stable word for programs and for looking it up (``E-SPEC-UNKNOWN``, ``W-DATA-DUP``), or "".
    """

    path: str
    message: str
    hint: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    severity: str = "error"
    code: str = ""

    def at(self, file: str, line: int, column: int) -> Problem:
        """Return the same problem, placed."""
        return evolve(self, file=file, line=line, column=column)

    def __str__(self) -> str:
        place = ":".join([self.file, *(str(n) for n in (self.line, self.column) if n)])
        mark = "warning: " if self.severity == "warning" else ""
        tail = f"[{self.code}]" if self.code else ""
        text = "  ".join(part for part in (place, self.path, mark + self.message, tail) if part)
        return text + (f"\n    hint: {self.hint}" if self.hint else "")


def by_position(problems: Iterable[Problem]) -> list[Problem]:
    """Sort problems by file, line, column, then path."""
    return sorted(problems, key=lambda p: (p.file, p.line, p.column, p.path, p.message))


class LoraspecError(Exception):
    """The root of every error that loraspec raises on purpose; ``code`` is its stable word, shown behind the message, or ""."""

    exit_code = EXIT_FOUND
    code = ""

    @property
    def told(self) -> str:
        """The message with the code behind its first line, as a person reads it."""
        first, line, rest = str(self).partition("\n")
        return first + (f"  [{self.code}]" if self.code else "") + line + rest

    def coded(self, code: str) -> Self:
        """Return this error with a stable code: ``raise RunError("...").coded("E-RUN-LOCKED")``."""
        self.code = code
        return self


class SpecError(LoraspecError):
    """A spec, a plan or a call of the command line is wrong; holds every problem found."""

    exit_code = EXIT_SPEC

    def __init__(self, problems: Iterable[Problem] | str) -> None:
        found = [Problem("", problems)] if isinstance(problems, str) else list(problems)
        self.problems = by_position(found)
        super().__init__("\n".join(str(p) for p in self.problems))


class PluginError(LoraspecError):
    """A plugin breaks the rules of its kind (a misspelt hook, a name offered twice)."""

    exit_code = EXIT_SPEC


class EnvironmentMissing(LoraspecError):
    """Something outside the spec is missing: data, weights, a device, a package."""

    exit_code = EXIT_ENVIRONMENT

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.hint = hint
        super().__init__(message + (f"\n    hint: {hint}" if hint else ""))


class LockError(LoraspecError):
    """What is here differs from what a lock says."""


class RunError(LoraspecError):
    """A run cannot go on."""


class Stopped(LoraspecError):
    """A run was asked to stop; what it has done is saved and can be resumed."""

    exit_code = EXIT_STOPPED


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that ``word`` most likely meant, or None."""
    found = difflib.get_close_matches(word, sorted(set(known)), n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return a hint: the closest known word, else the list of known words, else ""."""
    best = closest(word, known)
    if best is not None:
        return f"did you mean {best!r}?"
    return f"known: {', '.join(sorted(set(known)))}" if known else ""
