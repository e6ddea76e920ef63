"""Files over HTTP, politely: one at a time, with a pause between, resumed where they broke off, and as whole as the server says.

Nothing here runs during ``plan`` or ``run``: only ``loraspec fetch`` makes a ``Downloader``.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urljoin, urlsplit

from attrs import define, field

from loraspec.errors import LoraspecError

if TYPE_CHECKING:
    from requests import Response, Session

BUSY = (408, 425, 429, 500, 502, 503, 504)
CHUNK = 64 * 1024  # bytes
LONGEST_WAIT = 120.0  # s that a server may ask for
MOST = 256 * 2**20  # bytes of one file


class DownloadError(LoraspecError):
    """A file could not be had; says why, and what to try."""

    def __init__(self, message: str, hint: str = "", *, again: bool = False, wait: float = 0.0) -> None:
        self.message, self.hint, self.again, self.wait = message, hint, again, wait
        super().__init__(message)


class _Sink(Protocol):
    """Where bytes go: how many are there, the validator of what they belong to, and adding to them."""

    size: int
    validator: str

    def begin(self, validator: str) -> None: ...
    def add(self, data: bytes) -> None: ...


@define(eq=False)
class Downloader:
    """Asks servers for files.

    Attributes:
        agent: What it calls itself.
        pause: Seconds between two requests.
        tries: How often one file is asked for, when servers are busy or break off.
        timeout: Seconds without a byte after which a try has failed.
        sleep: Waits; tests give their own.
    """

    agent: str = "loraspec"
    pause: float = 0.5
    tries: int = 5
    timeout: float = 30.0
    sleep: Callable[[float], None] = time.sleep
    _session: Any = field(init=False, default=None)
    _asked: bool = field(init=False, default=False)

    def get(self, url: str, *, headers: Mapping[str, str] | None = None, most: int = MOST) -> bytes:
        """Return a small file.

        Raises:
            DownloadError: It could not be had.
        """
        sink = _Memory()
        self._fill(url, sink, headers or {}, most)
        return bytes(sink.data)

    def save(self, url: str, path: Path, *, headers: Mapping[str, str] | None = None, most: int = MOST) -> str:
        """Write a file and return its sha256; what an earlier try left in ``.NAME.part`` is gone on with.

        Raises:
            DownloadError: It could not be had; what came stays for the next try.
            OSError: It cannot be written.
        """
        part = path.parent / f".{path.name}.part"
        with _Part(part) as sink:
            self._fill(url, sink, headers or {}, most)
            digest = sink.digest()
        part.replace(path)
        part.with_suffix(".validator").unlink(missing_ok=True)
        return digest

    def _fill(self, url: str, sink: _Sink, headers: Mapping[str, str], most: int) -> None:
        for number in range(1, self.tries + 1):
            if self._asked and self.pause:
                self.sleep(self.pause)
            self._asked = True
            try:
                return self._try(url, sink, headers, most)
            except DownloadError as error:
                if not error.again or number == self.tries:
                    tried = f" (tried {number} times)" if number > 1 else ""
                    raise DownloadError(error.message + tried, error.hint) from None
                wait = error.wait or min(2.0**number, LONGEST_WAIT)
            if wait > LONGEST_WAIT:
                raise DownloadError(f"{_host(url)} asks to wait {wait:.0f} s", "start fetch again later: it goes on where it was")
            self.sleep(wait)
        return None

    def _try(self, url: str, sink: _Sink, headers: Mapping[str, str], most: int) -> None:
        import requests

        asked = {"User-Agent": self.agent, "Accept-Encoding": "identity", **headers}
        if sink.size and sink.validator:
            asked |= {"Range": f"bytes={sink.size}-", "If-Range": sink.validator}
        try:
            with self._open(url, asked) as response:
                self._take(response, sink, most)
        except (requests.ConnectionError, requests.Timeout) as error:
            raise DownloadError(f"{_host(url)} cannot be reached: {_why(error)}", "look at the connection", again=True) from None
        except requests.exceptions.ChunkedEncodingError:
            raise DownloadError(f"{_host(url)} broke off after {sink.size:,} bytes", "start fetch again", again=True) from None
        except requests.RequestException as error:
            raise DownloadError(f"{_host(url)} could not be asked: {_why(error)}") from None

    @contextlib.contextmanager
    def _open(self, url: str, headers: Mapping[str, str]) -> Iterator[Response]:
        """Follow redirects by hand: only http and https, and what is secret goes to the host that it was meant for."""
        import requests

        if self._session is None:
            self._session = requests.Session()
        session: Session = self._session
        for _ in range(6):
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise DownloadError(f"{url!r} is no address of http or https")
            response = session.get(url, headers=dict(headers), stream=True, timeout=self.timeout, allow_redirects=False)
            if not response.is_redirect:
                with response:
                    yield response
                return
            url = urljoin(url, response.headers["Location"])
            response.close()
            if urlsplit(url).netloc != parts.netloc:
                headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
        raise DownloadError(f"{_host(url)} leads from address to address without end")

    def _take(self, response: Response, sink: _Sink, most: int) -> None:
        status = response.status_code
        if status == 416:  # what is there is no beginning of what the server has
            sink.begin("")
            raise DownloadError("the server has another file than before", again=True, wait=0.01)
        if status not in (200, 206):
            raise _refused(response)
        if status == 200 or not sink.size:
            sink.begin(response.headers.get("ETag", "") or response.headers.get("Last-Modified", ""))
        length = response.headers.get("Content-Length", "")
        whole = sink.size + int(length) if length.isdigit() else None
        if whole is not None and whole > most:
            raise DownloadError(f"is {whole:,} bytes, more than {most:,}")
        for data in response.iter_content(CHUNK):
            sink.add(data)
            if sink.size > most:
                raise DownloadError(f"is larger than {most:,} bytes")
        if whole is not None and sink.size != whole:
            raise DownloadError(f"{_host(response.url)} sent {sink.size:,} of {whole:,} bytes", "start fetch again", again=True)


def _refused(response: Response) -> DownloadError:
    status, host = response.status_code, _host(response.url)
    if status in BUSY:
        said = response.headers.get("Retry-After", "")
        wait = float(said) if said.isdigit() else 0.0
        return DownloadError(f"{host} is busy (HTTP {status})", "start fetch again later: it goes on where it was", again=True, wait=wait)
    hints = {401: "it wants to know who asks: log in, or set the key that the source names",
             403: "it refuses: accept its conditions, or ask for access", 404: "the address leads nowhere: look at the spec"}  # fmt: skip
    return DownloadError(f"{host} answers HTTP {status}", hints.get(status, ""))


def _host(url: str) -> str:
    """Return the host alone: addresses may hold keys."""
    return urlsplit(url).netloc.rpartition("@")[2] or "the server"


def _why(error: Exception) -> str:
    """Return the kind of an error of requests; its text repeats the whole address."""
    cause: BaseException = error
    while cause.__context__ is not None:
        cause = cause.__context__
    return getattr(cause, "strerror", None) or type(cause).__name__


@define(eq=False)
class _Memory:
    """Keeps bytes in memory."""

    data: bytearray = field(factory=bytearray)
    size: int = 0
    validator: str = ""

    def begin(self, validator: str) -> None:
        self.data.clear()
        self.size, self.validator = 0, validator

    def add(self, data: bytes) -> None:
        self.data.extend(data)
        self.size += len(data)


@define(eq=False)
class _Part:
    """A file that is being fetched, and, beside it, the validator of what it belongs to."""

    path: Path
    size: int = 0
    validator: str = ""
    _file: Any = None

    def __enter__(self) -> _Part:
        beside = self.path.with_suffix(".validator")
        self.validator = beside.read_text(encoding="utf-8") if beside.is_file() else ""
        self._file = self.path.open("ab")
        self.size = self._file.tell()
        if not self.validator and self.size:
            self.begin("")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def begin(self, validator: str) -> None:
        self._file.truncate(0)
        self.size, self.validator = 0, validator
        self.path.with_suffix(".validator").write_text(validator, encoding="utf-8")

    def add(self, data: bytes) -> None:
        self._file.write(data)
        self.size += len(data)

    def digest(self) -> str:
        self._file.flush()
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
