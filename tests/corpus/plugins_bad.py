"""P: plugins that are broken, clash, are too new, are not asked for, or break their contract."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from corpus.case import Case, Outcome
from corpus.specs import write_images, write_spec

OPTIMIZER = '''
from attrs import frozen
from loraspec import Component, hookimpl

@frozen
class Options:
    """None."""

@hookimpl
def loraspec_register_optimizer():
    """Offer it."""
    return [Component("strange", Options, lambda options: 5)]
'''


def installed(*plugins: tuple[str, str, str], use: str = "", group: str = "loraspec.v1") -> Callable[[Path], None]:
    """Put distributions (name, plugin, source) into ``site-packages`` of the case's folder, beside a spec that may use one."""

    def make(folder: Path) -> None:
        write_spec(folder, *(('use = "dadapt-adamw"', f'use = "{use}"') if use else ()))
        write_images(folder)
        for distribution, plugin, source in plugins:
            module = distribution.replace("-", "_")
            info = folder / "site-packages" / f"{module}-1.0.dist-info"
            info.mkdir(parents=True)
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
            (info / "entry_points.txt").write_text(f"[{group}]\n{plugin} = {module}\n")
            (info / "RECORD").write_text("")
            (folder / "site-packages" / f"{module}.py").write_text(source)

    return make


def calling(*words: str) -> Callable[[Path], None]:
    """Call the command line with the case's ``site-packages`` installed."""

    def act(folder: Path) -> None:
        from loraspec.cli import main

        sys.path.insert(0, str(folder / "site-packages"))
        code = main(list(words), prog_name="loraspec", standalone_mode=False)
        assert not code, code

    return act


def case(
    number: str,
    title: str,
    code: str,
    make: Callable[[Path], Any],
    *says: str,
    exit: int = 2,
    words: str = "plan spec.toml",
    variant: str = "",
    **more: Any,
) -> Case:
    """A case of one command."""
    return Case(number, title, make, tuple(code.split()), exit, act=calling(*words.split()), says=says, variant=variant, **more)


def imported(outcome: Outcome) -> None:
    """The documented outcome: what is installed is discovered, so its module was imported, and changed nothing."""
    assert "canary" in outcome.files


def not_imported(outcome: Outcome) -> None:
    """A plugin that the environment leaves out, or that is of another version, is not imported."""
    assert "canary" not in outcome.files


CANARY = OPTIMIZER + "\nopen('canary', 'w').close()\n"
BROKEN = ("loraspec-broken", "broken", "raise OSError('no such library')")
CASES = (
    case(
        "P01",
        "a plugin that raises at import, needed",
        "E-PLUGIN-IMPORT",
        installed(BROKEN, use="broken:x"),
        "loraspec-broken",
        "no such library",
        variant="needed",
    ),
    case("P01", "a plugin that raises at import, not needed", "", installed(BROKEN), exit=0, variant="idle"),
    case(
        "P01", "a plugin that raises at import, listed", "", installed(BROKEN), "no such library", exit=0, words="plugins", variant="listed"
    ),
    case(
        "P02",
        "two distributions with one plugin",
        "E-PLUGIN-CLASH",
        installed(("loraspec-one", "same", OPTIMIZER), ("loraspec-two", "same", OPTIMIZER)),
        "loraspec-one 1.0 and loraspec-two 1.0",
    ),
    case(
        "P03",
        "a plugin for a newer API, needed",
        "E-PLUGIN-API",
        installed(("loraspec-new", "new", CANARY), use="new:x", group="loraspec.v2"),
        "API v2",
        check=not_imported,
    ),
    case("P04", "installed and not named in the spec", "", installed(("loraspec-idle", "idle", CANARY)), exit=0, check=imported),
    case(
        "P05",
        "a component that is no such thing",
        "E-PLUGIN-CONTRACT",
        installed(("loraspec-odd", "odd", OPTIMIZER), use="odd:strange"),
        words="run spec.toml",
        torch=True,
    ),
)
