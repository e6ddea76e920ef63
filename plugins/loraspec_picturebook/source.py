"""The data source ``picturebook``: captioned pictures of a style set, drawn on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from loraspec import Problem
from loraspec.errors import closest
from loraspec.values import Context, Sample, Scan
from loraspec_picturebook.registry import STYLE_HOOK

if TYPE_CHECKING:
    from loraspec_picturebook.registry import PicturebookOptions
    from loraspec_picturebook.styles import Style
    from loraspec_picturebook.world import Scene

CREDITS = "loraspec picture-book, drawn by the package loraspec_picturebook (CC0-1.0)"


@frozen(eq=False)
class _Drawer:
    """Draws one picture when it is read."""

    scene: Scene
    style: Style
    size: int

    def __call__(self) -> bytes:
        """The picture as PNG bytes, always the same."""
        from loraspec_picturebook.sets import png, set_picture

        return png(set_picture(self.scene, self.style, size=self.size))


@frozen(eq=False)
class Picturebook:
    """The pictures of one style set; nothing is drawn before a sample is read."""

    options: PicturebookOptions

    def scan(self, context: Context) -> Scan:
        """Return the samples, keys STYLE-0001.png and on; an unknown or ambiguous style is a problem."""
        from loraspec_picturebook.sets import set_scenes, style_caption

        options = self.options
        offered = [(plugin, style) for plugin, styles in context.extensions(STYLE_HOOK) for style in styles]
        found = [(plugin, style) for plugin, style in offered if options.style in (style.name, f"{plugin}:{style.name}")]
        if len(found) != 1:
            return Scan((), (_not_one(options.style, found, offered),))
        style: Style = found[0][1]
        samples = []
        for number, scene in enumerate(set_scenes(options.images, seed=options.seed), start=1):
            samples.append(
                Sample(
                    key=f"{style.name}-{number:04d}.png",
                    width=options.size,
                    height=options.size,
                    caption=style_caption(scene, style),
                    rights="own",
                    credits=CREDITS,
                    read=_Drawer(scene, style, options.size),
                )
            )
        return Scan(tuple(samples))


def _not_one(wanted: str, found: list[tuple[str, Style]], offered: list[tuple[str, Style]]) -> Problem:
    if found:
        choices = ", ".join(repr(f"{plugin}:{style.name}") for plugin, style in found)
        return Problem("style", f"{wanted!r} is offered by several plugins", f"write one of {choices}", code="E-PLUGIN-CLASH")
    names = sorted(style.name for _, style in offered)
    near = closest(wanted, names)
    hint = f"did you mean {near!r}?" if near else f"one of {', '.join(names)}, or name a plugin file that adds it"
    return Problem("style", f"no style is named {wanted!r}", hint, code="E-PLUGIN-MISSING")
