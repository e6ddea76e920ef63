"""From a file to a checked spec: read, overlay, convert, contradictions; every problem at once, placed."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, overload

from attrs import evolve, field, frozen

from loraspec.errors import Problem, SpecError, by_position
from loraspec.spec import checks
from loraspec.spec.convert import KeyProblem, choices_of, spec_of
from loraspec.spec.document import SpecDocument, read
from loraspec.spec.overlay import SET, Overlay, apply
from loraspec.spec.paths import render, split
from loraspec.spec.schema import FORMAT, Choice, Spec
from loraspec.stages import Stage

_OLD_TABLES = ("meta", "base", "schedule", "evaluate")


@frozen(eq=False)
class Loaded:
    """A spec that was read.

    Attributes:
        document: The file.
        overlay: Its tables after profiles and ``--set``.
        choices: Every well-formed stage table as (stage, path, choice), defaults of silent stages included; there even when
            other tables are wrong, so that components and options can be checked in the same go.
        problems: What is wrong with the core tables; empty after a strict ``load``.
    """

    document: SpecDocument
    overlay: Overlay
    choices: tuple[tuple[Stage, str, Choice], ...]
    problems: tuple[Problem, ...] = ()
    checked: Spec | None = field(default=None)

    @property
    def spec(self) -> Spec:
        """The typed spec.

        Raises:
            SpecError: The core tables have problems.
        """
        if self.checked is None:
            raise SpecError(self.problems)
        return self.checked

    def place(self, problem: Problem) -> Problem:
        """Give a problem with a path its file, line and column; one that has a file stays as it is."""
        return place(self.document, self.overlay, problem)


@overload
def load(path: Path | str, *, profiles: Sequence[str] = (), sets: Sequence[str] = (), strict: Literal[True] = True) -> Loaded: ...
@overload
def load(
    path: Path | str, *, profiles: Sequence[str] = (), sets: Sequence[str] = (), strict: Literal[False]
) -> tuple[Loaded | None, list[Problem]]: ...
def load(
    path: Path | str, *, profiles: Sequence[str] = (), sets: Sequence[str] = (), strict: bool = True
) -> Loaded | tuple[Loaded | None, list[Problem]]:
    """Load a spec with profiles and ``--set KEY=VALUE`` laid over it.

    Args:
        path: The TOML file.
        profiles: Names of the file's profiles, in order.
        sets: ``a.b=VALUE`` texts, in order.
        strict: False returns ``(loaded, problems)`` instead of raising; ``loaded`` is None when the file cannot be read at
            all or has another format, and its ``spec`` raises when the core tables are wrong.

    Raises:
        SpecError: Holds every problem of the core tables, placed and sorted. Options of components are not looked at.
    """
    loaded, problems = _gather(path, profiles, sets)
    if not strict:
        return loaded, problems
    if loaded is None or any(problem.severity == "error" for problem in problems):
        raise SpecError(problems)
    return loaded


def _gather(path: Path | str, profiles: Sequence[str], sets: Sequence[str]) -> tuple[Loaded | None, list[Problem]]:
    try:
        document = read(path)
    except SpecError as error:
        return None, error.problems
    other = _other_format(document)
    if other is not None:
        return None, [other]
    overlay = apply(document, profiles, sets)
    spec, found = spec_of(overlay.tables)
    if "loraspec" not in document.tables:
        hint = f"write `loraspec = {FORMAT}` in the first line: the format of this file"
        found.append(Problem("loraspec", "required key missing", hint, code="E-SPEC-VERSION"))
    found += _contradictions(spec, overlay, found)
    problems = [place(document, overlay, problem) for problem in found]
    problems += [*document.warnings, *overlay.problems, *_other_profiles(document, profiles)]
    problems = by_position(set(problems))
    if any(problem.severity == "error" for problem in problems):
        spec = None
    return Loaded(document, overlay, choices_of(overlay.tables), tuple(problems), spec), problems


def _contradictions(spec: Spec | None, overlay: Overlay, wrong: Sequence[Problem]) -> list[Problem]:
    """Find contradictions between the keys that are right, although others are wrong."""
    if spec is not None:
        return checks.contradictions(spec, overlay)
    tables = copy.deepcopy(overlay.tables)
    for problem in wrong:
        _drop(tables, problem.path)
    for table, needed in (("run", {"name": "x"}), ("model", {"use": "x"}), ("data", {"sources": [{"use": "x"}]})):
        tables[table] = {**needed, **tables.get(table, {})}
    rest, _ = spec_of(tables)
    if rest is None:
        return []
    # A wrong key has its default here: what is said of it would be said of a value that nobody wrote.
    said = checks.contradictions(rest, overlay)
    return [found for found in said if not any(problem.path and problem.path in f"{found.path} {found.message}" for problem in wrong)]


def _drop(tables: dict[str, Any], path: str) -> None:
    """Take a key out; of a list the whole."""
    parts = [str(part) for part in itertools.takewhile(lambda part: isinstance(part, str), split(path))]
    for part in parts[:-1]:
        if not isinstance(tables, dict):
            return
        tables = tables.get(part, {})
    if parts and isinstance(tables, dict):
        tables.pop(parts[-1], None)


def _other_format(document: SpecDocument) -> Problem | None:
    """Say what to do with a file of another format; its tables would only give noise."""
    number = document.tables.get("loraspec", 0)
    line, column = document.locate("loraspec")
    if type(number) is not int or number < 0:
        code = "E-SPEC-TYPE" if type(number) is not int else "E-SPEC-VERSION"
        hint = f"write loraspec = {FORMAT}"
        return Problem("loraspec", "expected the number of the format", hint, document.name, line, column, code=code)
    if number > FORMAT:
        message = f"this file needs a newer loraspec: it has format {number}, this one reads {FORMAT}"
        return Problem("loraspec", message, "pip install --upgrade loraspec", document.name, line, column, code="E-SPEC-VERSION")
    said = "loraspec" in document.tables
    if (said and number < FORMAT) or (not said and any(isinstance(document.tables.get(key), dict) for key in _OLD_TABLES)):
        message = f"this file has format {number}; this loraspec reads {FORMAT}"
        return Problem("loraspec", message, f"loraspec migrate {document.name}", document.name, line, column, code="E-SPEC-VERSION")
    return None


def _other_profiles(document: SpecDocument, chosen: Iterable[str]) -> list[Problem]:
    """Check the keys and values of profiles that were not chosen, each laid over the file alone."""
    profiles = document.tables.get("profiles", {})
    found: list[Problem] = []
    for name in profiles if isinstance(profiles, dict) else ():
        if name in chosen or not isinstance(profiles[name], dict):
            continue
        overlay = apply(document, [name])
        _, problems = spec_of(overlay.tables)
        mine = [problem for problem in problems if overlay.origin_of(problem.path) == f"profile {name}"]
        found += [place(document, overlay, problem) for problem in mine]
    return found


def place(document: SpecDocument, overlay: Overlay, problem: Problem) -> Problem:
    """Place a problem where the value that it speaks of was written: in the file, in a profile, or on the command line."""
    if problem.file or not problem.path:
        return problem if problem.file else evolve(problem, file=document.name)
    origin = overlay.origin_of(problem.path)
    if origin == SET:
        return evolve(problem, file=SET)
    path = problem.path
    if origin.startswith("profile "):
        path = render(("profiles", origin.removeprefix("profile "), *split(path)))
    return problem.at(document.name, *document.locate(path, key=isinstance(problem, KeyProblem)))
