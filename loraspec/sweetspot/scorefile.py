"""``scores/<metric>.json``: what one metric measured, as a file; read as if a stranger had written it.

A file stands for itself: it says which epochs, weights, prompts and seeds its numbers are of. NaN is null.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from attrs import asdict, frozen

from loraspec.sweetspot.measured import AXES, Gate, GateName, Measured, Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSION = 6
SCORES, FRESH = "scores", "scores/fresh"
LARGEST = 64 * 2**20  # bytes
MOST = 4_000_000  # numbers


@frozen(eq=False)
class ScoreFile:
    """One file.

    Attributes:
        key: sha256 of everything that the numbers depend on: a metric is not measured again while it is the same.
        scores: What P, S, E and W count, with this metric alone in ``measured``.
    """

    key: str
    scores: Scores

    @property
    def measured(self) -> Measured:
        """The metric's numbers."""
        return self.scores.measured[0]

    def plain(self) -> dict[str, Any]:
        """Return what JSON holds."""
        scores, measured = self.scores, self.measured
        return {
            "version": VERSION,
            "key": self.key,
            "metric": measured.name,
            "axis": measured.axis,
            "epochs": list(scores.epochs),
            "weights": list(scores.weights),
            "prompts": list(scores.prompts),
            "seeds": list(scores.seeds),
            "heldout": scores.heldout,
            "exposure": scores.exposure,
            "values": numbers(measured.values),
            "base": numbers(measured.base),
            "closeness": None if measured.closeness is None else numbers(measured.closeness),
            "references": numbers(measured.references),
            "scale": numbers(measured.scale),
            "gates": [{**asdict(gate), "value": numbers(gate.value), "limit": numbers(gate.limit)} for gate in measured.gates],
            "notes": list(measured.notes),
            "facts": facts_of(measured.facts),
        }


def numbers(value: Any) -> Any:
    """Return an array as lists, and a number, with None for what is not finite."""
    if isinstance(value, np.ndarray):
        return [numbers(inner) for inner in value]
    return float(value) if np.isfinite(value) else None


def facts_of(value: Any) -> Any:
    """Return facts as plain data: text keys, lists, numbers, text, None for what is not finite.

    Raises:
        ValueError: Something else is among them.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.ndarray):
        return numbers(value.astype(np.float64))
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return numbers(float(value))
    if isinstance(value, Mapping):
        return {str(key): facts_of(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [facts_of(inner) for inner in value]
    raise ValueError(f"a fact is a {type(value).__name__}; write text, numbers, lists and tables")


def read_score(path: Path) -> ScoreFile:
    """Read one file.

    Raises:
        ValueError: It is none of this version, or its parts do not fit each other.
        OSError: It is not there.
    """
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path.name} has more than {LARGEST} bytes")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
        if not isinstance(raw, dict) or raw.get("version") != VERSION:
            raise ValueError(f"{path.name} is no score file of version {VERSION}")
        return _file(raw)
    except (KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path.name} lacks or misspells a value: {type(error).__name__}: {error}") from None


def load(folder: Path, *, fresh: bool = False) -> Scores | None:
    """Return what was measured in a run's folder; None when nothing readable is there.

    Metrics of other epochs, weights, prompts or seeds than the newest file's are left out: they were measured before the spec changed.

    Args:
        folder: The run's folder.
        fresh: The confirmation of the tie set on fresh seeds instead.
    """
    found: list[tuple[float, str, ScoreFile]] = []
    place = folder / (FRESH if fresh else SCORES)
    for path in sorted(place.glob("*.json")) if place.is_dir() and not place.is_symlink() else []:
        try:
            found.append((path.stat().st_mtime, path.name, read_score(path)))
        except (OSError, ValueError):
            continue
    return together([file for *_, file in sorted(found, key=lambda item: item[:2])])


def together(files: list[ScoreFile]) -> Scores | None:
    """Return one ``Scores`` of files, the last of which says which cells are meant; None without files."""
    if not files:
        return None
    last = files[-1].scores
    same = [file for file in files if _cells(file.scores) == _cells(last)]
    measured = sorted((file.measured for file in same), key=lambda one: (AXES.index(one.axis), one.name))
    return Scores(last.epochs, last.weights, last.prompts, last.seeds, tuple(measured), last.heldout, last.exposure)


def _cells(scores: Scores) -> tuple[Any, ...]:
    return scores.epochs, scores.weights, scores.prompts, scores.seeds


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def _file(raw: dict[str, Any]) -> ScoreFile:
    if raw["axis"] not in AXES:
        raise TypeError(f"there is no axis {raw['axis']!r}")
    epochs, seeds = tuple(_whole(one) for one in raw["epochs"]), tuple(_whole(one) for one in raw["seeds"])
    weights, prompts = tuple(float(one) for one in raw["weights"]), tuple(str(one) for one in raw["prompts"])
    values, base = _array(raw["values"], 4), _array(raw["base"], 2)
    if values.shape[:2] != (len(epochs), len(weights)):
        raise ValueError(f"{values.shape[:2]} values for {len(epochs)} epochs and {len(weights)} weights")
    if raw["axis"] != "diagnostic" and not values.shape[2:] == base.shape == (len(prompts), len(seeds)):
        raise ValueError(f"{values.shape[2:]} values and {base.shape} of the base for {len(prompts)} prompts and {len(seeds)} seeds")
    closeness = None if raw["closeness"] is None else _array(raw["closeness"], 4)
    if closeness is not None and closeness.shape != values.shape:
        raise ValueError(f"{closeness.shape} of closeness for {values.shape} values")
    measured = Measured(
        str(raw["metric"]),
        raw["axis"],
        values,
        base,
        _array(raw["references"], 1),
        float("nan") if raw["scale"] is None else float(raw["scale"]),
        tuple(_gate(one) for one in raw["gates"]),
        tuple(str(one) for one in raw["notes"]),
        dict(raw["facts"]),
        closeness,
    )
    return ScoreFile(str(raw["key"]), Scores(epochs, weights, prompts, seeds, (measured,), _whole(raw["heldout"]), _whole(raw["exposure"])))


def _array(raw: Any, depth: int) -> NDArray[np.float64]:
    found = np.asarray(raw, dtype=np.float64)  # None becomes NaN; ragged lists are refused
    if found.size == 0 and depth == 1:
        return np.zeros(0)
    if found.ndim != depth or found.size > MOST:
        raise ValueError(f"{found.shape} where an array of {depth} dimensions belongs")
    return found


def _gate(raw: dict[str, Any]) -> Gate:
    if raw["name"] not in get_args(GateName) or not (raw["passed"] is None or isinstance(raw["passed"], bool)):
        raise TypeError(f"{raw['name']!r} with {raw['passed']!r} is no gate")
    value, limit = (float("nan") if raw[name] is None else float(raw[name]) for name in ("value", "limit"))
    return Gate(raw["name"], value, limit, raw["passed"], str(raw["words"]))


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is no whole number")
    return value
