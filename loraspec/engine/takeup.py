"""Taking a run up: everything committed is compared with its digest; what is damaged goes to ``quarantine/`` and is told.

Nothing is ever deleted but what was never committed. Every repair can be cut off and done again.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from loraspec.digests import file_sha256
from loraspec.engine import checkpoint, disk
from loraspec.engine.folder import LAYOUT, LOCK, RESOLVED, RUN, SPEC, STARTED, RunFolder
from loraspec.engine.journal import JOURNAL
from loraspec.errors import RunError
from loraspec.spec.resolved import resolved_toml

if TYPE_CHECKING:
    from loraspec.plan import Plan

QUARANTINE = "quarantine"


class TakeUp:
    """The repairs of one start.

    Attributes:
        told: What a person should read, in order.
    """

    def __init__(self, files: RunFolder, plan: Plan) -> None:
        self.files = files
        self.plan = plan
        self.told: list[str] = []

    def sweep(self) -> None:
        """Remove what was never finished.

        Raises:
            RunError: A folder is a link.
        """
        self._refuse_links()
        for path in list(self._unfinished(self.files.path)):
            disk.discard(path)

    def records(self) -> None:
        """Mend what says which run this is: enough to see whether it is this plan's.

        Raises:
            RunError: It was written by a newer loraspec, or cannot be mended.
        """
        self._journal()
        self._facts()
        self._texts()

    def results(self) -> None:
        """Check and mend epochs and checkpoints.

        Raises:
            RunError: As ``records``.
        """
        try:
            self._index()
            self._epochs()
            self._extras()
            self._checkpoints()
        except (AttributeError, KeyError, TypeError, ValueError) as error:  # sealed, but not by a loraspec
            raise RunError(f"{self.files.path}: is not laid out as a run: {type(error).__name__}: {error}").coded("E-RUN-LAYOUT") from error
        for name in (self.files.events.name, "drafts.jsonl"):
            _cut_half_line(self.files.path / name)
        self._announce()

    # -- layout --------------------------------------------------------------------------------------------------------

    def _refuse_links(self) -> None:
        """A link in the place of a folder would make the run write somewhere else."""
        for top, folders, _ in os.walk(self.files.path):
            links = [name for name in folders if (Path(top) / name).is_symlink()]
            if links:
                raise RunError(f"{Path(top) / links[0]}: is a link; a run's folders are real ones").coded("E-RUN-LAYOUT")
            folders[:] = [name for name in folders if name != QUARANTINE]

    def _unfinished(self, folder: Path) -> Iterator[Path]:
        for entry in sorted(folder.iterdir()):
            if disk.is_staged(entry.name):
                yield entry
            elif entry.is_dir() and not entry.is_symlink() and entry.name != QUARANTINE:
                yield from self._unfinished(entry)

    def _inside(self, name: Any) -> Path:
        """Return a committed file's place, if the index names one under ``epochs/``."""
        pure = PurePosixPath(str(name))
        if not isinstance(name, str) or pure.is_absolute() or ".." in pure.parts or not pure.parts or "\\" in name or "\0" in name:
            where = self.files.index_path
            raise RunError(f"{where}: names {name!r}, which is no place inside epochs/").coded("E-RUN-LAYOUT")
        return self.files.path / "epochs" / pure

    def _quarantine(self, paths: Collection[Path], why: str, *, copy: bool = False, journal: bool = True, **fields: Any) -> None:
        """Journal, then move (or copy) what is there out of the way."""
        there = [path for path in paths if os.path.lexists(path)]
        root = self.files.path / QUARANTINE
        number = 1 + sum(1 for _ in root.iterdir()) if root.is_dir() else 1  # nothing is ever taken out again
        targets = {path: root / f"{number + offset:04d}-{path.name}" for offset, path in enumerate(there)}
        names = [path.relative_to(self.files.path).as_posix() for path in paths]
        if journal:
            self.files.journal.write("quarantined", files=names, why=why, **fields)
        for path, target in targets.items():
            if copy:
                disk.write_file(target, path.read_bytes())
            else:
                disk.move(path, target)
        kept = f"; what was there is in {QUARANTINE}/" if there else ""
        self.told.append(f"{', '.join(names)}: {why}{kept}")

    # -- small files ---------------------------------------------------------------------------------------------------

    def _journal(self) -> None:
        found = self.files.journal.mend()
        if found.half:
            self.told.append(f"{JOURNAL}: its last line was cut off and is dropped")
        if found.damaged:
            path = self.files.path / JOURNAL
            self._quarantine([path], found.damaged, copy=True, journal=False)
            disk.write_file(path, path.read_bytes()[: found.size])
            self.files.journal.mend()
            self.files.journal.write("quarantined", files=[JOURNAL], why=found.damaged)

    def _facts(self) -> None:
        if not (self.files.path / RUN).is_file():
            self.told.append(f"{RUN} was gone and is made again from the journal")
        try:
            saved = self.files.saved_facts()
        except RunError:
            saved = {}
            self._quarantine([self.files.path / RUN], "is not what was written, and was made again from the journal", copy=True)
        if "layout" not in saved:
            self.files.note(layout=LAYOUT)
        lines = self.files.journal.mend().lines
        if not any(line["kind"] == "started" for line in lines):
            started = {name: self.files.facts[name] for name in STARTED if name in self.files.facts}
            self.files.journal.write("started", **started)
            if self.files.index_path.is_file():
                self.told.append(f"{JOURNAL} was gone, or from before there was one, and begins again")

    def _texts(self) -> None:
        """Copies of the spec are written again; a damaged lock is left out of the comparison, which the digests then make."""
        facts = self.files.facts
        for name, known in facts.get("files", {}).items():
            path = self.files.path / name
            if not path.is_file() or file_sha256(path) in known or name not in (SPEC, RESOLVED, LOCK):
                continue
            self._quarantine([path], "is not what was written")
        if facts.get("spec_hash") == self.plan.spec_hash:
            self.files.write_spec(spec_text=self.plan.document.text, resolved=resolved_toml(self.plan.resolved))

    # -- epochs --------------------------------------------------------------------------------------------------------

    def _index(self) -> None:
        try:
            entries = self.files.index
        except RunError as error:
            if error.code == "E-RUN-LAYOUT":  # sealed, so not damaged but forged
                raise
            entries = list(self._announced().values())
            self._quarantine([self.files.index_path], "is not what was written, and was made again from the journal", copy=True)
            self.files.write_index(entries)
        if not self.files.index_path.is_file() and self._announced():
            self.told.append("epochs/index.json was gone and was made again from the journal")
            self.files.write_index(list(self._announced().values()))

    def _announced(self) -> dict[int, dict[str, Any]]:
        """Entries that the journal announced and that were not taken back since."""
        found: dict[int, dict[str, Any]] = {}
        for line in self.files.journal.mend().lines:
            if line["kind"] == "epoch":
                found[line["epoch"]] = {key: value for key, value in line.items() if key != "kind"}
            elif line["kind"] == "quarantined" and "epoch" in line:
                found.pop(line["epoch"], None)
        return found

    def _epochs(self) -> None:
        entries = self.files.index
        for entry in entries:
            paths = [self._inside(file["path"]) for file in entry["files"]]
            wrong = [text for path, file in zip(paths, entry["files"], strict=True) if (text := _wrong(path, file))]
            if wrong:
                epoch = entry["epoch"]
                self._quarantine(paths, f"epoch {epoch} is damaged ({'; '.join(wrong)}) and is trained again", epoch=epoch)
                self.files.write_index([other for other in self.files.index if other["epoch"] != epoch])

    def _extras(self) -> None:
        """What is under ``epochs/`` and in no index: an epoch that was not finished goes, what nobody planned is kept aside."""
        root = self.files.path / "epochs"
        listed = {file["path"] for entry in self.files.index for file in entry["files"]} | {self.files.index_path.name}
        planned = {file.path for epoch in range(1, self.plan.spec.train.epochs + 1) for file in self.plan.exports(epoch)}
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root).as_posix()
            if name in listed or path.name.startswith(".") or (path.is_dir() and not path.is_symlink()):
                continue
            if name in planned and not path.is_symlink():
                disk.discard(path)
            else:
                self._quarantine([path], "belongs to no epoch")

    def _checkpoints(self) -> None:
        root = self.files.path / "state"
        known = set(checkpoint.folders(root)) if root.is_dir() else set()
        for path in sorted(root.iterdir()) if root.is_dir() else []:
            if path.name.startswith("."):
                continue
            try:
                if path not in known:
                    raise RunError(f"{path.name}: no checkpoint has this name")
                checkpoint.check(path)
            except (OSError, RunError, KeyError, TypeError, ValueError) as error:
                if getattr(error, "code", "") == "E-RUN-VERSION":
                    raise
                why = str(error).replace(f"{path}/", "").replace(f"{path}: ", "")
                self._quarantine([path], f"the checkpoint is not used: {why}")

    def _announce(self) -> None:
        """Journal the epochs that were committed and cut off before they were announced."""
        announced = self._announced()
        for entry in self.files.index:
            if announced.get(entry["epoch"]) != entry:
                self.files.journal.write("epoch", **entry)


def intact(folder: Path) -> bool:
    """Whether every committed epoch of a run is as it was committed."""
    try:
        entries = RunFolder(folder).index
        return not any(_wrong(folder / "epochs" / file["path"], file) for entry in entries for file in entry["files"])
    except (RunError, AttributeError, KeyError, TypeError, ValueError):
        return False


def _wrong(path: Path, file: dict[str, Any]) -> str:
    """Say what is wrong with a committed file, or ""."""
    if path.is_symlink():
        return f"{path.name} is a link"
    if not path.is_file():
        return f"{path.name} is missing"
    found = file_sha256(path)
    if found != file["sha256"]:
        return f"{path.name} has sha256 {found[:12]}, {str(file['sha256'])[:12]} was committed"
    return ""


def _cut_half_line(path: Path) -> None:
    """Cut what a stopped machine left of a last line, so that the next one starts on its own."""
    if not path.is_file():
        return
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole != len(data):
        disk.shorten(path, whole)
