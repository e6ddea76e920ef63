"""The data sources of the guide that read what lies on this machine, with their options; imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from attrs import frozen, validators

from loraspec import Component, option
from loraspec_guide.data.remote import REMOTE_SOURCES

if TYPE_CHECKING:
    from loraspec_guide.data.folder import Folder
    from loraspec_guide.data.imagefolder import ImageFolder
    from loraspec_guide.data.kohya import Kohya
    from loraspec_guide.data.packed import Parquet, WebDataset

RightsOrNone = Literal["", "own", "licensed", "public-domain"]


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
    rights: RightsOrNone = option(default="", help="With which right the images are used.")
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


@frozen
class KohyaOptions(FolderOptions):
    """Options of ``kohya``."""

    metadata: str = option(default="", help="kohya's metadata JSON below the folder, for captions of images that have no text file.",
                           validator=validators.matches_re(r"(?!/)(?!.*\.\.).*"))


@frozen
class PackedOptions:
    """What every source of packed images knows."""

    path: str = option(help="A file, or a folder with such files: relative to the spec.", validator=validators.min_len(1), place=True)
    rights: RightsOrNone = option(default="", help="With which right the images are used.")
    credits: str = option(default="", help="Who is to be named; travels to the weight files.")
    get: str = option(default="", help="Where to obtain the files; told when they are not there.")


@frozen
class WebDatasetOptions(PackedOptions):
    """Options of ``webdataset``."""

    caption: str = option(default="txt", help="Ending of a sample's caption: txt, or json.", validator=validators.min_len(1))
    json_key: str = option(default="caption", help="Where the caption stands in a JSON file.")


@frozen
class ParquetOptions(PackedOptions):
    """Options of ``parquet``."""

    image_column: str = option(default="image", help="Column with the encoded images.", validator=validators.min_len(1))
    text_column: str = option(default="text", help="Column with their captions; empty: there are none.")


def _folder(options: FolderOptions) -> Folder:
    """Images in a folder, each with its caption in a text file of the same name."""
    from loraspec_guide.data.folder import Folder

    return Folder(options)


def _imagefolder(options: ImageFolderOptions) -> ImageFolder:
    """Images in a folder with one table of captions, metadata.jsonl or metadata.csv, as Hugging Face has it."""
    from loraspec_guide.data.imagefolder import ImageFolder

    return ImageFolder(options)


def _kohya(options: KohyaOptions) -> Kohya:
    """Images in folders named N_words, as kohya's trainers have them: N repeats, and the words where a caption is missing."""
    from loraspec_guide.data.kohya import Kohya

    return Kohya(options)


def _webdataset(options: WebDatasetOptions) -> WebDataset:
    """Images and captions in tar files, as WebDataset has them; read where they lie, nothing is unpacked."""
    from loraspec_guide.data.packed import WebDataset

    return WebDataset(options)


def _parquet(options: ParquetOptions) -> Parquet:
    """Images and captions in Parquet tables; needs pip install "loraspec[parquet]"."""
    from loraspec_guide.data.packed import Parquet

    return Parquet(options)


DATA_SOURCES = [
    Component("folder", FolderOptions, _folder, libraries=("pillow",)),
    Component("imagefolder", ImageFolderOptions, _imagefolder, libraries=("pillow",)),
    Component("kohya", KohyaOptions, _kohya, libraries=("pillow",)),
    Component("webdataset", WebDatasetOptions, _webdataset, libraries=("pillow",)),
    Component("parquet", ParquetOptions, _parquet, libraries=("pillow",)),
    *REMOTE_SOURCES,
]
