"""What a run left in its folder, read to choose from: committed epochs, the resolved spec, the ranking. No torch.

The folder may come from a stranger: what has another form than it should is refused or taken as absent.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from loraspec.digests import file_sha256
from loraspec.errors import RunError, SpecError
from loraspec.sweetspot.ranking import Ranking
from loraspec.textfile import read_plain

RANKING = "ranking.json"
LARGEST = 64 * 2**20  # bytes: a larger text is no part of a run


@frozen(eq=False)
class Finished:
    """A run's folder.

    Attributes:
        folder: The folder.
        facts: ``run.json``.
        entries: Committed epochs as the index has them, ascending.
        settings: ``resolved.toml`` as tables, {} when it cannot be read.
        ranking: What the rule found; None when nothing was ranked.
        ranking_sha256: sha256 (hex) of ``ranking.json``, "" without one.
        ranking_problem: Why a ranking that is there cannot be read, or "".
    """

    folder: Path
    facts: Mapping[str, Any]
    entries: tuple[Mapping[str, Any], ...]
    settings: Mapping[str, Any]
    ranking: Ranking | None
    ranking_sha256: str
    ranking_problem: str

    @property
    def name(self) -> str:
        """The run's name, or its folder's."""
        return str(self.facts.get("name") or self.folder.resolve().name)

    @property
    def seed(self) -> int:
        """The run's seed."""
        seed = self.setting("run.seed", 0)
        return seed if isinstance(seed, int) else 0

    @property
    def epochs(self) -> tuple[int, ...]:
        """Committed epochs, ascending."""
        return tuple(int(entry["epoch"]) for entry in self.entries)

    def setting(self, path: str, default: Any = None) -> Any:
        """Return a value of the resolved spec by dotted path."""
        table: Any = self.settings
        for key in path.split("."):
            table = table.get(key) if isinstance(table, Mapping) else None
        return default if table is None else table

    def digests(self, epoch: int) -> dict[str, str]:
        """Return the files of a committed epoch, by their place under ``epochs/``: sha256 (hex) of each, in the exporters' order.

        Raises:
            SpecError: The epoch is not committed.
        """
        for entry in self.entries:
            if entry["epoch"] == epoch:
                return {str(file["path"]): str(file["sha256"]) for file in entry["files"]}
        known = f"there are {listed(self.epochs)}" if self.entries else "there is none yet"
        raise SpecError(f"{self.folder}: epoch {epoch} is not committed; {known}")

    def file(self, name: str) -> Path:
        """Return where a file of an epoch is."""
        return self.folder / "epochs" / name

    def verified(self, epoch: int) -> tuple[Path, ...]:
        """Return the files of a committed epoch, each compared with what was committed.

        Raises:
            SpecError: The epoch is not committed.
            RunError: A file is gone, is a link, or is not what was committed.
        """
        found = []
        for name, sha256 in self.digests(epoch).items():
            path = self.file(name)
            inside = path.resolve().is_relative_to((self.folder / "epochs").resolve()) and not (self.folder / "epochs").is_symlink()
            if path.is_symlink() or not inside or not path.is_file() or file_sha256(path) != sha256:
                hint = f"loraspec resume {self.folder} trains it again, to the same bits"
                raise RunError(f"{path}: is not what epoch {epoch} committed\n    hint: {hint}").coded("E-RUN-DAMAGED")
            found.append(path)
        return tuple(found)


def read(folder: Path) -> Finished:
    """Read a run's folder.

    Raises:
        SpecError: There is no run.
        RunError: ``run.json`` or the index of epochs is damaged or forged.
    """
    from loraspec.engine.folder import RunFolder

    files = RunFolder(folder)
    facts = files.facts
    if not facts:
        raise SpecError(f"{folder} holds no run: there is no run.json")
    ranking, sha256, problem = _ranking(folder)
    return Finished(folder, facts, tuple(sorted(files.index, key=_epoch)), _settings(folder), ranking, sha256, problem)


def listed(epochs: tuple[int, ...]) -> str:
    """Return ``1, 2 and 5``; many are shortened to the first and the last."""
    words = [str(epoch) for epoch in epochs]
    if len(words) > 12:
        return f"{words[0]} to {words[-1]}"
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1] if words else ""])) or "none"


def _epoch(entry: Mapping[str, Any]) -> int:
    return int(entry["epoch"])


def _settings(folder: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_plain(folder / "resolved.toml", LARGEST).decode("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}


def _ranking(folder: Path) -> tuple[Ranking | None, str, str]:
    try:
        data = read_plain(folder / RANKING, LARGEST)
    except FileNotFoundError:
        return None, "", ""
    except (OSError, ValueError) as error:
        return None, "", f"{RANKING} {error}"
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        return Ranking.from_json(data.decode("utf-8")), sha256, ""
    except ValueError as error:
        return None, sha256, str(error)
