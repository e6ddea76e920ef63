"""Which files a base consists of, for the lock. No torch; nothing is fetched."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from loraspec.errors import LockError
from loraspec.values import Context
from loraspec_guide.models.hub import PARTS, cached
from loraspec_guide.models.places import Place, find

if TYPE_CHECKING:
    from loraspec_guide.models.registry import ModelOptions

COMMIT: Final = re.compile(r"[0-9a-f]{40}")
READ: Final = (".safetensors", ".json", ".txt")


def files_of(options: ModelOptions, context: Context) -> Callable[[], Mapping[str, Path]]:
    """Return what lists every file that loading this base reads, by a name without folders of the machine; {} when it is not here."""

    def listed() -> dict[str, Path]:
        if find(options.checkpoint, context).kind == "hub" and not COMMIT.fullmatch(options.revision):
            raise LockError(
                f"model.revision: {options.revision!r} is a branch or tag of {options.checkpoint}, which may move\n"
                "    hint: write the commit's 40 hexadecimal digits, as the hub shows them under History"
            ).coded("E-LOCK-REVISION")
        found = dict(_below(find(options.checkpoint, context), options.revision, options.variant))
        if options.vae is not None:
            vae = find(options.vae, context, what="model.vae")
            found |= {f"vae: {name}": path for name, path in _below(vae, "main", options.variant)}
        if options.tokenizer is not None:
            found |= {f"tokenizer: {name}": path for name, path in _below(find(options.tokenizer, context), "main", None)}
        return found

    return listed


def _below(place: Place, revision: str, variant: str | None) -> Iterator[tuple[str, Path]]:
    folder = cached(place.text, revision) if place.kind == "hub" else place.path
    if place.kind == "file" and folder is not None:
        yield folder.name, folder
    elif folder is not None:
        parts = [folder / part for part in PARTS if (folder / part).is_dir()] or [folder]
        inside = [path for part in parts for path in sorted(part.iterdir()) if path.suffix in READ and (variant or not _is_variant(path))]
        for path in sorted([*inside, folder / "model_index.json"]):
            if path.is_file():
                yield path.relative_to(folder).as_posix(), path


def _is_variant(path: Path) -> bool:
    return path.suffix == ".safetensors" and len(path.suffixes) > 1
