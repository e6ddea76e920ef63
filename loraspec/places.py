"""Places for files: a path relative to the spec, or ``package:NAME/PATH`` inside an installed package."""

from __future__ import annotations

from pathlib import Path

from loraspec.errors import EnvironmentMissing


def resolve(text: str, folder: Path) -> Path:
    """Return the path that ``text`` names, seen from ``folder``.

    Raises:
        EnvironmentMissing: The package is not installed, or holds no such file.
    """
    if not text.startswith("package:"):
        return (folder / Path(text).expanduser()).resolve()
    name, _, inside = text.removeprefix("package:").partition("/")
    import importlib.util

    try:
        spec = importlib.util.find_spec(name)  # top-level names only: nothing is imported
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations or not name.isidentifier():
        raise EnvironmentMissing(f"{text!r}: no installed package is called {name!r}", hint=f"pip install {name}")
    for root in map(Path, spec.submodule_search_locations):
        found = (root / inside).resolve()
        if found.is_relative_to(root.resolve()) and found.exists():
            return found
    raise EnvironmentMissing(f"{text!r}: package {name!r} has no {inside!r}")
