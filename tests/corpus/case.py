"""What a case of the corpus is, and what its outcome must be."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import field, frozen

SECONDS = 2.0
MEGABYTES = 300.0
CODE = re.compile(r"\[([EW]-[A-Z0-9-]+)\]")


def nothing(folder: Path) -> None:
    """Make no more files."""


@frozen(eq=False)
class Case:
    """One bad (or odd) input.

    Attributes:
        id: ``S07``; several variants may share one.
        title: What is wrong.
        make: Writes the input into an empty folder, which is the working directory of the commands.
        codes: Every stable code that is printed, and no other is.
        exit: The exit code; 0 for warnings.
        commands: Command lines of ``loraspec``, each run for itself with the same outcome.
        says: Texts that must be printed, ``never``: texts that must not.
        variant: Tells cases of one id apart.
        act: Done in place of the commands, in the input's folder; an error of loraspec is reported as the command line would.
        check: Looks at the outcome and the folder; raises AssertionError.
        torch: The case needs torch: it runs where torch is loaded already, and does not count against memory and time.
        user: The case runs without root's rights.
        begun: A run lies in the folder already: ``check`` looks at what became of it.
    """

    id: str
    title: str
    make: Callable[[Path], Any] = nothing
    codes: tuple[str, ...] = ()
    exit: int = 0
    commands: tuple[tuple[str, ...], ...] = ()
    says: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    variant: str = ""
    act: Callable[[Path], None] | None = None
    check: Callable[[Outcome], None] | None = None
    torch: bool = False
    user: bool = False
    begun: bool = False

    @property
    def name(self) -> str:
        """``S16-colon``: unique."""
        return f"{self.id}-{self.variant}" if self.variant else self.id


@frozen(eq=False)
class Outcome:
    """What one command did with a case.

    Attributes:
        code: Exit code; negative when a signal ended the process (14: it blocked).
        text: stdout and stderr.
        error: An exception that nobody caught, or "".
        seconds, megabytes: Time of the processor (a busy machine proves nothing), and memory beyond what the process had before.
        torch: Whether torch was loaded.
        files: What lies in the case's folder afterwards, relative.
        folder: The case's folder.
    """

    command: str
    code: int
    text: str
    error: str = ""
    seconds: float = 0.0
    megabytes: float = 0.0
    torch: bool = False
    files: tuple[str, ...] = field(default=(), converter=tuple)
    folder: str = ""


def judge(case: Case, outcome: Outcome) -> None:
    """Compare an outcome with what the case promises.

    Raises:
        AssertionError: They differ.
    """
    shown = f"{case.name} ({case.title}): loraspec {outcome.command}\nexit code {outcome.code}\n{outcome.text}{outcome.error}"
    assert not outcome.error, shown
    assert "Traceback" not in outcome.text, shown
    assert "unexpected error" not in outcome.text, shown
    assert outcome.code == case.exit, f"expected exit code {case.exit}\n{shown}"
    assert set(CODE.findall(outcome.text)) == set(case.codes), f"expected {case.codes}\n{shown}"
    for text in case.says:
        assert text in outcome.text, f"{text!r} is not said\n{shown}"
    for text in case.never:
        assert text not in outcome.text, f"{text!r} is said\n{shown}"
    raw = {sign for sign in outcome.text if not sign.isprintable() and sign != "\n"}
    assert not raw, f"unescaped: {raw}\n{shown}"
    if case.exit and not case.begun:
        trained = [file for file in outcome.files if "/epochs/" in f"/{file}" or file.endswith("events.jsonl")]
        assert not trained, f"it trained: {trained}\n{shown}"
    if not case.torch:
        assert not outcome.torch, f"torch was loaded\n{shown}"
        assert outcome.seconds < SECONDS, f"{outcome.seconds:.2f} s\n{shown}"
        assert outcome.megabytes < MEGABYTES, f"{outcome.megabytes:.0f} MB\n{shown}"
    if case.check is not None:
        case.check(outcome)
