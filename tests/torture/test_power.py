"""The model of a disk that loses power."""

import pytest
from wreck.power import Disk

CREATE = 0o101  # O_WRONLY | O_CREAT


def written(tmp_path, *, sync_file=True, sync_folder=True):
    """Return a disk after a file was staged, written, perhaps synced and renamed."""
    disk = Disk(tmp_path)
    disk.play("open", [str(tmp_path / "a.part"), CREATE], 3)
    disk.play("write", [3, b"data".hex()], 4)
    if sync_file:
        disk.play("fsync", [3], None)
    disk.play("close", [3], None)
    disk.play("replace", [str(tmp_path / "a.part"), str(tmp_path / "a")], None)
    if sync_folder:
        disk.play("open", [str(tmp_path), 0], 3)
        disk.play("fsync", [3], None)
    return disk


@pytest.mark.parametrize(
    ("sync_file", "sync_folder", "state", "wanted"),
    [
        (True, True, "undone", {"a": b"data"}),
        (True, True, "zeroed", {"a": b"data"}),
        (True, False, "undone", {}),
        (True, False, "kept", {"a": b"data"}),
        (False, True, "undone", {"a": b""}),
        (False, True, "zeroed", {"a": bytes(4)}),
        (False, True, "kept", {"a": b"data"}),
    ],
)
def test_only_what_was_synced_is_sure(tmp_path, sync_file, sync_folder, state, wanted):
    """Bytes without fsync may be cut or zero, renames without fsync of their folder undone."""
    assert written(tmp_path, sync_file=sync_file, sync_folder=sync_folder).after(state, 1) == wanted


def test_unsynced_bytes_are_followed_through_a_rename_of_their_folder(tmp_path):
    """A file that was never synced stays unsure when its folder gets another name."""
    disk = Disk(tmp_path)
    disk.play("mkdir", [str(tmp_path / "x.part")], None)
    disk.play("open", [str(tmp_path / "x.part" / "f"), CREATE], 3)
    disk.play("write", [3, b"data".hex()], 4)
    disk.play("close", [3], None)
    disk.play("open", [str(tmp_path / "x.part"), 0], 3)
    disk.play("fsync", [3], None)
    disk.play("replace", [str(tmp_path / "x.part"), str(tmp_path / "x")], None)
    disk.play("open", [str(tmp_path), 0], 3)
    disk.play("fsync", [3], None)

    assert disk.after("undone", 1) == {"x": None, "x/f": b""}
    assert disk.after("kept", 1) == {"x": None, "x/f": b"data"}
