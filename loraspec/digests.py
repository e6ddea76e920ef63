"""Digests of files: of their bytes, and of what a weight file holds whoever wrote it. No torch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from attrs import frozen

from loraspec.weights import WeightsError, read_header

_CHUNK = 1 << 20


@frozen
class FileDigest:
    """A file: size in bytes, sha256 of its bytes, and of its content (see ``content_sha256``)."""

    size: int
    sha256: str
    content_sha256: str


def file_digest(path: Path) -> FileDigest:
    """Read a file and return its digests.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as handle:
        whole = hashlib.file_digest(handle, "sha256").hexdigest()
    return FileDigest(path.stat().st_size, whole, _tensors_sha256(path) or whole)


def content_sha256(path: Path) -> str:
    """Return the sha256 over name, dtype, shape and bytes of each tensor, in the order of names.

    Saving the same tensors again, with another header or in another order, does not change it. A file that holds no
    tensors has the sha256 of its bytes.

    Raises:
        OSError: It cannot be read.
    """
    found = _tensors_sha256(path)
    if found:
        return found
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _tensors_sha256(path: Path) -> str:
    """The content digest of a whole safetensors file, "" for anything else."""
    if path.suffix != ".safetensors":
        return ""
    try:
        header = read_header(path)
    except WeightsError:
        return ""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for name, (dtype, shape) in sorted(header.tensors.items()):
            digest.update(json.dumps([name, dtype, list(shape)], separators=(",", ":")).encode("ascii") + b"\n")
            start, stop = header.offsets[name]
            file.seek(header.data_start + start)
            left = stop - start
            while left:
                part = file.read(min(left, _CHUNK))
                if not part:
                    raise OSError(f"{path} became shorter while it was read")
                digest.update(part)
                left -= len(part)
    return digest.hexdigest()
