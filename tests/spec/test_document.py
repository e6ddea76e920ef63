"""Reading files: what is no spec says so, with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from loraspec.errors import SpecError
from loraspec.spec.document import MAX_BYTES, parse, read


def problem(text: str) -> str:
    """The only problem of a text."""
    with pytest.raises(SpecError) as caught:
        parse(text, name="s.toml", path=Path("s.toml"))
    (found,) = caught.value.problems
    return str(found)


def test_read_keeps_text_name_and_tables(tmp_path: Path) -> None:
    """Line ends become one kind, a byte-order mark goes, the name stays as written."""
    file = tmp_path / "s.toml"
    file.write_bytes(b'\xef\xbb\xbfloraspec = 1\r\n[run]\r\nname = "x"\r\n')
    document = read(file)
    assert document.tables == {"loraspec": 1, "run": {"name": "x"}}
    assert document.text == 'loraspec = 1\n[run]\nname = "x"\n'
    assert document.locate("run.name") == (3, 8)
    assert document.name == str(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = 1\nb = bf16\n", "s.toml:2:5  not TOML: invalid value"),
        ("a = 1\n[b\n", "s.toml:2:3  not TOML: expected ']' at the end of a table declaration"),
        ("[run]\nname 3", "s.toml:2:6  not TOML: expected '=' after a key in a key/value pair"),
        ('a = "x\n', "s.toml:1:7  not TOML: illegal character"),
        ("a = [1,\n", "s.toml:1:8  not TOML: invalid value"),
    ],
)
def test_parse_places_syntax_errors(text: str, message: str) -> None:
    """What tomllib stumbles on is shown where it stands."""
    assert problem(text).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = 1\nb = 2\na = 3\n", "s.toml:3:1  a  set twice; first in line 1"),
        ("[t]\nx = 1\n[u]\n[t]\n", "s.toml:4:2  t  set twice; first in line 1"),
        ("[[t]]\nx = 1\n[[t]]\nx = 2\nx = 3\n", "s.toml:5:1  t[1].x  set twice; first in line 4"),
        ("t = { a = 1,\ta = 2 }\n", "s.toml:1:14  t.a  set twice; first in line 1"),
        ('a.b = 1\n"a"."b" = 2\n', "s.toml:2:5  a.b  set twice; first in line 1"),
    ],
)
def test_parse_names_duplicate_keys_and_their_first_place(text: str, message: str) -> None:
    """A key set twice is named with both lines."""
    assert problem(text).startswith(message)


def test_parse_names_every_duplicate() -> None:
    """Two keys set twice are two problems."""
    with pytest.raises(SpecError) as caught:
        parse("a = 1\na = 2\nb = 1\nb = 2\n", name="s", path=Path("s"))
    assert [p.path for p in caught.value.problems] == ["a", "b"]


@pytest.mark.parametrize("text", ["a = 1\n[a.b]\n", "a.b = 1\n[a]\nc = 2\n", "[a]\nb.c = 1\n[a.b]\n", "a = {}\na.b = 1\n"])
def test_parse_places_tables_that_collide(text: str) -> None:
    """Tables that TOML does not let meet are one placed problem."""
    assert problem(text).startswith(("s.toml:2:", "s.toml:3:"))


def test_parse_refuses_deep_nesting_without_a_traceback() -> None:
    """Neither brackets nor dots can exhaust the stack."""
    assert "nests deeper" in problem("a = " + "[" * 5000 + "]" * 5000)
    assert "nests deeper" in problem("a = " + "[" * 60 + "]" * 60)
    assert "nests deeper" in problem(".".join(["a"] * 900) + " = 1")


def test_parse_refuses_numbers_without_end() -> None:
    """An integer that Python itself refuses to read is not a traceback."""
    assert "thousands of digits" in problem("a = " + "9" * 6000)


def test_read_refuses_what_is_no_text_file(tmp_path: Path) -> None:
    """Absent, a folder, not UTF-8, too large: each says so."""
    latin, large = tmp_path / "latin.toml", tmp_path / "large.toml"
    latin.write_bytes(b"a = 1\nb = \"Honor\xe9\"\n")
    large.write_bytes(b"#" * (MAX_BYTES + 1))
    absent = tmp_path / "no.toml"
    for path, words in ((absent, "no such file"), (tmp_path, "is a folder"), (latin, ":2:11  is not UTF-8: byte 0xe9"), (large, "1 MiB")):
        with pytest.raises(SpecError) as caught:
            read(path)
        assert words in str(caught.value)
        assert str(path) in str(caught.value)
    with pytest.raises(SpecError, match="null"):
        read("a\0b")
