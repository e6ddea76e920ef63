"""The drawings that may be chosen, by theme: one clear thing each, with a name in Unicode that says what is drawn.

Left out on purpose: faces and people, flags, letters, arrows and signs; things whose Unicode name does not fit
OpenMoji's drawing ("basketball and hoop" has no hoop); drawings that are cut by the canvas, fall to crumbs at 64 px or
are lines without fills. All code points are in Unicode 14 or older, so that every supported Python knows their names.
"""

from __future__ import annotations

import unicodedata
from typing import Final, Literal

Theme = Literal["animals", "food", "objects", "transport"]

THEMES: Final[dict[str, str]] = {
    "animals": "🐶🐱🐭🐹🐰🦊🐻🐼🐨🐯🦁🐮🐷🐸🐵🐔🐧🐦🐤🦆🦉🐗🐴🦋🐌🐞🐢🐍🐙🦀🐡🐠🐟🐬🐳🐋🐊🐘🐄🐖🐑🐐🐕🐈🐓🦚🦜🦢🐇🐿🦔",
    "food": "🍎🍐🍊🍋🍌🍉🍇🍓🍒🍑🥭🍍🥥🥝🍅🍆🥑🥕🌽🌶🥒🧄🧅🥔🥐🍞🧀🥚🥞🥓🍔🍟🍕🌭🥪🌮🍦🍩🍪🎂🍰🧁🍫🍬🍭🍄🌰🍺🥤🍷",
    "objects": "☂🎈🎁🏆⚽⚾🧩🎸🎺🎻🥁🎨🎩👑🧢👟🎒💼🧳🔑🔒🔔🔨🔧🧲🪑🛏🚪🧸📷📺📻💡🕯📕✏🧹🫖🏠🏰🌳🌲🌵🌷🌻🍁🧦🧤",
    "transport": "🚗🚕🚌🚎🏎🚓🚑🚒🚐🚚🚜🛵🏍🚠🚂✈🛩🚁🚀🛸🛶⛵🚤🛥⚓",
}
"""Characters by theme. A character stands in one theme only."""


def name_of(character: str) -> str:
    """Return the Unicode name as words of a caption: ``dog face``, ``european castle``."""
    return unicodedata.name(character).lower()
