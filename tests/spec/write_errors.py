"""Writes the messages of the broken specs and docs/errors.md: python tests/spec/write_errors.py."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from click.testing import CliRunner

from loraspec.cli import main

BROKEN = Path(__file__).resolve().parent / "broken"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "errors.md"
# Only the built-ins that these specs use: what else is installed must not change the page.
ENVIRONMENT = {"LORASPEC_DISABLED_PLUGINS": "picturebook,openmoji,prodigy"}
TITLES = {
    "unknown_key": "A key that does not exist",
    "unknown_component": "A component that does not exist, or belongs to another stage",
    "wrong_type": "A value of the wrong type",
    "out_of_range": "A value out of range",
    "missing_key": "A required key is missing",
    "duplicate_key": "A key is set twice",
    "contradiction": "Two keys contradict each other",
    "syntax_error": "Not TOML",
    "unknown_profile": "A profile that does not exist",
    "several_at_once": "Several at once, from the file, a profile and the command line",
}
HEAD = """\
# What a broken spec says

`loraspec validate` tells every mistake at once, sorted by position, as `file:line:column  path  message`, with a hint where there is one.
Nothing is read but the spec and the installed plugins, and nothing is downloaded; the exit code is 2.
A problem that comes from the command line has `--set` in place of the file.
A file that is no TOML is told by its first slip only: what follows cannot be known.

These ten are checked by the tests, word for word.
"""


def call_of(path: Path) -> list[str]:
    """The arguments that a spec's first line asks for, or just the file."""
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("# loraspec ").split() if first.startswith("# loraspec ") else ["validate", path.name]


def said(path: Path) -> str:
    """What the command says of a spec; it must end with exit code 2 and no traceback."""
    here = os.environ.get("LORASPEC_DISABLED_PLUGINS")
    with contextlib.chdir(path.parent):
        result = CliRunner().invoke(main, call_of(path), env=ENVIRONMENT)
    assert os.environ.get("LORASPEC_DISABLED_PLUGINS") == here
    if result.exit_code != 2 or "Traceback" in result.output:
        raise AssertionError(f"{path.name}: exit code {result.exit_code}\n{result.output}") from result.exception
    return result.output


def page() -> str:
    """The whole page, from the files."""
    parts = [HEAD]
    for name, title in TITLES.items():
        path = BROKEN / f"{name}.toml"
        spec, call = path.read_text(encoding="utf-8"), " ".join(call_of(path))
        spec = spec.partition("\n")[2] if spec.startswith("# loraspec ") else spec
        output = path.with_suffix(".txt").read_text(encoding="utf-8")
        parts.append(f"\n## {title}\n\n```toml\n{spec}```\n\n```console\n$ loraspec {call}\n{output}```\n")
    return "".join(parts)


if __name__ == "__main__":
    for name in TITLES:
        (BROKEN / f"{name}.txt").write_text(said(BROKEN / f"{name}.toml"), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")
