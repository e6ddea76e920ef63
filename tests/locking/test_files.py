"""Lock files: everything that can be wrong with one has its own code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from loraspec.errors import LockError
from loraspec.locking.files import check_for_spec, lock_path, read_lock, write_lock

LOCK = Path(__file__).parents[2] / "specs" / "daumier.twin.lock"


def test_a_lock_is_read_and_written_byte_for_byte(tmp_path: Path) -> None:
    """Reading a lock and writing it gives the same bytes."""
    write_lock(tmp_path / "a.lock", read_lock(LOCK))

    assert (tmp_path / "a.lock").read_bytes() == LOCK.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["a.lock"]


def test_profiles_stand_in_the_name() -> None:
    """Beside the spec, one lock for each profile."""
    assert lock_path(Path("specs/daumier.toml")) == Path("specs/daumier.lock")
    assert lock_path(Path("daumier.toml"), ["embedded", "twin"]) == Path("daumier.embedded.twin.lock")


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("E-LOCK-EDITED", lambda text: text.replace('"rank": 4', '"rank": 5', 1)),
        ("E-LOCK-EDITED", lambda text: text.replace("\n", "\n\n", 1)),
        ("E-LOCK-VERSION", lambda text: text.replace('"lock": 2', '"lock": 3')),
        ("E-LOCK-VERSION", lambda text: text.replace('"lock": 2', '"lock": 1')),
        ("E-LOCK-MERGE", lambda text: "<<<<<<< ours\n" + text),
        ("E-LOCK-MERGE", lambda text: text + ">>>>>>> theirs\n"),
        ("E-LOCK-FORM", lambda text: text[:100]),
        ("E-LOCK-FORM", lambda text: "[1]"),
        ("E-LOCK-FORM", lambda text: '{"lock": true}'),
        ("E-LOCK-FORM", lambda text: "[" * 100_000),
        ("E-LOCK-FORM", lambda text: text.replace('"lock": 2', '"lock": 2, "lock": 2')),
        ("E-LOCK-FORM", lambda text: json.dumps({key: value for key, value in json.loads(text).items() if key != "data"})),
    ],
)
def test_a_bad_lock_is_refused(tmp_path: Path, code: str, change: Callable[[str], str]) -> None:
    """With its code, its place and one line that says what to do."""
    path = tmp_path / "bad.lock"
    path.write_text(change(LOCK.read_text(encoding="utf-8")), encoding="utf-8")

    with pytest.raises(LockError) as raised:
        read_lock(path)
    assert raised.value.code == code
    assert str(path) in str(raised.value)


def test_no_text_and_no_lock(tmp_path: Path) -> None:
    """Bytes that are no UTF-8, and a file that is not there."""
    (tmp_path / "bad.lock").write_bytes(b"\xff\xfe")
    for name, code in (("bad.lock", "E-LOCK-FORM"), ("none.lock", "E-LOCK-MISSING")):
        with pytest.raises(LockError) as raised:
            read_lock(tmp_path / name)
        assert raised.value.code == code


def test_another_specs_lock_is_refused() -> None:
    """By the name of its run."""
    lock = read_lock(LOCK)
    check_for_spec(LOCK, lock, name="daumier", spec="daumier.toml")

    with pytest.raises(LockError, match="another spec") as raised:
        check_for_spec(LOCK, lock, name="openmoji", spec="openmoji.toml")
    assert raised.value.code == "E-LOCK-SPEC"


def test_fields_of_a_later_revision_are_left_out(tmp_path: Path) -> None:
    """A compatible addition is no edit, and no difference to a lock without it."""
    lock = {**read_lock(LOCK), "revision": 99}
    write_lock(tmp_path / "later.lock", lock)

    assert read_lock(tmp_path / "later.lock")["revision"] == 99
