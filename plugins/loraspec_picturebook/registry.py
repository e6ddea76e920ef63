"""The components of the picture-book, with their options; imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen, validators

from loraspec import Component, option

if TYPE_CHECKING:
    from loraspec.metrics import Metric
    from loraspec_picturebook.source import Picturebook

STYLE_HOOK: Final = "loraspec_picturebook_register_style"
"""The hook through which plugins add styles."""


@frozen
class PicturebookOptions:
    """Options of ``picturebook``."""

    style: str = option(
        default="lithograph",
        help="Name of the style; a plugin can add more. plugin:name where two plugins offer the same name.",
        validator=validators.min_len(1),
    )
    images: int = option(
        default=40,
        help="How many pictures the set holds.",
        unit="images",
        validator=[validators.ge(1), validators.le(1000)],
    )
    seed: int = option(default=0, help="Which scenes are drawn; equal seeds give equal pictures.", validator=validators.ge(0))
    size: int = option(default=64, help="Side of the square pictures.", unit="px", validator=[validators.ge(32), validators.le(1024)])


def _picturebook(options: PicturebookOptions) -> Picturebook:
    """Captioned pictures of a style set, drawn by the package itself; the truth of every picture is known."""
    from loraspec_picturebook.source import Picturebook

    return Picturebook(options)


@frozen
class NoOptions:
    """The reader knows what it needs."""


def _picturebook_margin(options: NoOptions) -> Metric:
    """Prompt: how probable the prompt's subject is among the subjects of the picture-book, by a small model that read it. Votes."""
    from loraspec_picturebook.margin import PicturebookMargin

    return PicturebookMargin()


EVALUATORS: Final = (
    Component("picturebook-margin", NoOptions, _picturebook_margin, libraries=("torch", "transformers", "numpy", "pillow"), axis="prompt"),
)
DATA_SOURCES: Final = (Component("picturebook", PicturebookOptions, _picturebook, libraries=("numpy", "pillow")),)
