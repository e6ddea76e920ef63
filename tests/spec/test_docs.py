"""The reference page is what the code says."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from loraspec.spec.docs import docs_table, refresh

PAGE = Path(__file__).resolve().parents[2] / "docs" / "spec.md"


def test_spec_page_is_up_to_date() -> None:
    """Rewrite with: python -m loraspec.spec.docs."""
    text = PAGE.read_text(encoding="utf-8")
    assert refresh(text) == text


def test_docs_table_names_every_table_and_what_a_key_is() -> None:
    """Key, type with range, default, unit and help; stages with their defaults."""
    text = docs_table()
    assert "| `epochs` | integer, > 0, <= 100000 | `20` |  | Number of epochs; each leaves a weight file. |" in text
    assert "| `step` | integer, > 0, <= 16384 | `64` | px | Sides of buckets are multiples of this. |" in text
    assert "| `optimizer` | optimizer: `[optimizer]` | `dadapt-adamw` |  | The optimizer. |" in text
    assert "| `name` | string | required |" in text
    assert text.index("`loraspec`") < text.index("`model`")


def test_refresh_rewrites_only_between_the_markers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a person wrote stays; a page without markers is refused."""
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- generated: spec -->\nstale words\n<!-- /generated -->\nafter\n", encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["docs", str(page)])
    monkeypatch.delitem(sys.modules, "loraspec.spec.docs")
    runpy.run_module("loraspec.spec.docs", run_name="__main__")
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- generated: spec -->\n")
    assert text.endswith("\n<!-- /generated -->\nafter\n")
    assert "stale words" not in text
    assert docs_table() in text
    with pytest.raises(ValueError, match="generated: spec"):
        refresh("no markers")
