"""The pages for users: every command they cite exists as cited, and what they quote stands in the spec."""

import re
import shlex
from pathlib import Path

import click
import pytest

from loraspec.cli import main

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "docs" / name for name in ("your-own-images.md", "tutorial.md", "data.md", "captions.md")]
COMMANDS = [
    (page.name, found)
    for page in PAGES
    for found in re.findall(r"(?:^    |`)(loraspec [a-z][^`\n]*)", page.read_text(encoding="utf-8"), re.MULTILINE)
]


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_cited_command_exists(page, line):
    """Command, sub-command and options are known to the command line; a command named alone is not called."""
    words = shlex.split(line.partition("   ")[0])[1:]
    command, context = main, click.Context(main, **main.context_settings)
    while isinstance(command, click.Group) and words:
        name = words.pop(0)
        command = command.get_command(context, name)
        assert command is not None, f"{page}: {name!r} in {line!r}"
    if words:
        command.make_context(line, words, parent=context)  # parses, and raises a usage error for what it does not know


def test_pages_cite_commands():
    """The pattern above finds commands: nothing passes because nothing was looked at."""
    cited = {line.split()[1] for _, line in COMMANDS}

    assert {"init", "validate", "plan", "captions", "run", "resume", "show", "plugins"} <= cited


def test_tutorial_quotes_the_spec():
    """Every line of TOML in the tutorial stands in specs/daumier.toml, comments and spacing aside."""

    def plain(text):
        return [re.sub(r"\s+", " ", line.split(" #")[0]).strip() for line in text.splitlines()]

    spec = set(plain((ROOT / "specs" / "daumier.toml").read_text(encoding="utf-8")))
    blocks = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"), re.DOTALL)
    quoted = [line for block in blocks for line in plain(block) if line]

    assert len(quoted) > 20
    assert [line for line in quoted if line not in spec] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    """Links to files of the repository lead to files; those to headings lead to headings."""
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        path = page.parent / name
        assert path.is_file(), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}, target
