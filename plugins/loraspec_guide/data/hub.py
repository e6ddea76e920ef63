"""Data sets of the Hugging Face hub, or folders as they lie there, through the library ``datasets``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from loraspec import Problem
from loraspec.errors import EnvironmentMissing, SpecError, closest
from loraspec.fetching import Remote
from loraspec_guide.data.fetched import FetchedFolder

if TYPE_CHECKING:
    from loraspec.download import Downloader
    from loraspec.values import Context
    from loraspec_guide.data.registry import HuggingFaceOptions


@frozen(eq=False)
class HuggingFace(FetchedFolder):
    """The rows of one split: an image each, with its caption beside it."""

    options: HuggingFaceOptions

    def selection(self) -> Mapping[str, Any]:
        """Return the options that choose rows."""
        options = self.options
        return {"repo": options.repo, "config": options.config, "revision": options.revision, "split": options.split,
                "image_column": options.image_column, "text_column": options.text_column, "limit": options.limit}  # fmt: skip

    def told(self) -> str:
        """Say what is chosen."""
        return f"the data set {self.options.repo} of Hugging Face"

    def remotes(self, context: Context, downloader: Downloader) -> Sequence[Remote]:
        """Let the library load the split, and return its rows.

        Raises:
            EnvironmentMissing: The library is not installed, or the data set cannot be had.
            SpecError: It has no such split or column, or no rows.
        """
        options = self.options
        rows = self._rows(context)
        columns = list(rows.column_names)
        for what, column in (("image_column", options.image_column), ("text_column", options.text_column)):
            if column and column not in columns:
                near = closest(column, columns)
                hint = f"is it {near!r}?" if near else f"it has {', '.join(columns)}"
                raise SpecError([Problem(what, f"{options.repo} has no column {column!r}", hint, code="E-FETCH-TABLE")])
        from datasets import Image, Value

        feature = rows.features[options.image_column]
        if not isinstance(feature, Image) and not (isinstance(feature, Value) and feature.dtype in ("binary", "large_binary")):
            raise SpecError([Problem("image_column", f"{options.image_column!r} of {options.repo} holds no images", code="E-FETCH-TABLE")])
        if isinstance(feature, Image):
            rows = rows.cast_column(options.image_column, Image(decode=False))
        count = min(len(rows), options.limit) if options.limit else len(rows)
        if not count:
            raise SpecError([Problem("split", f"{options.repo} has no rows in {options.split!r}", code="E-FETCH-NONE")])
        captions = rows[options.text_column][:count] if options.text_column else [None] * count
        width = len(str(count - 1))
        return [Remote(name=f"{_stem(options.repo)}-{number:0{width}}", url=f"{options.repo}#{number}", told=_line(captions[number])[:80],
                       rights=options.rights, credits=options.credits, caption=_line(captions[number]), read=self._reader(rows, number))
                for number in range(count)]  # fmt: skip

    def _reader(self, rows: Any, number: int) -> Callable[[], bytes]:
        def read() -> bytes:
            from pathlib import Path

            found = rows[number][self.options.image_column]
            if isinstance(found, Mapping):
                data = found.get("bytes")
                return data if data is not None else Path(found["path"]).read_bytes()
            return bytes(found)

        return read

    def _rows(self, context: Context) -> Any:
        options = self.options
        try:
            import datasets
        except ImportError:
            hint = 'pip install "loraspec[huggingface]"'
            raise EnvironmentMissing("the library datasets is not installed", hint=hint).coded("E-PLUGIN-MISSING") from None
        local = context.path(options.repo) if options.repo.startswith((".", "/")) else None
        try:
            found = datasets.load_dataset(str(local or options.repo), options.config or None, split=options.split,
                                          revision=None if local else options.revision or None)  # fmt: skip
        except Exception as error:  # the library and the hub's client raise many kinds
            raise self._why(error) from None
        return found

    def _why(self, error: Exception) -> Exception:
        """Say what to do about what the library says."""
        repo, kinds = self.options.repo, {kind.__name__ for kind in type(error).__mro__}
        said = (str(error).strip().splitlines() or [""])[0][:300]
        if "GatedRepoError" in kinds or "gated" in said.lower():
            hint = f"log in (hf auth login), open huggingface.co/datasets/{repo}, accept its conditions, and fetch again"
            return EnvironmentMissing(f"{repo} is gated: its owner wants to know who takes it", hint=hint).coded("E-FETCH-GATED")
        if kinds & {"DatasetNotFoundError", "RepositoryNotFoundError", "RevisionNotFoundError"}:
            hint = "look at its name and revision; if it is private, log in: hf auth login"
            return EnvironmentMissing(f"{repo} is not on the hub, or not for you: {said}", hint=hint).coded("E-FETCH-HTTP")
        if "split" in said.lower() and "ValueError" in kinds:
            return SpecError([Problem("split", f"{repo}: {said}", code="E-FETCH-TABLE")])
        hint = "look at the connection; what came stays in the library's cache"
        return EnvironmentMissing(f"{repo} cannot be had: {type(error).__name__}: {said}", hint=hint).coded("E-FETCH-HTTP")


def _stem(repo: str) -> str:
    return re.sub("[^A-Za-z0-9_-]+", "-", repo.rstrip("/").rpartition("/")[2]).strip("-")[:60] or "row"


def _line(text: object) -> str:
    return " ".join(str(text).split()) if text else ""
