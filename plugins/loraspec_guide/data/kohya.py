"""Folders as kohya's trainers read them: ``N_words``, where N is how often each image is seen in an epoch.

As there, an image without a caption of its own is captioned by the words of its folder, and what lies outside such folders is not used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from loraspec import Problem
from loraspec.textfile import NotTextError, TooLargeError, decode, read_plain
from loraspec_guide.data.captionfile import caption_of
from loraspec_guide.data.folder import Folder, FolderScan, Names
from loraspec_guide.data.imagefolder import MAX_TABLE
from loraspec_guide.data.walk import stem

if TYPE_CHECKING:
    from loraspec.values import Sample
    from loraspec_guide.data.registry import KohyaOptions

_FOLDER = re.compile(r"(\d{1,4})_(.*)")


@frozen(eq=False)
class Kohya(Folder):
    """Images in folders named ``N_words``."""

    options: KohyaOptions

    def _look(self, root: Path) -> FolderScan:
        problems: list[Problem] = []
        rows = _metadata(root, self.options.metadata, problems) if self.options.metadata else {}
        return _KohyaScan(root, self.options, problems=problems, rows=rows)


@frozen(eq=False)
class _KohyaScan(FolderScan):
    """A look at such folders."""

    rows: Mapping[str, str] = field(kw_only=True)

    def _captions(self) -> tuple[str, ...]:
        return (self.options.caption_extension,)  # type: ignore[attr-defined]

    def _sample(self, key: str, named: Names) -> Sample | None:
        if _parts(key) is None:
            self.remarks.add("W-DATA-OUTSIDE", key)
            return None
        return super()._sample(key, named)

    def _repeats(self, key: str) -> int | None:
        parts = _parts(key)
        return parts[0] if parts else None

    def _caption(self, key: str, named: Names) -> tuple[str | None, Path | None]:
        text, path = super()._caption(key, named)
        if text is not None:
            return text, path
        for name in (key, stem(key), PurePosixPath(key).name, stem(PurePosixPath(key).name)):
            if name in self.rows:
                return self._text(key, caption_of(key, self.rows[name])), path
        parts = _parts(key)
        if parts is None or not parts[1]:
            return None, path
        self.remarks.add("W-CAP-FOLDER", key, parts[1])
        return parts[1], path


def _parts(key: str) -> tuple[int, str] | None:
    """Return repeats and words of the folder that an image lies in; None when it is another kind of folder, or is to be seen 0 times."""
    folder, _, rest = key.partition("/")
    found = _FOLDER.fullmatch(folder) if rest else None
    if found is None or int(found[1]) == 0:
        return None
    return int(found[1]), " ".join(found[2].split())


def _metadata(root: Path, name: str, problems: list[Problem]) -> dict[str, str]:
    """Return captions by image of kohya's metadata: ``{image: {"caption": text, "tags": text}}``, whatever folders the names have."""
    found: dict[str, str] = {}

    def tell(message: str, hint: str = "") -> None:
        problems.append(Problem("metadata", message, hint, code="E-DATA-TABLE"))

    try:
        table = json.loads(decode(read_plain(root / name, MAX_TABLE))[0])
    except NotTextError as error:
        tell(f"{name} {error.message} in line {error.line}, column {error.column}", "save it as UTF-8")
        return found
    except (OSError, TooLargeError, ValueError, RecursionError) as error:
        tell(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}", "metadata names a JSON file inside the folder")
        return found
    if not isinstance(table, dict):
        tell(f"{name} is no table of images, as kohya's metadata is")
        return found
    for image, row in table.items():
        parts: list[Any] = [row.get(kind) for kind in ("caption", "tags")] if isinstance(row, dict) else [0]
        if not all(part is None or isinstance(part, str) for part in parts):
            tell(f"{name}: {image!r}: caption and tags are texts"[:300])
            continue
        text = ", ".join(part.strip() for part in parts if part and part.strip())
        if text:
            place = PurePosixPath(image.replace("\\", "/"))
            found[str(place)] = found[place.name] = text
    return found
