"""What a run's folder says, read defensively: a folder may come from a stranger, or from a run that was cut short."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

CELL = re.compile(r"[0-9a-f]{64}\.png")
THUMB = re.compile(r"[0-9a-f]{8,64}\.(webp|png|jpg)")
SHEET = re.compile(r"sheets/prompt-[0-9]{1,4}-seed-(-?)[0-9]{1,20}\.png")
ANIMATION = "progress.webp"  # the first judged prompt over the epochs, in ``grid``
LARGEST_FILE = 64 * 2**20  # bytes: larger text files are no part of a run


@frozen(eq=False)
class RunData:
    """The files of a run's folder; what is missing or broken is empty.

    Attributes:
        folder: The folder.
        run: ``run.json``.
        lock: ``lock.json``.
        resolved, spec: Text of ``resolved.toml`` and ``spec.toml``.
        settings: ``resolved.toml`` as tables.
        manifest: Rows of ``manifest.jsonl``.
        epochs: Entries of ``epochs/index.json``, ascending.
        grid: ``grid/index.json``.
        logs: ``log`` lines of ``events.jsonl``, one a step (the last one of a step that was repeated), ascending.
        warnings: Texts of the warnings among the events, each once.
    """

    folder: Path
    run: Mapping[str, Any] = field(factory=dict)
    lock: Mapping[str, Any] = field(factory=dict)
    resolved: str = ""
    spec: str = ""
    settings: Mapping[str, Any] = field(factory=dict)
    manifest: tuple[Mapping[str, Any], ...] = ()
    epochs: tuple[Mapping[str, Any], ...] = ()
    grid: Mapping[str, Any] = field(factory=dict)
    logs: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()

    def series(self, name: str) -> tuple[tuple[float, float], ...]:
        """Return (step, value) of a metric, where it is a number."""
        return tuple((float(line["step"]), float(line[name])) for line in self.logs if number(line.get(name)))

    def get(self, path: str, default: Any = "") -> Any:
        """Return a value of the resolved spec by dotted path."""
        table: Any = self.settings
        for key in path.split("."):
            table = table.get(key) if isinstance(table, Mapping) else None
        return default if table is None else table


def number(value: Any) -> bool:
    """Whether a value is a number (a truth value is none)."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def pair_name(key: str) -> str:
    """Return the name, among the thumbnails, of a training picture that generated ones lie near to."""
    return f"{hashlib.sha256(key.encode()).hexdigest()}.png"


def items(value: Any) -> list[Any]:
    """Return a list, or nothing."""
    return value if isinstance(value, list) else []


def read_folder(folder: Path) -> RunData:
    """Read a run's folder."""
    events = _lines(folder / "events.jsonl")
    logs = {line["step"]: line for line in events if line.get("kind") == "log" and number(line.get("step"))}
    told = (str(line.get("text", "")) for line in events if line.get("kind") == "message" and line.get("severity") == "warning")
    resolved = _text(folder / "resolved.toml")
    try:
        settings = tomllib.loads(resolved)
    except tomllib.TOMLDecodeError:
        settings = {}
    entries = _tables(_json(folder / "epochs" / "index.json").get("epochs"))
    return RunData(
        folder=folder,
        run=_json(folder / "run.json"),
        lock=_json(folder / "lock.json"),
        resolved=resolved,
        spec=_text(folder / "spec.toml"),
        settings=settings,
        manifest=tuple(_lines(folder / "manifest.jsonl")),
        epochs=tuple(sorted((entry for entry in entries if number(entry.get("epoch"))), key=lambda entry: entry["epoch"])),
        grid=_json(folder / "grid" / "index.json"),
        logs=tuple(logs[step] for step in sorted(logs)),
        warnings=tuple(dict.fromkeys(text for text in told if text)),
    )


def inside(folder: Path, name: Any, pattern: re.Pattern[str]) -> Path | None:
    """Return a file of a folder whose name has the expected form and that is really there; links that lead out are refused."""
    if not isinstance(name, str) or not pattern.fullmatch(name):
        return None
    path = folder / name
    return path if path.is_file() and path.resolve().is_relative_to(folder.resolve()) else None


def weight_words(weight: Any) -> str:
    """Return a weight as people write it: ``0.8``, ``1.0``."""
    text = f"{weight:g}" if number(weight) else str(weight)
    return text if "." in text or "e" in text or not number(weight) else f"{text}.0"


def contact_weight(weights: Sequence[float]) -> float:
    """Return the weight that the contact sheet shows: the one nearest to 1, 0 without any."""
    return min(weights, key=lambda weight: (abs(weight - 1.0), weight), default=0.0)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_FILE:
            return ""
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(_text(path) or "{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _lines(path: Path) -> list[dict[str, Any]]:
    found = []
    for line in _text(path).splitlines():
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):  # the last line of a killed run may be cut
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


def _tables(value: Any) -> list[dict[str, Any]]:
    return [item for item in items(value) if isinstance(item, dict)]
