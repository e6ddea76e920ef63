"""Ten broken specs and their exact messages, in files and in the docs."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
NAMES = sorted(path.stem for path in (HERE / "broken").glob("*.toml"))


@pytest.fixture(scope="module")
def writer() -> dict[str, Any]:
    """The script that writes the messages and the page."""
    return runpy.run_path(str(HERE / "write_errors.py"))


@pytest.mark.parametrize("name", NAMES)
def test_broken_spec_says_exactly_this(writer: dict[str, Any], name: str) -> None:
    """Rewrite with: python tests/spec/write_errors.py."""
    assert writer["said"](HERE / "broken" / f"{name}.toml") == (HERE / "broken" / f"{name}.txt").read_text(encoding="utf-8")


def test_errors_page_is_up_to_date(writer: dict[str, Any]) -> None:
    """The page holds the ten specs and messages as they are."""
    assert sorted(writer["TITLES"]) == NAMES
    assert len(NAMES) == 10
    assert writer["PAGE"].read_text(encoding="utf-8") == writer["page"]()
