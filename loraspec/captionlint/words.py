"""Words that the rules know, in English; what they miss is a remark too many, never an error."""

from __future__ import annotations

import re


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


COLOURS = _set("""
    amber azure beige black blond blonde blue bronze brown burgundy charcoal cobalt copper coral cream crimson cyan emerald fuchsia
    gold golden gray green grey indigo ivory khaki lavender lilac lime magenta maroon mauve monochrome multicolored multicoloured navy
    ochre olive orange peach pink purple red rose ruby rust salmon scarlet sepia silver tan teal terracotta turquoise umber vermilion
    violet white yellow bright colorful colourful dark pale pastel vivid
""")

TEXTURES = _set("""
    brushstroke brushstrokes canvas chalk charcoal cloudy coarse crackled creased cracked crosshatched crosshatching dotted embroidered
    engraved faded feathery fluffy foxed fuzzy furry glossy grain grainy gritty hatched hatching hairy impasto ink knitted lace leather
    linen marbled matte metallic mossy mottled paper patterned polished quilted ribbed ridged rough rusty scaly scratched shaded
    shading shiny silk smooth smudged speckled stained stippled stippling striped tattered texture textured torn translucent tweed
    velvet washed wash weathered wet wooden wood woolen woollen woven wrinkled
""")

BACKDROP = _set("""
    alley apartment backdrop background balcony bar barn bathroom beach bedroom beyond bridge cafe castle cathedral cave cemetery
    church city cliff clouds coast corridor countryside courtroom courtyard desert dock doorway factory farm field fields forest garden
    hall harbor harbour hill hills horizon house indoors interior island jungle kitchen lake landscape library market meadow moon
    mountain mountains museum night ocean office outdoors outside palace park path plain plaza pond porch prison pub quay railway
    restaurant river road roof rooftop room ruins school sea seaside shop shore sidewalk sky snow space square stage stadium staircase
    station street studio sunset temple theater theatre town train tunnel underwater valley village wall wilderness window woods
    workshop yard
""")
BACKDROP_PHRASES = (
    "behind", "in front of", "in the distance", "against a", "against the", "surrounded by", "set in", "empty page", "plain page",
)  # fmt: skip

MEDIA = _set("""
    acrylic airbrush aquatint caricature cartoon charcoal collage comic cyanotype daguerreotype drawing engraving etching fresco
    gouache illustration linocut lithograph lithography mezzotint mosaic oil painting pastel pencil photo photograph photography print
    screenprint sculpture sketch stencil tempera watercolor watercolour woodblock woodcut woodprint
""")

GENERIC = _set("""
    animal being boy building child creature drawing figure girl guy human image individual lady man men object painting people person
    picture portrait scene someone something subject thing woman women
""")

FILLER = (
    "the image shows", "this image shows", "the picture shows", "the image depicts", "this image depicts", "the image features", "image of",
    "picture of", "photo of the", "there is", "there are", "appears to be", "appear to be", "seems to be", "possibly", "probably",
    "perhaps", "it looks like", "can be seen", "in this image", "the overall", "adding to the", "creating a sense", "evoking",
)  # fmt: skip

SIZES = _set("""
    big enormous giant huge large little long narrow short slim small tall thick thin tiny wide
""")

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


def words_of(text: str) -> list[str]:
    """Return the words of a text, in lower case; hyphenated ones whole and in parts."""
    found = []
    for word in _WORD.findall(text.casefold()):
        found.append(word)
        if "-" in word:
            found += word.split("-")
    return found


def has(text: str, known: frozenset[str]) -> bool:
    """Whether one of the words stands in a text, in singular or plural."""
    return any(word in known or word.removesuffix("s") in known for word in words_of(text))
