"""Images that ``loraspec fetch`` brought: a folder with a list, which says whose each is and what its bytes have to be."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from loraspec import Problem
from loraspec.errors import EnvironmentMissing, SpecError
from loraspec.fetching import LIST, Fetched, listed
from loraspec_guide.data.folder import FolderScan, Names
from loraspec_guide.data.remarks import SHOWN
from loraspec_guide.data.walk import stem

if TYPE_CHECKING:
    from loraspec.download import Downloader
    from loraspec.fetching import Remote
    from loraspec.values import Context, Sample, Scan
    from loraspec_guide.data.registry import FetchedOptions

HINT = "loraspec fetch SPEC brings them; with --dry-run it lists them"


@frozen(eq=False)
class FetchedFolder:
    """A data source whose images lie in a folder once they were fetched; captions are text files beside them."""

    options: FetchedOptions

    def folder(self, context: Context) -> Path:
        """Return where the images are kept."""
        return context.path(self.options.path)

    @abstractmethod
    def selection(self) -> Mapping[str, Any]:
        """Return the options that choose images."""

    @abstractmethod
    def remotes(self, context: Context, downloader: Downloader) -> Sequence[Remote]:
        """Return what they choose."""

    @abstractmethod
    def told(self) -> str:
        """Say what is chosen, and where it comes from."""

    def ahead(self, context: Context) -> Sequence[Remote] | None:
        """Return what would be fetched when that is known on this machine, None otherwise."""
        return None

    def scan(self, context: Context) -> Scan:
        """Return the images that were fetched.

        Raises:
            EnvironmentMissing: They were not yet, or for other options than these.
        """
        folder = self.folder(context)
        try:
            selection, files = listed(folder)
        except SpecError as error:
            raise EnvironmentMissing(str(error), hint=HINT).coded("E-FETCH-LIST") from None
        if selection is None:
            wanted = self.ahead(context)
            said = f": {_told(wanted)}" if wanted else ""
            raise EnvironmentMissing(f"{self.told()}: nothing was fetched yet{said}", hint=HINT).coded("E-FETCH-NONE")
        if selection != self.selection():
            changed = sorted(key for key in {*selection, *self.selection()} if selection.get(key) != self.selection().get(key))
            message = f"{self.told()}: what was fetched was chosen by another {', '.join(changed)}"
            raise EnvironmentMissing(message, hint=HINT).coded("E-FETCH-NONE")
        look = FetchedScan(folder, self.options, files=files)
        found = look.made()
        there = {one.name for one in files.values()}
        missing = [one.name for one in self.ahead(context) or () if not left_out(one.name, self.options.exclude) and one.name not in there]
        if missing:
            rest = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
            count = "1 image is" if len(missing) == 1 else f"{len(missing)} images are"
            said = f"{count} not fetched yet: {', '.join(missing[:SHOWN])}{rest}"
            found = evolve(found, problems=(*found.problems, Problem("", said, HINT, code="E-FETCH-NONE")))
        return found


def left_out(name: str, patterns: Sequence[str]) -> bool:
    """Whether an image is left out by name."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _told(wanted: Sequence[Remote]) -> str:
    rest = f" and {len(wanted) - SHOWN} more" if len(wanted) > SHOWN else ""
    return f"{len(wanted)} images, {', '.join(one.told or one.name for one in wanted[:SHOWN])}{rest}"


@frozen(eq=False)
class FetchedScan(FolderScan):
    """A look at what was fetched."""

    files: Mapping[str, Fetched] = field(kw_only=True)

    def made(self) -> Scan:
        """Return what the list names."""
        found = super().made()
        exclude = self.options.exclude  # type: ignore[attr-defined]
        gone = [key for key, one in self.files.items() if not left_out(one.name, exclude) and not (self.root / key).is_file()]
        if gone:
            rest = f" and {len(gone) - SHOWN} more" if len(gone) > SHOWN else ""
            count = "1 image that was fetched is" if len(gone) == 1 else f"{len(gone)} images that were fetched are"
            message = f"{count} gone: {', '.join(gone[:SHOWN])}{rest}"
            hint = "leave them out with exclude, or fetch again"
            found = evolve(found, problems=(*found.problems, Problem("", message, hint, code="E-FETCH-DRIFT")))
        return found

    def _captions(self) -> tuple[str, ...]:
        return (".txt",)

    def _sample(self, key: str, named: Names) -> Sample | None:
        one = self.files.get(key)
        if one is None:
            self.remarks.add("W-FETCH-STRANGER", key)
            return None
        if left_out(one.name, self.options.exclude):  # type: ignore[attr-defined]
            return None
        sample = super()._sample(key, named)
        if sample is None:
            return None
        if sample.sha256 != one.sha256:
            hint = f"delete it and fetch again; if you mean to change it, copy the images (without {LIST}) to a folder of your own"
            self.problems.append(Problem(key, "is not what was fetched", hint, code="E-FETCH-DRIFT"))
        return evolve(sample, rights=one.rights or sample.rights, credits=one.credits or sample.credits)

    def _others(self, files: list[str], images: list[str], named: Names) -> None:
        exclude = self.options.exclude  # type: ignore[attr-defined]
        kept = [key for key in files if not left_out(stem(key), exclude) and key != LIST]
        super()._others(kept, [key for key in images if not left_out(stem(key), exclude)], named)
