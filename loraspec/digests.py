"""Digests of files: of their bytes, and of what a weight file holds whoever wrote it. No torch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from attrs import frozen

from loraspec.known import known
from loraspec.weights import WeightsError, read_header

CONTENT = "content 1"  # of a weight file; raise it when its digest is made of something else
_CHUNK = 1 << 20


@frozen
class FileDigest:
    """A file: size in bytes, sha256 of its bytes, and of its content.

    The content of a safetensors file is name, dtype, shape and bytes of each tensor, in the order of names: saving the same tensors again,
    with another header or in another order, does not change it. Any other file's content is its bytes.
    """

    size: int
    sha256: str
    content_sha256: str


def file_sha256(path: Path) -> str:
    """Return the sha256 (hex) of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def file_digest(path: Path) -> FileDigest:
    """Return the digests of a file; one that is known (see ``loraspec.known``) is not read again.

    Raises:
        OSError: It cannot be read.
    """
    before, facts = known(), path.stat()
    sha256 = before.sha256(path)
    content = None if sha256 is None else before.of_bytes(sha256, CONTENT)
    if sha256 is None or content is None:
        sha256 = file_sha256(path)
        content = _tensors_sha256(path) or sha256
        before.keep(path, facts, sha256)
        before.learn(sha256, CONTENT, content)
        before.save()
    return FileDigest(facts.st_size, sha256, str(content))


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
