"""The folder of the caches: whose it is, what is in it, what is thrown out first. Needs no torch.

    <root>/<kind>/<context>/<entry>.safetensors     entries that share weights and versions lie in one context
    <root>/clock                                    counts the runs that have used the cache

An entry's modification time is the number of the run that used it last, not a time: no clock of the machine decides anything.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path

from attrs import frozen

from loraspec.errors import LoraspecError
from loraspec.recipes import Recipe, table_sha256
from loraspec.weights import Header, header_bytes, read_header

LIMIT = "20 GiB"
LAYOUT = "2"  # of files; raise it when they are written in another way
KINDS = ("latents", "embeddings")
CLOCK = "clock"
KNOWN = "known.sqlite"  # see ``loraspec.known``
UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


class CacheError(LoraspecError):
    """The cache, or one of its files, cannot be used; no run fails for that."""


def cache_root() -> Path:
    """Return the cache's folder: ``LORASPEC_CACHE``, else ``loraspec`` in the user's cache folder."""
    named = os.environ.get("LORASPEC_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "loraspec"


def cache_limit() -> int:
    """Return how many bytes the cache may take: ``LORASPEC_CACHE_MAX`` (``20 GiB``, ``500 MB``, bytes), else 20 GiB; 0 keeps nothing.

    Raises:
        CacheError: The variable holds no size.
    """
    text = os.environ.get("LORASPEC_CACHE_MAX") or LIMIT
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text.lower())
    if found is None or found[2] not in UNITS:
        raise CacheError(f"LORASPEC_CACHE_MAX: {text!r} is no size; {LIMIT!r}, '500 MB' or a number of bytes would be right")
    return int(float(found[1]) * UNITS[found[2]])


def own(root: Path) -> None:
    """Make the cache's folder, for this user alone.

    Raises:
        CacheError: It belongs to another user, who could put anything into it.
        OSError: It cannot be made.
    """
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = root.stat()
    if facts.st_uid != os.geteuid():
        mend = "set LORASPEC_CACHE to a folder of your own"
        raise CacheError(f"{root} belongs to the user with the number {facts.st_uid}, this is {os.geteuid()}: not used; {mend}")
    if stat.S_IMODE(facts.st_mode) & 0o077:
        root.chmod(0o700)


@frozen
class File:
    """One file of the cache: its size in bytes, and the number of the run that used it last."""

    path: Path
    size: int
    used: int

    @property
    def staged(self) -> bool:
        """Whether it is what a writer that was killed left behind (or one that is still at it)."""
        return self.path.name.startswith(".")


def files(root: Path) -> Iterator[File]:
    """Yield what entries are in, in no order; files that go away meanwhile are left out."""
    for kind in KINDS:
        for folder, _, names in os.walk(root / kind):
            for name in names:
                path = Path(folder, name)
                try:
                    facts = path.stat(follow_symlinks=False)
                except OSError:
                    continue
                yield File(path, facts.st_size, int(facts.st_mtime))


def mark(path: Path, turn: int) -> None:
    """Note that the run of this number has used a file; a cache that cannot be written stays as it is."""
    try:
        os.utime(path, (turn, turn))
    except OSError:
        return


def turn_of(root: Path) -> int:
    """Return the number of the last run that used the cache, 0 for none."""
    try:
        text = (root / CLOCK).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return 0
    return int(text) if text.isdigit() and len(text) < 10 else 0


def trim(root: Path, limit: int, *, turn: int, needed: Collection[Path]) -> int:
    """Remove the files that were used longest ago until the rest takes at most ``limit`` bytes; return what the rest takes.

    Args:
        root: The cache.
        limit: Bytes.
        turn: Number of this run. A file with a later one has just been written, or was copied here: it is as if used now.
        needed: What stays in any case.
    """
    found = sorted(files(root), key=lambda file: (file.used, file.path))
    left = sum(file.size for file in found)
    for file in found:
        if file.used > turn:
            mark(file.path, turn)
        elif file.path not in needed and (left > limit or (file.staged and file.used < turn - 1)):
            file.path.unlink(missing_ok=True)
            left -= file.size
    return left


def clear(root: Path) -> int:
    """Remove every entry and nothing else; return the bytes that this freed."""
    freed = 0
    for file in [*files(root), *(File(path, path.stat().st_size, 0) for path in sorted(root.glob(f"{KNOWN}*")))]:
        file.path.unlink(missing_ok=True)
        freed += file.size
    for kind in KINDS:
        for folder, _, _ in sorted(os.walk(root / kind), reverse=True):
            if not any(Path(folder).iterdir()):
                Path(folder).rmdir()
    return freed


# -- what a file says of itself -------------------------------------------------------------------------------------------


@frozen(eq=False)
class Contents:
    """A file's header, verified: row ``i`` of every tensor belongs to entry ``i``.

    Attributes:
        header: Where the tensors are.
        recipes: What the entries were made of.
        facts: What is known of each entry besides, such as the name of its image.
        digests: sha256 of the tensors of each entry.
    """

    header: Header
    recipes: tuple[Recipe, ...]
    facts: tuple[dict[str, str], ...]
    digests: tuple[str, ...]

    @cached_property
    def rows(self) -> dict[str, int]:
        """The row of each entry by its key."""
        return {recipe.key: row for row, recipe in enumerate(self.recipes)}


def metadata_of(recipes: list[Recipe], facts: list[dict[str, str]], digests: list[str]) -> dict[str, str]:
    """Return the header's strings of a file of entries that share their context; ``sealed`` is still missing."""
    rows = [{"own": recipe.own, "facts": fact, "sha256": digest} for recipe, fact, digest in zip(recipes, facts, digests, strict=True)]
    return {"layout": LAYOUT, "common": json.dumps(recipes[0].common, sort_keys=True), "entries": json.dumps(rows, sort_keys=True)}


def seal(tensors: dict[str, tuple[str, tuple[int, ...]]], metadata: dict[str, str]) -> dict[str, str]:
    """Return the header's strings with the sha256 of the whole header, this one left out."""
    return {**metadata, "sealed": hashlib.sha256(header_bytes(tensors, metadata)).hexdigest()}


def name_of(recipes: Collection[Recipe]) -> str:
    """Return the file name for entries: the key of a single one, else a hash of all keys."""
    keys = sorted(recipe.key for recipe in recipes)
    return f"{keys[0]}.safetensors" if len(keys) == 1 else f"pack-{hashlib.sha256(''.join(keys).encode()).hexdigest()}.safetensors"


def read_contents(path: Path) -> Contents:
    """Read and verify a file's header.

    Raises:
        CacheError, WeightsError: It is not what was written, of another layout, or in another file's place.
        OSError: It cannot be read.
    """
    header = read_header(path)
    metadata = dict(header.metadata)
    if metadata.get("layout") != LAYOUT:
        raise CacheError(f"written in layout {metadata.get('layout')!r}, not {LAYOUT!r}")
    if seal(dict(header.tensors), {key: text for key, text in metadata.items() if key != "sealed"}) != metadata:
        raise CacheError("its header is not what was written")
    common, rows = json.loads(metadata["common"]), json.loads(metadata["entries"])
    recipes = tuple(Recipe(common, row["own"]) for row in rows)
    if path.name != name_of(recipes) or path.parent.name != table_sha256(common)[:16]:
        raise CacheError("it is another entry's file")
    return Contents(header, recipes, tuple(row["facts"] for row in rows), tuple(row["sha256"] for row in rows))
