"""The data sources of the guide whose images ``loraspec fetch`` brings, with their options; imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from attrs import frozen, validators

from loraspec import Component, option

if TYPE_CHECKING:
    from loraspec_guide.data.hub import HuggingFace
    from loraspec_guide.data.nga import NGA
    from loraspec_guide.data.unsplash import Unsplash

ANY = (-9999, 9999)  # years
_ADDRESS = validators.matches_re(r"https?://[^\s@]+")


@frozen
class FetchedOptions:
    """What every source that is fetched knows. What is fetched lies flat in one folder."""

    recursive: ClassVar[bool] = False
    extensions: ClassVar[tuple[str, ...]] = (".png", ".jpg", ".jpeg", ".webp")

    path: str = option(help="Folder for the images: relative to the spec.", validator=validators.min_len(1), place=True)
    exclude: tuple[str, ...] = option(default=(), help="Names of images to leave out, without extension; * stands for anything.")
    limit: int = option(default=0, help="At most so many images; 0: all.", validator=validators.ge(0))


@frozen
class NGAOptions(FetchedOptions):
    """Options of ``nga``."""

    rights: ClassVar[str] = "public-domain"
    credits: ClassVar[str] = "National Gallery of Art, Washington"

    artist: str = option(default="", help="Part of the artist's name; case and accents do not matter.")
    classification: str = option(default="", help="Part of the classification, such as print, drawing or painting.")
    medium: str = option(default="", help="Part of the medium, such as lithograph.")
    title: str = option(default="", help="Part of the title.")
    years: tuple[int, int] = option(default=ANY, help="First and last year: works of which one of their years lies between them.")
    size: int = option(default=2048, help="Longest side of the images, px.", validator=[validators.ge(64), validators.le(8192)])
    caption: str = option(
        default="",
        help="Caption for new images: {title}, {artist}, {date}, {medium} and {classification} stand for what the tables say.",
        validator=validators.matches_re(r"(?:[^{}]|\{(?:title|artist|date|medium|classification)\})*"),
    )
    tables: str = option(
        default="https://raw.githubusercontent.com/NationalGalleryOfArt/opendata/main/data",
        help="Address of the open data's tables, or a folder in which they lie.", validator=validators.min_len(1),
    )  # fmt: skip


@frozen
class UnsplashOptions(FetchedOptions):
    """Options of ``unsplash``."""

    rights: ClassVar[str] = "licensed"
    credits: ClassVar[str] = "Unsplash"

    collection: str = option(default="", help="Number of a collection; needs a key in UNSPLASH_ACCESS_KEY.",
                             validator=validators.matches_re(r"[A-Za-z0-9_-]*"))
    lite: str = option(default="", help="Folder with the files of the Lite data set, instead of a collection.")
    keywords: tuple[str, ...] = option(default=(), help="Of the Lite data set: photographs that have all of these keywords.")
    size: int = option(default=2048, help="Longest side of the images, px.", validator=[validators.ge(64), validators.le(8192)])
    api: str = option(default="https://api.unsplash.com", help="Address of the API.", validator=_ADDRESS)


@frozen(kw_only=True)
class HuggingFaceOptions(FetchedOptions):
    """Options of ``huggingface``."""

    repo: str = option(help="The data set's name on the hub, such as lambdalabs/naruto; or ./FOLDER of the same layout.",
                       validator=validators.matches_re(r"[A-Za-z0-9._/-]+"))
    revision: str = option(default="", help="Branch, tag or commit; a commit is the same data tomorrow.")
    config: str = option(default="", help="The configuration, where a data set has several.")
    split: str = option(default="train", help="The split.", validator=validators.min_len(1))
    image_column: str = option(default="image", help="Column with the images.", validator=validators.min_len(1))
    text_column: str = option(default="text", help="Column with their captions; empty: there are none.")
    rights: Literal["", "own", "licensed", "public-domain"] = option(default="", help="With which right the images are used.")
    credits: str = option(default="", help="Who is to be named; travels to the weight files.")


def _nga(options: NGAOptions) -> NGA:
    """Works of the National Gallery of Art, Washington, in open access: by artist, medium, classification, date."""
    from loraspec_guide.data.nga import NGA

    return NGA(options)


def _unsplash(options: UnsplashOptions) -> Unsplash:
    """Photographs of an Unsplash collection, or of the Lite data set; photographers are credited."""
    from loraspec_guide.data.unsplash import Unsplash

    return Unsplash(options)


def _huggingface(options: HuggingFaceOptions) -> HuggingFace:
    """A data set of the Hugging Face hub, images and captions; needs pip install "loraspec[huggingface]"."""
    from loraspec_guide.data.hub import HuggingFace

    return HuggingFace(options)


REMOTE_SOURCES = [
    Component("nga", NGAOptions, _nga, libraries=("pillow",)),
    Component("unsplash", UnsplashOptions, _unsplash, libraries=("pillow",)),
    Component("huggingface", HuggingFaceOptions, _huggingface, libraries=("pillow",)),
]
