"""What the tests of fetched sources share: a source built as a spec builds it, fetched and scanned."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from loraspec_guide.data.registry import DATA_SOURCES
from PIL import Image

from loraspec.download import Downloader
from loraspec.fetching import Outcome, fetch
from loraspec.randomness import rng_of
from loraspec.values import Context, Scan


def encoded(seed: int, size: tuple[int, int] = (60, 40), kind: str = "JPEG") -> bytes:
    """Return a picture of its own."""
    file = io.BytesIO()
    count = size[0] * size[1] * 3
    Image.frombytes("RGB", size, bytes((seed * 37 + place * (seed + place // 90)) % 256 for place in range(count))).save(file, kind)
    return file.getvalue()


class Work:
    """A source in a folder."""

    def __init__(self, use: str, folder: Path, **options: Any) -> None:
        [component] = [one for one in DATA_SOURCES if one.name == use]
        self.context = Context(folder=folder, rng=rng_of(0), extensions=lambda hook: [])
        self.source: Any = component.build(component.options(**{"path": "images", **options}))
        self.downloader = Downloader(pause=0, tries=3, sleep=lambda _: None)

    def wanted(self) -> list[Any]:
        """What the options choose."""
        return list(self.source.remotes(self.context, self.downloader))

    def fetch(self) -> list[Outcome]:
        """Fetch it."""
        return list(fetch(self.source, self.context, self.wanted(), self.downloader))

    def scan(self) -> Scan:
        """Look at what is there."""
        found: Scan = self.source.scan(self.context)
        return found

    def told(self, severity: str = "error") -> list[str]:
        """Codes of what a scan says."""
        return [problem.code for problem in self.scan().problems if problem.severity == severity]
