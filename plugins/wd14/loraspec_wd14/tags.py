"""The table of a tagger's tags, and which of them make a caption; imports nothing heavy."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from loraspec.errors import EnvironmentMissing

if TYPE_CHECKING:
    from loraspec_wd14.hooks import WD14Options

GENERAL, CHARACTER, RATING = "0", "4", "9"  # Danbooru's numbers of categories
FACES = {"0_0", "(o)_(o)", "+_+", "+_-", "._.", "<o>_<o>", "<|>_<|>", "=_=", ">_<", "3_3", "6_9", ">_o", "@_@", "^_^", "o_o", "u_u", "x_x",
         "|_|", "||_||"}  # fmt: skip
"""Tags that draw a face, in which an underscore is a mouth."""


@frozen
class Tag:
    """One line of the table."""

    name: str
    category: str


def read_tags(path: Path) -> tuple[Tag, ...]:
    """Return the tags in the order of the model's outputs.

    Raises:
        EnvironmentMissing: The table cannot be read, or is another one.
    """
    hint = "it is the file that lies beside model.onnx: columns tag_id, name, category, count"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if not {"name", "category"} <= set(reader.fieldnames or ()):
                raise EnvironmentMissing(f"{path.name} has no columns name and category", hint=hint).coded("E-PLUGIN-WEIGHTS")
            return tuple(Tag(row["name"] or "", row["category"] or "") for row in reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EnvironmentMissing(f"{path.name} cannot be read: {error}", hint=hint).coded("E-PLUGIN-WEIGHTS") from None


def chosen(tags: Sequence[Tag], confidences: Sequence[float], options: WD14Options) -> dict[str, float]:
    """Return the tags of one image, as they are written, with their confidences in [0, 1], in their order."""
    least = {GENERAL: options.general, CHARACTER: options.character, RATING: options.rating}
    seen = [(number, tag, float(sure)) for number, (tag, sure) in enumerate(zip(tags, confidences, strict=True))
            if least.get(tag.category, 2.0) < 1.0 and sure >= least[tag.category] and not _like(tag.name, options.exclude)]  # fmt: skip
    seen.sort(key=lambda one: -one[2])
    seen = seen[: options.most or None]
    if options.order == "name":
        seen.sort(key=lambda one: one[1].name)
    elif options.order == "table":
        seen.sort(key=lambda one: one[0])
    seen.sort(key=lambda one: _place(one[1].name, options.first))
    return {_written(tag.name, options): sure for _, tag, sure in seen}


def _like(name: str, patterns: Sequence[str]) -> bool:
    return _place(name, patterns) < len(patterns)


def _place(name: str, patterns: Sequence[str]) -> int:
    """Return the place of the first pattern that fits a tag, with underscores or spaces; their number when none does."""
    spoken = name.replace("_", " ")
    return next((place for place, pattern in enumerate(patterns) if fnmatchcase(spoken, pattern.replace("_", " "))), len(patterns))


def _written(name: str, options: WD14Options) -> str:
    plain = name if options.underscores or name in FACES else name.replace("_", " ")
    return plain.replace(",", " ")  # a caption's separator: no known tag has it, a table may hold anything
