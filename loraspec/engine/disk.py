"""The one place where a run writes to the disk: every file, folder, rename and removal of a run is an operation of this module.

Light, so that whatever writes can use it. A harness that replaces ``disk.os`` sees every operation.
Nothing is retried: after a failed fsync the kernel may have dropped the page, so the file counts as lost.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from loraspec.engine.interrupts import shielded

PART = ".part"  # ends the name of everything that is not yet what it will be
NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF}
PIECE = 2**20  # bytes
MODE = 0o666  # & ~umask, as for any file

weak: set[str] = set()  # names of folders whose file system cannot make renames durable


def staged(path: Path) -> Path:
    """Return the name under which ``path`` is made: hidden, beside it, of this process."""
    return path.with_name(f".{path.name}.{os.getpid()}{PART}")


def is_staged(name: str) -> bool:
    """Whether a name is of something that was never finished."""
    return name.startswith(".") and name.endswith(PART)


def sync_folder(folder: Path) -> None:
    """Make what happened to names in ``folder`` durable; a file system that cannot is noted in ``weak``."""
    handle = os.open(folder, os.O_RDONLY, 0)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC:
            raise _placed(error, folder) from error
        weak.add(folder.name)
    finally:
        os.close(handle)


def make_folders(folder: Path) -> None:
    """Make a folder and those above it, durably."""
    if folder.is_dir():
        return
    make_folders(folder.parent)
    with shielded():
        try:
            os.mkdir(folder, 0o777)  # noqa: PTH102
        except FileExistsError:
            if not folder.is_dir():
                raise
        sync_folder(folder.parent)


def write_new(path: Path, *chunks: bytes | memoryview) -> str:
    """Write a file that is not there yet, durably but for its name; return its sha256 (hex).

    For files of a folder that is itself staged: syncing that folder is left to the caller.
    """
    with shielded():
        return _write(path, chunks)


def write_file(path: Path, *chunks: bytes | memoryview) -> str:
    """Write a file atomically and durably: whole and new, or as it was; return its sha256 (hex)."""
    make_folders(path.parent)
    beside = staged(path)
    with shielded():
        try:
            digest = _write(beside, chunks)
            os.replace(beside, path)  # noqa: PTH105
        except BaseException:
            _gone(beside)
            raise
        sync_folder(path.parent)
    return digest


def append(path: Path, data: bytes, *, durable: bool) -> None:
    """Append to a file, all or nothing unless the machine stops; ``durable`` waits until it is on the disk."""
    new = not path.exists()
    if new:
        make_folders(path.parent)
    with shielded():
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, MODE)
        try:
            before = os.fstat(handle).st_size
            try:
                _put(handle, memoryview(data))
            except OSError:
                os.ftruncate(handle, before)  # half a line would spoil the next one
                raise
            if durable:
                os.fsync(handle)
        except OSError as error:
            raise _placed(error, path) from error
        finally:
            os.close(handle)
        if new and durable:
            sync_folder(path.parent)


def move(source: Path, target: Path) -> None:
    """Rename, durably; both lie in one file system."""
    make_folders(target.parent)
    with shielded():
        os.replace(source, target)  # noqa: PTH105
        sync_folder(target.parent)
        if source.parent != target.parent:
            sync_folder(source.parent)


def discard(path: Path) -> None:
    """Remove a file or a whole folder; links are removed, never followed. A folder is first renamed, so it never looks half whole."""
    with shielded():
        if not _is_folder(path):
            os.unlink(path)  # noqa: PTH108
            sync_folder(path.parent)
            return
        if not is_staged(path.name):
            doomed = path.with_name(f".{path.name}.{os.getpid()}.old{PART}")
            os.replace(path, doomed)  # noqa: PTH105
            sync_folder(path.parent)
            path = doomed
        _discard_folder(path)
        sync_folder(path.parent)


def shorten(path: Path, size: int) -> None:
    """Cut a file down to ``size`` bytes, durably."""
    with shielded():
        handle = os.open(path, os.O_WRONLY, MODE)
        try:
            os.ftruncate(handle, size)
            os.fsync(handle)
        except OSError as error:
            raise _placed(error, path) from error
        finally:
            os.close(handle)


def open_kept(path: Path) -> int:
    """Open a file that stays open, and make it when it is absent: the lock file."""
    return os.open(path, os.O_RDWR | os.O_CREAT, MODE)


def overwrite(handle: int, data: bytes) -> None:
    """Replace what an open file holds, in place: for the note in a lock file, which nothing relies on."""
    os.ftruncate(handle, 0)
    os.lseek(handle, 0, os.SEEK_SET)
    _put(handle, memoryview(data))


def probe(folder: Path, longest_name: str) -> None:
    """Write, sync and remove a file with the longest name that will be needed: what the disk refuses is told now, not after hours.

    Raises:
        OSError: With the place.
    """
    path = folder / f".{longest_name}.{os.getpid()}{PART}"
    with shielded():
        try:
            _write(path, (b"loraspec",))
        finally:
            _gone(path)


def _write(path: Path, chunks: Iterable[bytes | memoryview]) -> str:
    digest = hashlib.sha256()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, MODE)
    try:
        for data in _gathered(chunks):
            digest.update(data)
            _put(handle, memoryview(data))
        os.fsync(handle)
    except OSError as error:
        raise _placed(error, path) from error
    finally:
        os.close(handle)
    return digest.hexdigest()


def _gathered(chunks: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    """Join small pieces: a weight file has hundreds of tensors of a few kB."""
    small = bytearray()
    for chunk in chunks:
        if len(small) + len(chunk) <= PIECE:
            small += chunk
            continue
        yield bytes(small)
        small.clear()
        yield chunk
    yield bytes(small)


def _put(handle: int, data: memoryview) -> None:
    while data:
        data = data[os.write(handle, data):]


def _discard_folder(folder: Path) -> None:
    for entry in sorted(folder.iterdir()):
        if _is_folder(entry):
            _discard_folder(entry)
        else:
            os.unlink(entry)  # noqa: PTH108
    os.rmdir(folder)  # noqa: PTH106


def _gone(path: Path) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108


def _is_folder(path: Path) -> bool:
    return stat.S_ISDIR(path.lstat().st_mode)


def _placed(error: OSError, path: Path) -> OSError:
    """The same error with the file it is about: calls on a handle do not know it."""
    return error if error.filename else OSError(error.errno, error.strerror, str(path))
