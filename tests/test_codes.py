"""Every code that is printed is explained, and every code that is explained is printed."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from loraspec.codes import CODES, table

ROOT = Path(__file__).resolve().parents[1]
_CODE = re.compile(r"\b(?:[EW]-[A-Z]+(?:-[A-Z0-9]+)+|W-BUCKET)\b")


def printed() -> dict[str, list[str]]:
    """Files by the codes that stand in them."""
    found: dict[str, list[str]] = {}
    for folder in ("loraspec", "plugins"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "tests" in path.parts or path == ROOT / "loraspec" / "codes.py":
                continue
            for code in _CODE.findall(path.read_text(encoding="utf-8")):
                found.setdefault(code, []).append(str(path.relative_to(ROOT)))
    return found


def test_codes_in_the_sources_are_explained() -> None:
    """A new code needs a line in loraspec/codes.py: code | meaning | what to do."""
    assert {code: files for code, files in printed().items() if code not in CODES} == {}


def test_explained_codes_are_in_the_sources() -> None:
    """A code that nobody prints any more is not explained."""
    assert sorted(set(CODES) - set(printed())) == []
    assert len(CODES) > 100


def test_table_has_a_row_for_each_code() -> None:
    """Meaning and remedy are sentences; nothing breaks the table."""
    for code, (meaning, remedy) in CODES.items():
        assert meaning.endswith("."), code
        assert remedy.endswith("."), code
        assert f"| `{code}` | {meaning} | {remedy} |" in table()
    assert all(line.count("|") == 4 for line in table().splitlines())


def test_codes_stand_in_the_order_of_the_alphabet() -> None:
    """Two people who add a code change the same place only when they add the same one."""
    assert list(CODES) == sorted(CODES)


def test_page_of_the_docs_names_every_code() -> None:
    """docs/codes.md: rewrite with python -m loraspec.cli.docs."""
    page = (ROOT / "docs" / "codes.md").read_text(encoding="utf-8")
    assert table() in page


def test_every_problem_has_a_code() -> None:
    """Wherever a Problem is made, it gets its code there."""
    bare = []
    for folder in ("loraspec", "plugins"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "tests" in path.parts or path == ROOT / "loraspec" / "errors.py":  # there a plain text becomes a problem
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("Problem", "KeyProblem")
                if named and not any(keyword.arg == "code" for keyword in node.keywords):
                    bare.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert bare == []
