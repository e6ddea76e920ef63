"""Places for files: a path relative to the spec, or ``package:NAME/PATH`` inside an installed package."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from loraspec.errors import EnvironmentMissing

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_DRIVE = re.compile(r"[A-Za-z]:[/\\]")
_EXPAND = re.compile(r"^~|\$[A-Za-z_{(]|%[A-Za-z_][A-Za-z0-9_]*%")


def resolve(text: str, folder: Path) -> Path:
    """Return the path that ``text`` names, seen from ``folder``; nothing in it is expanded.

    Raises:
        EnvironmentMissing: The package is not installed, or holds no such file.
    """
    if not text.startswith("package:"):
        return (folder / text).resolve()
    name, _, inside = text.removeprefix("package:").partition("/")
    import importlib.util

    try:
        spec = importlib.util.find_spec(name)  # top-level names only: nothing is imported
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations or not name.isidentifier():
        # No `pip install` line here: the name is the spec's author's word, and installing a package runs its code.
        hint = "it comes with a package that you would have to install yourself, if you trust it"
        raise EnvironmentMissing(f"{text!r}: no installed package is called {name!r}", hint=hint)
    for root in map(Path, spec.submodule_search_locations):
        found = (root / inside).resolve()
        if found.is_relative_to(root.resolve()) and found.exists():
            return found
    raise EnvironmentMissing(f"{text!r}: package {name!r} has no {inside!r}")


def is_absolute(text: str) -> bool:
    """Return whether a place begins at the root of some system's files."""
    return text.startswith("/") or _DRIVE.match(text) is not None


def leaves_folder(text: str) -> bool:
    """Return whether a relative place goes above where it starts."""
    depth = 0
    for part in PurePosixPath(text).parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return True
    return False


def broken_place(text: str) -> tuple[str, str, str] | None:
    """Return (code, message, hint) when a text is written as no place for files can be, else None."""
    if _URL.match(text):
        return "E-PATH-URL", f"{text!r} is an address; a run never downloads what a spec points to", "get it yourself and name the folder"
    if "\\" in text:
        return "E-PATH-SEP", f"{text!r} has a backslash", "write / between folders, on every system"
    if _EXPAND.search(text):
        hint = "write the path in full, relative to the spec; ~, $NAME and %NAME% are never expanded"
        return "E-PATH-EXPAND", f"{text!r} wants to be expanded", hint
    if not text.isprintable():
        return "E-PATH-NAME", f"{text!r} holds characters that cannot be seen", "take them out"
    return None
