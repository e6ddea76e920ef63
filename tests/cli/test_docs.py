"""The generated parts of the docs are up to date, and what the docs quote is real."""

from __future__ import annotations

from pathlib import Path

from loraspec.cli.docs import PARTS, refreshed, stale
from loraspec.hookspecs import PlanHooks, RegistrationHooks, RunHooks

DOCS = Path(__file__).parents[2] / "docs"


def test_docs_are_not_stale():
    """`python -m loraspec.cli.docs` writes them."""
    assert stale(DOCS, write=False) == []


def test_stale_docs_are_found_and_written(tmp_path):
    """A part that differs is named; writing mends it, and leaves the rest alone."""
    page = tmp_path / "page.md"
    end = "<!-- /generated -->"
    page.write_text(f"before\n<!-- generated: stages -->\nold\n{end}\nafter <!-- generated: other -->\nkept\n{end}\n")

    assert stale(tmp_path, write=False) == [page]
    assert stale(tmp_path, write=True) == [page]
    assert stale(tmp_path, write=False) == []
    text = page.read_text()
    assert text.startswith("before\n<!-- generated: stages -->\n\n| stage |")
    assert "old" not in text
    assert "kept" in text


def test_every_part_is_used():
    """Each generated part stands in a page, and making it anew changes nothing."""
    pages = "\n".join(page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md"))

    assert not [name for name in PARTS if f"<!-- generated: {name} -->" not in pages]
    assert refreshed(refreshed(pages)) == refreshed(pages)


def test_every_hook_is_documented_with_its_arguments():
    """Datasette's habit: a hook that is not in the docs does not exist."""
    import inspect

    text = (DOCS / "plugins.md").read_text(encoding="utf-8")
    for group in (RegistrationHooks, PlanHooks, RunHooks):
        for name, function in vars(group).items():
            if name.startswith("loraspec_"):
                arguments = ", ".join(parameter for parameter in inspect.signature(function).parameters if parameter != "self")
                assert f"`{name}({arguments})`" in text


def test_the_twenty_lines_are_the_real_plugin():
    """What the page quotes is what is built, installed and trained."""
    text = (DOCS / "plugins.md").read_text(encoding="utf-8")
    source = (DOCS.parent / "plugins" / "prodigy" / "loraspec_prodigy" / "__init__.py").read_text(encoding="utf-8")

    assert f"```python\n{source}```" in text
