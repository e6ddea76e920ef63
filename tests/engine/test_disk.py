"""The one place where a run writes."""

import errno
import os

import pytest

from loraspec.engine import disk


class Refusing:
    """``os`` whose one operation fails once."""

    def __init__(self, name, number, after=0):
        self.name, self.number, self.after, self.calls = name, number, after, 0

    def __getattr__(self, name):
        if name != self.name:
            return getattr(os, name)

        def refuse(*args):
            self.calls += 1
            if self.calls == self.after + 1:
                raise OSError(self.number, os.strerror(self.number))
            return getattr(os, name)(*args)

        return refuse


def test_write_file_follows_the_umask_and_leaves_nothing_else(tmp_path):
    """Mode 0666 without the umask's bits, folders made on the way."""
    before = os.umask(0o027)
    try:
        disk.write_file(tmp_path / "a" / "b" / "file", b"x", b"y" * 2**21, b"")
    finally:
        os.umask(before)

    path = tmp_path / "a" / "b" / "file"
    assert path.read_bytes() == b"x" + b"y" * 2**21
    assert oct(path.stat().st_mode & 0o777) == "0o640"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["open", "write", "fsync", "replace"])
def test_write_file_is_all_or_nothing(tmp_path, monkeypatch, name):
    """Whatever is refused, the old content stays and no staged file is left; nothing is tried again."""
    path = tmp_path / "file"
    disk.write_file(path, b"old")
    refusing = Refusing(name, errno.EIO)
    monkeypatch.setattr(disk, "os", refusing)

    with pytest.raises(OSError, match="Input/output error"):
        disk.write_file(path, b"new")

    assert refusing.calls == 1
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_append_is_all_or_nothing(tmp_path, monkeypatch):
    """A line of which a part was written when the disk became full is taken back."""
    path = tmp_path / "lines"
    disk.append(path, b"one\n", durable=True)

    class Short(Refusing):
        def __getattr__(self, name):
            if name == "write" and not self.calls:
                return lambda handle, data: os.write(handle, data[:2]) if not self.counted() else None
            return super().__getattr__(name)

        def counted(self):
            self.calls += 1
            return self.calls > 1

    monkeypatch.setattr(disk, "os", Short("write", errno.ENOSPC, after=1))
    with pytest.raises(OSError, match="No space left") as told:
        disk.append(path, b"two\n", durable=True)

    assert told.value.filename == str(path)
    assert path.read_bytes() == b"one\n"


@pytest.mark.parametrize("number", sorted(disk.NO_FOLDER_SYNC))
def test_folders_that_cannot_be_synced_are_noted(tmp_path, monkeypatch, number):
    """Such a file system is used, and called weak; any other error is one."""
    monkeypatch.setattr(disk, "weak", set())
    monkeypatch.setattr(disk, "os", Refusing("fsync", number))
    disk.sync_folder(tmp_path)
    assert disk.weak == {tmp_path.name}

    monkeypatch.setattr(disk, "os", Refusing("fsync", errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        disk.sync_folder(tmp_path)


def test_discard_does_not_follow_links(tmp_path):
    """What a link points to stays."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo").touch()
    (tmp_path / "gone" / "deep").mkdir(parents=True)
    (tmp_path / "gone" / "deep" / "link").symlink_to(tmp_path / "mine")

    disk.discard(tmp_path / "gone")

    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert (tmp_path / "mine" / "photo").exists()


def test_probe_tells_what_the_disk_refuses_and_leaves_nothing(tmp_path):
    """A name that is too long is told before anything is trained."""
    disk.probe(tmp_path, "fine.safetensors")
    with pytest.raises(OSError, match="File name too long"):
        disk.probe(tmp_path, "x" * 300)

    assert list(tmp_path.iterdir()) == []
