"""Images from elsewhere, for ``loraspec fetch`` alone: what a source wants, what is there already, and the list of what was fetched.

A source that fetches has two methods more than ``scan``: ``remotes(context, downloader)``, which lists what its options select, and
``folder(context)``, where it is kept. Each image is looked at before it is kept, and noted in ``fetched.jsonl`` with its sha256, address,
rights and credits: that list is what a scan goes by. A line ``{"selection": ...}`` begins the list of one selection.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from attrs import frozen

from loraspec.download import Downloader, DownloadError
from loraspec.errors import Problem, SpecError
from loraspec.escape import escaped
from loraspec.imagefile import ImageError

if TYPE_CHECKING:
    from loraspec.values import Context

LIST = "fetched.jsonl"
ENDINGS = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp"}
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
MAX_LIST = 64 * 2**20  # bytes


@frozen(eq=False)
class Remote:
    """One image that a source wants.

    Attributes:
        name: Its file's name without extension: letters, digits, ``.``, ``_`` and ``-``.
        url: Where it is, "" when ``read`` has it.
        told: What a person would call it.
        rights, credits: As in ``Sample``.
        caption: What is written beside it when nothing is there, "" for nothing.
        read: Returns its bytes, where a library fetches.
        before: Called first, where a service wants to be told of a download; returns the address to use.
    """

    name: str
    url: str = ""
    told: str = ""
    rights: str = ""
    credits: str = ""
    caption: str = ""
    read: Callable[[], bytes] | None = None
    before: Callable[[Downloader], str] | None = None


@runtime_checkable
class FetchingSource(Protocol):
    """A data source whose images come from elsewhere."""

    def folder(self, context: Context) -> Path:
        """Return where they are kept."""
    def selection(self) -> Mapping[str, Any]:
        """Return the options that choose images, as JSON."""
    def remotes(self, context: Context, downloader: Downloader) -> Sequence[Remote]:
        """Return the images that the options select, in a stable order."""


@frozen
class Fetched:
    """One line of the list: ``file`` below the folder, and what is known of it."""

    file: str
    sha256: str
    url: str = ""
    rights: str = ""
    credits: str = ""

    @property
    def name(self) -> str:
        """The image's name: its file's without extension."""
        return self.file.rpartition(".")[0]


@frozen(eq=False)
class Outcome:
    """What became of one image: ``there`` before, ``fetched`` now (of so many bytes), or a problem."""

    remote: Remote
    state: str
    size: int = 0
    problem: Problem | None = None


def listed(folder: Path) -> tuple[Mapping[str, Any] | None, dict[str, Fetched]]:
    """Return the selection that was fetched (None: nothing was), and its images by file.

    Raises:
        SpecError: The list is damaged.
    """
    path = folder / LIST
    if not path.is_file():
        return None, {}
    from loraspec.textfile import NotTextError, TooLargeError, decode, read_plain

    selection: Mapping[str, Any] | None = None
    found: dict[str, Fetched] = {}
    try:
        lines = decode(read_plain(path, MAX_LIST))[0].split("\n")
    except (NotTextError, TooLargeError, OSError) as error:
        raise SpecError([Problem(LIST, f"cannot be read: {error}", "fetch again", code="E-FETCH-LIST")]) from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if "selection" in row:
                selection, found = dict(row["selection"]), {}
            else:
                one = Fetched(**{key: str(value) for key, value in row.items()})
                found[one.file] = one
        except (ValueError, TypeError, AttributeError, RecursionError):
            if number == len(lines):  # the last line of a fetch that was killed
                continue
            hint = "take the line out; loraspec fetch looks for what it named again"
            raise SpecError([Problem(f"{LIST}:{number}", "is no line of this list", hint, code="E-FETCH-LIST")]) from None
    return selection, found


def fetch(source: FetchingSource, context: Context, remotes: Sequence[Remote], downloader: Downloader) -> Iterator[Outcome]:
    """Fetch what is not there, one image at a time; what fails is told, and the next one is tried.

    Raises:
        OSError: The folder cannot be written.
        SpecError: The list of an earlier fetch is damaged.
    """
    folder = source.folder(context)
    folder.mkdir(parents=True, exist_ok=True)
    selection, before = listed(folder)
    _mended(folder / LIST)
    by_name = {one.name: one for one in before.values()}
    again = selection != source.selection()  # what is there and still wanted is listed anew
    if again:
        _note(folder, {"selection": source.selection()})
    for remote in remotes:
        if not _NAME.fullmatch(remote.name):
            hint = "tell who keeps the source"
            problem = Problem(escaped(remote.name)[:80], "is no name for a file", hint, code="E-FETCH-LIST")
            yield Outcome(remote, "failed", problem=problem)
            continue
        known = by_name.get(remote.name)
        if known is not None and (folder / known.file).is_file():
            yield _kept(folder, remote, known, again=again)
        else:
            yield _new(folder, remote, downloader)


def _kept(folder: Path, remote: Remote, known: Fetched, *, again: bool) -> Outcome:
    data = (folder / known.file).read_bytes()
    if hashlib.sha256(data).hexdigest() != known.sha256:
        hint = "delete it to have it fetched again"
        return Outcome(remote, "changed", problem=Problem(known.file, "is not what was fetched", hint, code="E-FETCH-DRIFT"))
    if again:
        _note(folder, _row(Fetched(known.file, known.sha256, remote.url, remote.rights, remote.credits)))
    return Outcome(remote, "there", len(data))


def _new(folder: Path, remote: Remote, downloader: Downloader) -> Outcome:
    from loraspec.engine.disk import write_file

    waiting = folder / f".{remote.name}.image"
    try:
        if remote.read is not None:
            data = remote.read()
        else:
            downloader.save(remote.before(downloader) if remote.before else remote.url, waiting)
            data = waiting.read_bytes()
        kind = _looked(data)
    except DownloadError as error:
        hint = f'{error.hint or "fetch again later"}; or leave it out: exclude = ["{remote.name}"]'
        return Outcome(remote, "failed", problem=Problem(remote.name, error.message, hint, code="E-FETCH-HTTP"))
    except ImageError as error:
        waiting.unlink(missing_ok=True)
        said = f"what came is no usable image: {error.message}{_opening(data)}"
        hint = f'try later, or leave it out: exclude = ["{remote.name}"]'
        return Outcome(remote, "failed", problem=Problem(remote.name, said, hint, code="E-FETCH-IMAGE"))
    file = folder / f"{remote.name}{ENDINGS[kind]}"
    if file.exists() and file.read_bytes() != data:  # the same bytes: a fetch was killed before it could list them
        waiting.unlink(missing_ok=True)
        said, hint = "is there already, and is not what would be fetched", "move it away, or leave the image out with exclude"
        return Outcome(remote, "failed", problem=Problem(file.name, said, hint, code="E-FETCH-DRIFT"))
    digest = write_file(file, data)
    waiting.unlink(missing_ok=True)
    caption = file.with_suffix(".txt")
    if remote.caption and not caption.exists():
        write_file(caption, f"{remote.caption}\n".encode())
    _note(folder, _row(Fetched(file.name, digest, remote.url, remote.rights, remote.credits)))
    return Outcome(remote, "fetched", len(data))


def _looked(data: bytes) -> str:
    from loraspec.images import check

    return check(data).kind


def _opening(data: bytes) -> str:
    """Show the beginning of what came instead, when it is text: most often a page that says why."""
    text = data[:80].decode("ascii", "replace").strip().replace("\n", " ")
    return f" (it begins with {text!r})" if text.isprintable() and "\ufffd" not in text else ""


def _row(one: Fetched) -> dict[str, str]:
    from attrs import asdict

    return {key: value for key, value in asdict(one).items() if value}


def _mended(path: Path) -> None:
    """Cut off half a line at the end of a list, which a fetch that was killed left."""
    from loraspec.engine.disk import shorten

    data = path.read_bytes() if path.is_file() else b""
    whole = data.rfind(b"\n") + 1
    if whole != len(data):
        shorten(path, whole)


def _note(folder: Path, row: Mapping[str, Any]) -> None:
    from loraspec.engine.disk import append
    from loraspec.engine.records import line_bytes

    append(folder / LIST, line_bytes(row), durable=True)
