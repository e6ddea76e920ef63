"""The data sources of the guide, with their options; imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from attrs import frozen, validators

from loraspec import Component, option

if TYPE_CHECKING:
    from loraspec_guide.data.folder import Folder
    from loraspec_guide.data.imagefolder import ImageFolder


@frozen
class ImageOptions:
    """What every source that reads a folder of images knows."""

    path: str = option(help="Folder with the images: relative to the spec, or package:NAME/PATH.", validator=validators.min_len(1),
                       place=True)
    recursive: bool = option(default=True, help="Look into sub-folders too.")
    extensions: tuple[str, ...] = option(
        default=(".png", ".jpg", ".jpeg", ".webp"),
        help="Names of images end with one of these, in any case; other files are left alone.",
        validator=[validators.min_len(1), validators.deep_iterable(validators.matches_re(r"\.[A-Za-z0-9]+"))],
    )
    rights: Literal["", "own", "licensed", "public-domain"] = option(default="", help="With which right the images are used.")
    credits: str = option(default="", help="Who is to be named; travels to the weight files.")
    get: str = option(default="", help="Where to obtain the images; told when the folder is not there.")


@frozen
class FolderOptions(ImageOptions):
    """Options of ``folder``."""

    caption_extension: str = option(
        default=".txt",
        help="A caption has the name of its image with this instead of the image's extension.",
        validator=validators.matches_re(r"\.[A-Za-z0-9._-]+"),
    )


@frozen
class ImageFolderOptions(ImageOptions):
    """Options of ``imagefolder``."""

    file_column: str = option(default="file_name", help="Column of the table with an image's path below the folder.")
    text_column: str = option(default="text", help="Column with its caption.")


def _folder(options: FolderOptions) -> Folder:
    """Images in a folder, each with its caption in a text file of the same name."""
    from loraspec_guide.data.folder import Folder

    return Folder(options)


def _imagefolder(options: ImageFolderOptions) -> ImageFolder:
    """Images in a folder with one table of captions, metadata.jsonl or metadata.csv, as Hugging Face has it."""
    from loraspec_guide.data.imagefolder import ImageFolder

    return ImageFolder(options)


DATA_SOURCES = [
    Component("folder", FolderOptions, _folder, libraries=("pillow",)),
    Component("imagefolder", ImageFolderOptions, _imagefolder, libraries=("pillow",)),
]
