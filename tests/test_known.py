"""What was learnt of images before: reused while a file is as it was, forgotten when it is not, never trusted when it is damaged."""

import os
import sqlite3

import pytest

from loraspec import known as module
from loraspec.cachefolder import KNOWN, cache_root, clear
from loraspec.known import known


@pytest.fixture(autouse=True)
def _settled(monkeypatch):
    """Files that were written just now count as settled."""
    monkeypatch.setattr(module, "RACY", -(10**18))


def read(path):
    """Read a file."""
    return path.read_bytes()


@pytest.fixture
def file(tmp_path):
    """A file that is known."""
    path = tmp_path / "picture.png"
    path.write_bytes(b"one picture")
    before = known()
    before.read(path, read)
    before.save()
    return path


def test_a_file_is_known_by_another_object(file):
    """Its sha256, without opening it, and what was learnt of its bytes."""
    sha256 = known().sha256(file)
    assert sha256 == module.hashlib.sha256(b"one picture").hexdigest()
    before = known()
    before.learn(sha256, "facts", {"width": 3})
    assert before.of_bytes(sha256, "facts") == {"width": 3}
    assert known().of_bytes(sha256, "facts") is None
    before.save()
    assert known().of_bytes(sha256, "facts") == {"width": 3}
    assert known().of_bytes(sha256, "other facts") is None
    assert known().of_bytes("0" * 64, "facts") is None


def test_a_strange_file_is_not_known(tmp_path, file):
    """Nor one that is gone."""
    assert known().sha256(tmp_path / "other.png") is None
    file.unlink()
    assert known().sha256(file) is None


@pytest.mark.parametrize("how", ["written", "same size and time", "replaced", "touched"])
def test_a_file_that_changed_is_not_known(file, how):
    """Also when its size and time are set back: the inode's time tells."""
    facts = file.stat()
    if how == "written":
        file.write_bytes(b"another picture")
    elif how == "same size and time":
        file.write_bytes(b"eno picture")
        os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    elif how == "replaced":
        other = file.with_name("other")
        other.write_bytes(b"two picture")
        os.utime(other, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        other.replace(file)
    else:
        os.utime(file)
    assert known().sha256(file) is None


def test_a_file_that_changed_just_now_is_read_and_not_kept(file, monkeypatch):
    """It may change again without its times moving."""
    monkeypatch.setattr(module, "RACY", 2 * 10**9)
    file.write_bytes(b"fresh")
    before = known()
    assert before.read(file, read)[0] == b"fresh"
    before.save()
    assert known().sha256(file) is None


def test_a_file_that_changes_while_it_is_read_is_not_kept(file):
    """Its stamp is taken before and after."""
    def slow(path):
        data = path.read_bytes()
        path.write_bytes(b"meanwhile another")
        return data

    before = known()
    before.read(file, slow)
    before.save()
    assert known().sha256(file) is None


def test_files_can_be_forgotten_alone(file):
    """What their bytes hold stays."""
    sha256 = known().sha256(file)
    before = known()
    before.learn(sha256, "facts", [1])
    before.save()
    known().forget_files()
    assert known().sha256(file) is None
    assert known().of_bytes(sha256, "facts") == [1]


def test_every_flipped_bit_of_a_row_is_found(file):
    """In value and seal: the row is as if it were not there."""
    path, count = cache_root() / KNOWN, 0
    with sqlite3.connect(path) as base:
        (row,) = base.execute("select key, value, seal from known").fetchall()
        for column in ("value", "seal"):
            text = row[("key", "value", "seal").index(column)]
            for place in range(0, len(text), 3):
                bad = text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]
                base.execute(f"update known set {column} = ?", (bad,))
                base.commit()
                assert known().sha256(file) is None, (column, place)
                base.execute("update known set value = ?, seal = ?", row[1:])
                base.commit()
                count += 1
    assert known().sha256(file) is not None
    assert count > 40


@pytest.mark.parametrize("damage", [b"no data base at all, but long enough to be read as one" * 20, b""])
def test_a_damaged_data_base_begins_anew(file, damage):
    """Nothing is known, and what is learnt then is kept."""
    module._connection.cache_clear()
    (cache_root() / KNOWN).write_bytes(damage)
    assert known().sha256(file) is None
    for _ in range(2):  # the first may only remove it
        before = known()
        before.read(file, read)
        before.save()
    assert known().sha256(file) is not None


def test_pages_of_garbage_are_survived(file):
    """The header whole, the rest not."""
    module._connection.cache_clear()
    path = cache_root() / KNOWN
    data = bytearray(path.read_bytes())
    data[100:] = os.urandom(len(data) - 100)
    path.write_bytes(data)
    assert known().sha256(file) in (None, module.hashlib.sha256(b"one picture").hexdigest())
    for _ in range(2):
        before = known()
        before.read(file, read)
        before.save()
    assert known().sha256(file) is not None


def test_a_cache_that_keeps_nothing_knows_nothing(tmp_path, monkeypatch):
    """Of size 0, or of a folder that cannot be made."""
    path = tmp_path / "picture.png"
    path.write_bytes(b"x")
    (tmp_path / "file").write_bytes(b"")
    for name, value in (("LORASPEC_CACHE_MAX", "0"), ("LORASPEC_CACHE", str(tmp_path / "file"))):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            before = known()
            assert before.read(path, read)[0] == b"x"
            before.save()
            assert known().sha256(path) is None


def test_a_data_base_that_is_full_begins_anew(file, monkeypatch):
    """It never grows without end."""
    monkeypatch.setattr(module, "LARGEST", 100)
    before = known()
    before.learn("0" * 64, "facts", [2])
    before.save()
    assert known().sha256(file) is None
    assert known().of_bytes("0" * 64, "facts") == [2]


def test_clearing_the_cache_forgets(file):
    """With every entry."""
    module._connection.cache_clear()
    assert clear(cache_root()) > 0
    assert not (cache_root() / KNOWN).exists()
    module._connection.cache_clear()
    assert known().sha256(file) is None
