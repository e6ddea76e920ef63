"""Registers the picture-book: its data source, its metric, its styles, and the hook through which others add styles."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from loraspec import Component, hookimpl, hookspec
from loraspec_picturebook.registry import DATA_SOURCES, EVALUATORS

if TYPE_CHECKING:
    from loraspec_picturebook.styles import Style


class PicturebookHooks:
    """What other plugins may implement for the picture-book."""

    @hookspec
    def loraspec_picturebook_register_style(self) -> Iterable[Style]:  # type: ignore[empty-body]
        """Offer styles (``loraspec_picturebook.styles.Style``) for the data source ``picturebook`` and for the truth."""


@hookimpl
def loraspec_register_hookspecs() -> Iterable[Any]:
    """Offer the hook for styles."""
    return (PicturebookHooks,)


@hookimpl
def loraspec_register_data_source() -> Iterable[Component]:
    """Offer ``picturebook``."""
    return DATA_SOURCES


@hookimpl
def loraspec_register_evaluator() -> Iterable[Component]:
    """Offer ``picturebook-margin``."""
    return EVALUATORS


@hookimpl
def loraspec_picturebook_register_style() -> Iterable[Style]:
    """Offer ``lithograph``, ``engraving`` and ``stained-glass``."""
    from loraspec_picturebook.styles import STYLES

    return tuple(STYLES.values())
