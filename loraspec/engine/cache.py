"""One store for latents and prompt embeddings, shared between runs: named by what decides the numbers, verified at every read.

An entry that is damaged is dropped, told and made again; a cache that cannot be written is told once, and the run goes on without.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch
from attrs import frozen
from torch import Tensor

from loraspec.cachefolder import (
    CLOCK,
    CacheError,
    Contents,
    cache_limit,
    files,
    mark,
    metadata_of,
    name_of,
    own,
    read_contents,
    seal,
    trim,
    turn_of,
)
from loraspec.engine.store import DTYPES, NAMES, tensors_sha256, write_bytes, write_tensors
from loraspec.errors import LoraspecError
from loraspec.recipes import Recipe

RESERVE = 512 * 2**20  # bytes that stay free on the disk: the epochs come first
NAMED = 5


@frozen(eq=False)
class Entry:
    """What the cache holds for a recipe: tensors on the host, and what is known besides."""

    tensors: dict[str, Tensor]
    facts: dict[str, str]


class Cache:
    """The cache as one run uses it.

    Args:
        root: Its folder.
        say: Takes a warning for the user.

    Attributes:
        damaged: What the entries were for that turned out damaged.
    """

    def __init__(self, root: Path, say: Callable[[str], None]) -> None:
        self.root = root
        self._say = say
        self.damaged: list[str] = []
        self._needs: list[Callable[[], Iterable[Recipe]]] = []
        self._packs: dict[Path, dict[str, Path]] = {}
        self._contents: dict[Path, Contents] = {}
        self._readable, self._writable = True, True
        self._turn = self._limit = self._size = 0
        self._used: set[Path] = set()
        self._open()

    def _open(self) -> None:
        try:
            self._limit = cache_limit()
            self._readable = self._writable = self._limit > 0
            if not self._limit:
                return
            own(self.root)
            self._size = sum(file.size for file in files(self.root))
            self._turn = turn_of(self.root) + 1
            write_bytes(self.root / CLOCK, f"{self._turn}\n".encode())
        except CacheError as error:
            self._readable = self._writable = False
            self._say(f"no cache: {error} [W-CACHE-OFF]")
        except OSError as error:
            self._without(error)

    def needs(self, recipes: Callable[[], Iterable[Recipe]]) -> None:
        """Name what the run will still ask for, so that it is never thrown out; called only when room has to be made."""
        self._needs.append(recipes)

    # -- reading -------------------------------------------------------------------------------------------------------

    def get(self, recipe: Recipe, *, name: str) -> Entry | None:
        """Return an entry, or None when it is absent or damaged.

        Args:
            recipe: What it is made of.
            name: What it is for, in words for the user.
        """
        path = self._find(recipe) if self._readable else None
        if path is None:
            return None
        try:
            entry = self._read(path, recipe)
        except FileNotFoundError:  # another run has thrown it out meanwhile
            return None
        except (LoraspecError, OSError, ValueError, LookupError, TypeError):
            self.drop(recipe, name=name)
            return None
        if path not in self._used:
            self._used.add(path)
            mark(path, self._turn)
        return entry

    def drop(self, recipe: Recipe, *, name: str) -> None:
        """Remove an entry that is not what it says, and the rest of its file."""
        self.damaged.append(name)
        path = self._find(recipe)
        if path is not None:
            self._remove(path)

    def _remove(self, path: Path) -> None:
        packs = self._packs.get(path.parent, {})
        for key in [key for key, known in packs.items() if known == path]:
            del packs[key]
        self._contents.pop(path, None)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            self._without(error)

    def _find(self, recipe: Recipe) -> Path | None:
        folder = self.root / recipe.kind / recipe.context
        alone = folder / name_of([recipe])
        if alone.exists():
            return alone
        if folder not in self._packs:
            self._packs[folder] = {}
            for path in sorted(folder.glob("pack-*.safetensors")):
                self._index(path)
        return self._packs[folder].get(recipe.key)

    def _index(self, path: Path) -> None:
        try:
            contents = read_contents(path)
        except FileNotFoundError:
            return
        except (LoraspecError, OSError, ValueError, LookupError, TypeError):
            self.damaged.append(f"a file of {path.parent.parent.name}")
            self._remove(path)
            return
        self._contents[path] = contents
        self._packs[path.parent].update(dict.fromkeys(contents.rows, path))

    def _read(self, path: Path, recipe: Recipe) -> Entry:
        contents = self._contents.get(path) or read_contents(path)
        row = contents.rows[recipe.key]
        tensors = _row(path, contents, row)
        if tensors_sha256(tensors) != contents.digests[row]:
            raise CacheError("its tensors are not what was written")
        return Entry(tensors, contents.facts[row])

    # -- writing -------------------------------------------------------------------------------------------------------

    def put(self, recipes: Sequence[Recipe], tensors: Sequence[Mapping[str, Tensor]], facts: Sequence[dict[str, str]]) -> None:
        """Keep entries of one context, in one file; a disk that refuses is told, and nothing is written from then on.

        Args:
            recipes: What they are made of.
            tensors: The tensors of each, of equal names, dtypes and shapes, on the host.
            facts: What is known of each besides.
        """
        if not self._writable or not recipes:
            return
        digests = [tensors_sha256(one) for one in tensors]
        stacked = {name: torch.stack([one[name] for one in tensors]) for name in tensors[0]}
        shapes = {name: (NAMES[tensor.dtype], tuple(tensor.shape)) for name, tensor in stacked.items()}
        metadata = seal(shapes, metadata_of(list(recipes), list(facts), digests))
        path = self.root / recipes[0].kind / recipes[0].context / name_of(recipes)
        size = sum(tensor.nbytes for tensor in stacked.values()) + sum(map(len, metadata.values())) + 1024
        try:
            if not self._room(size):
                return
            for folder in (path.parent.parent, path.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
            write_tensors(path, stacked, metadata)
        except OSError as error:
            self._without(error)
            return
        mark(path, self._turn)
        self._used.add(path)
        self._size += size
        if len(recipes) > 1 and path.parent in self._packs:
            self._index(path)

    def _room(self, size: int) -> bool:
        """Make room for so many bytes; False when there is none."""
        if self._size + size > self._limit:
            wanted = [self._find(recipe) for needs in self._needs for recipe in needs()]
            needed = {*self._used, *(path for path in wanted if path)}
            self._size = trim(self.root, self._limit - size, turn=self._turn, needed=needed)
            if self._size + size > self._limit:
                self._full(f"what this run needs is more than LORASPEC_CACHE_MAX ({self._limit:,} bytes)")
        free = shutil.disk_usage(self.root).free
        if self._writable and free - size < RESERVE:
            self._full(f"{free:,} bytes are free on its disk, and {RESERVE:,} are left to the epochs")
        return self._writable

    def _full(self, why: str) -> None:
        self._writable = False
        self._say(f"the cache is full: {why}; nothing more is kept [W-CACHE-FULL]")

    def _without(self, error: OSError) -> None:
        if self._writable:
            self._say(f"the cache {self.root} cannot be written ({error.strerror or error}); the run goes on without [W-CACHE-OFF]")
        self._writable = False

    # -- words ---------------------------------------------------------------------------------------------------------

    def tell_damage(self) -> None:
        """Tell what was damaged since the last time."""
        damaged, self.damaged = self.damaged, []
        if damaged:
            more = f" and {len(damaged) - NAMED} more" if len(damaged) > NAMED else ""
            entries = "entry was" if len(damaged) == 1 else "entries were"
            named = ", ".join(damaged[:NAMED]) + more
            self._say(f"{len(damaged)} cache {entries} damaged and made again: {named} [W-CACHE-DAMAGED]")


def _row(path: Path, contents: Contents, row: int) -> dict[str, Tensor]:
    """Read one entry's tensors from its file."""
    tensors = {}
    header = contents.header
    with path.open("rb") as file:
        for name, (dtype, shape) in header.tensors.items():
            start, stop = header.offsets[name]
            size = (stop - start) // len(contents.recipes)
            file.seek(header.data_start + start + row * size)
            data = bytearray(size)
            if file.readinto(data) != size:
                raise CacheError("cut short")
            tensors[name] = torch.frombuffer(data, dtype=DTYPES[dtype]).reshape(shape[1:])
    return tensors
