"""``docs/captions.md`` says what the rules do."""

from __future__ import annotations

import re
from pathlib import Path

from loraspec.captionlint import tags  # noqa: F401  (registers its rules)
from loraspec.captionlint.data import DATA
from loraspec.captionlint.mend import FIXED
from loraspec.captionlint.rules import ONE, Caption, Setting, one_by_one

PAGE = (Path(__file__).parents[2] / "docs" / "captions.md").read_text(encoding="utf-8")
OTHERS = {"C003": "warning", "C004": "error", "C109": "warning", "C111": "error", "C112": "warning", "C117": "warning", "C118": "info",
          "C119": "info", "C120": "error", "C121": "warning", **DATA}  # fmt: skip


def test_the_table_is_that_of_the_rules() -> None:
    """Codes, severities, and what is mended."""
    found = re.findall(r"^\| ([CD]\d{3}) \| (\w+) \| .* \| ?(.*?) ?\|$", PAGE, re.MULTILINE)
    rows = {row[0]: (row[1], bool(row[2].strip())) for row in found}
    severities = {**OTHERS, **{code: severity for code, (severity, _, _) in ONE.items()}}
    assert rows == {code: (severity, code in FIXED) for code, severity in severities.items()}


def test_the_worked_examples_are_as_told() -> None:
    """What stands before trips the named rules, what stands after trips none."""
    setting = Setting(style_tag="by Honoré Daumier")
    section = PAGE[PAGE.index("## Before and after") :]
    rows = re.findall(r"^\| `(.+?)` \| (C.+?) \| `(.+?)` \|$", section, re.MULTILINE)
    assert len(rows) >= 3
    for before, told, after in rows:
        known = setting if "Daumier" in before else Setting()
        found = {one.code for one in one_by_one([Caption("a", before, ",")], known)}
        assert set(told.split(", ")) <= found, (before, found)
        left = {one.code for one in one_by_one([Caption("a", after, ",")], known)}
        assert not left & set(told.split(", ")), (after, left)
