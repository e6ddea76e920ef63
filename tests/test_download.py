"""Files over HTTP: whole or not at all, resumed, patient with busy servers, and no further than asked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from file_server import FileServer, Handler, cut, hang_up, serving, status

from loraspec.download import Downloader, DownloadError

DATA = bytes(range(256)) * 2000  # 512,000 bytes, more than one chunk


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as server:
        server.files["/a.bin"] = DATA
        yield server


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def downloader(waits: list[float]) -> Downloader:
    return Downloader(pause=0, timeout=5, sleep=waits.append)


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_saves_a_file_and_tells_its_digest(server: FileServer, downloader: Downloader, tmp_path: Path) -> None:
    """Bytes, digest, nothing beside it; it says who asks."""
    digest = downloader.save(f"{server.url}/a.bin", tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == DATA
    assert digest == hashlib.sha256(DATA).hexdigest()
    assert left(tmp_path) == {"a.bin"}
    assert server.asked[0][1]["user-agent"] == "loraspec"
    assert downloader.get(f"{server.url}/a.bin") == DATA


@pytest.mark.parametrize(("faults", "waited"), [
    ([status(429, Retry_After="7")], [7.0]), ([status(503), status(500)], [2.0, 4.0]), ([hang_up], [2.0]),
    ([status(408), status(425), status(502), status(504)], [2.0, 4.0, 8.0, 16.0]), ([status(429, Retry_After="soon")], [2.0]),
])  # fmt: skip
def test_waits_for_a_busy_server(server: FileServer, downloader: Downloader, waits: list[float], tmp_path: Path,
                                 faults: list[Callable[[Handler], None]], waited: list[float]) -> None:  # fmt: skip
    """As long as it asks, twice as long each time otherwise; then the file is whole."""
    server.faults["/a.bin"] = list(faults)
    downloader.save(f"{server.url}/a.bin", tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == DATA
    assert waits == waited


def test_gives_up_after_some_tries(server: FileServer, downloader: Downloader, waits: list[float], tmp_path: Path) -> None:
    """Five tries; the error names the host and what to do."""
    server.faults["/a.bin"] = [status(503)] * 9
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1:\d+ is busy \(HTTP 503\) \(tried 5 times\)") as caught:
        downloader.save(f"{server.url}/a.bin", tmp_path / "a.bin")
    assert "goes on where it was" in caught.value.hint
    assert server.times("/a.bin") == 5
    assert waits == [2.0, 4.0, 8.0, 16.0]


def test_does_not_wait_for_hours(server: FileServer, downloader: Downloader, waits: list[float]) -> None:
    """A server that asks for too long a wait is told to the person."""
    server.faults["/a.bin"] = [status(429, Retry_After="3600")]
    with pytest.raises(DownloadError, match="asks to wait 3600 s"):
        downloader.get(f"{server.url}/a.bin")
    assert waits == []


@pytest.mark.parametrize(("code", "hint"), [(401, "log in"), (403, "accept its conditions"), (404, "leads nowhere"), (410, "")])
def test_a_refusal_is_final(server: FileServer, downloader: Downloader, code: int, hint: str) -> None:
    """Asked once, with what to do about it."""
    server.faults["/a.bin"] = [status(code)]
    with pytest.raises(DownloadError, match=f"HTTP {code}") as caught:
        downloader.get(f"{server.url}/a.bin")
    assert hint in caught.value.hint
    assert server.times("/a.bin") == 1


def test_goes_on_where_a_body_broke_off(server: FileServer, downloader: Downloader, tmp_path: Path) -> None:
    """Only the rest is asked for, and only if the file is still the same."""
    server.faults["/a.bin"] = [cut(DATA, 200_000)]
    downloader.save(f"{server.url}/a.bin", tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == DATA
    [_, (_, headers)] = server.asked
    begin = int(headers["range"].removeprefix("bytes=").rstrip("-"))
    assert 0 < begin <= 200_000
    assert headers["if-range"].startswith('"')


def test_goes_on_after_the_program_ended(server: FileServer, downloader: Downloader, tmp_path: Path) -> None:
    """What came before stays in a hidden file, and another downloader goes on with it."""
    server.faults["/a.bin"] = [cut(DATA, 200_000), status(404)]
    with pytest.raises(DownloadError):
        downloader.save(f"{server.url}/a.bin", tmp_path / "a.bin")
    assert not (tmp_path / "a.bin").exists()
    kept = (tmp_path / ".a.bin.part").stat().st_size
    assert kept > 0
    Downloader(pause=0).save(f"{server.url}/a.bin", tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == DATA
    assert server.asked[-1][1]["range"] == f"bytes={kept}-"
    assert left(tmp_path) == {"a.bin"}


@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_that_changed_is_begun_anew(server: FileServer, downloader: Downloader, tmp_path: Path, *, ranges: bool) -> None:
    """Halves of two files are never put together; a server may also know no ranges."""
    server.faults["/a.bin"] = [cut(DATA, 200_000), status(404)]
    with pytest.raises(DownloadError):
        downloader.save(f"{server.url}/a.bin", tmp_path / "a.bin")
    other = server.files["/a.bin"] = DATA[::-1]
    server.ranges = ranges
    downloader.save(f"{server.url}/a.bin", tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == other


def test_a_file_that_became_shorter_is_begun_anew(server: FileServer, downloader: Downloader, tmp_path: Path) -> None:
    """A server that answers 416 has another file."""
    server.faults["/a.bin"] = [cut(DATA, 200_000), status(416)]
    downloader.save(f"{server.url}/a.bin", tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == DATA


def test_no_more_bytes_than_allowed(server: FileServer, downloader: Downloader, tmp_path: Path) -> None:
    """By the length that is told, and by what comes when none is."""
    with pytest.raises(DownloadError, match="is 512,000 bytes, more than 1,000"):
        downloader.save(f"{server.url}/a.bin", tmp_path / "a.bin", most=1000)

    def without_length(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(DATA)

    server.faults["/a.bin"] = [without_length]
    with pytest.raises(DownloadError, match="is larger than 1,000 bytes"):
        downloader.get(f"{server.url}/a.bin", most=1000)
    assert not (tmp_path / "a.bin").exists()


def test_redirects_keep_secrets_at_home(server: FileServer, downloader: Downloader) -> None:
    """Another host is not given the key; another protocol, or a circle, is refused."""
    with serving() as elsewhere:
        elsewhere.files["/b.bin"] = b"there"
        server.faults["/here"] = [status(302, Location="/a.bin")]
        server.faults["/away"] = [status(302, Location=f"{elsewhere.url}/b.bin")]
        key = {"Authorization": "Bearer key"}
        assert downloader.get(f"{server.url}/here", headers=key) == DATA
        assert server.asked[-1][1]["authorization"] == "Bearer key"
        assert downloader.get(f"{server.url}/away", headers=key) == b"there"
        assert "authorization" not in elsewhere.asked[-1][1]
    server.faults["/round"] = [status(302, Location="/round")] * 20
    with pytest.raises(DownloadError, match="without end"):
        downloader.get(f"{server.url}/round")
    server.faults["/file"] = [status(302, Location="file:///etc/hostname")]
    with pytest.raises(DownloadError, match="no address of http or https"):
        downloader.get(f"{server.url}/file")


def test_errors_do_not_repeat_addresses() -> None:
    """An address may hold a key."""
    with serving() as server:
        gone = server.url
    with pytest.raises(DownloadError, match="cannot be reached") as caught:
        Downloader(pause=0, tries=2, sleep=lambda _: None).get(f"{gone}/x?client_id=secret")
    assert "secret" not in f"{caught.value} {caught.value.hint}"


def test_is_polite(server: FileServer, waits: list[float]) -> None:
    """A pause between two requests, none before the first."""
    downloader = Downloader(pause=0.5, sleep=waits.append)
    for _ in range(3):
        downloader.get(f"{server.url}/a.bin")
    assert waits == [0.5, 0.5]
