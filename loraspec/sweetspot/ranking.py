"""The ranking of a run: everything that the rule found, as it is written to ``ranking.json`` and read by report, pick and compare."""

from __future__ import annotations

import json
import math
from typing import Any, Literal

from attrs import asdict, field, frozen

VERSION = 1
Confidence = Literal["high", "medium", "low"]


@frozen
class Interval:
    """A value with the 90 % interval of its resamplings; NaN where it is not known."""

    value: float
    low: float
    high: float


@frozen
class CellScore:
    """One cell of the ranking.

    Attributes:
        epoch, weight: Which.
        utility: U in 0..1.
        axes: Score of each axis that was measured: ``style``, ``prompt``, ``originality``, ``variety``, ``health``.
        progress: Style progress; over 1 is more than the artist.
        copies: Share of pictures nearer to a training picture than real works are to each other.
        front: Whether no other cell is better or equal in style, prompt and originality together.
    """

    epoch: int
    weight: float
    utility: Interval
    axes: dict[str, Interval]
    progress: Interval
    copies: Interval
    front: bool = False


@frozen
class Label:
    """A remark about an epoch: ``over-cooked``, ``copying`` ..., its number, and a sentence."""

    name: str
    value: Interval
    words: str


@frozen
class EpochScore:
    """One epoch of the ranking.

    Attributes:
        epoch: Which.
        key: What epochs are ranked by: U at weight 1.0 less what a reduced weight would gain.
        regret: What a reduced weight would gain.
        peak: The weight at which U is highest, by a parabola.
        best: Share of resamplings in which this epoch has the highest key.
        tied: Whether it is in the tie set: by all pictures, the fresh ones among them.
        fresh: The key on fresh seeds, None where they were not drawn.
        labels: Remarks.
        screened: Whether it was tied before fresh seeds were drawn.
    """

    epoch: int
    key: Interval
    regret: Interval
    peak: float
    best: float
    tied: bool
    fresh: float | None = None
    labels: tuple[Label, ...] = ()
    screened: bool = False


@frozen
class GateRow:
    """A metric and the answer of one of its trust gates; ``passed`` None: the gate has nothing to say of it."""

    metric: str
    axis: str
    gate: str
    passed: bool | None
    value: float
    limit: float
    words: str


@frozen
class Ranking:
    """See the classes above.

    Attributes:
        epoch, weight: The recommendation; epoch 0 when nothing could be ranked.
        confidence: ``high``, ``medium`` or ``low``.
        reasons: Why the confidence is not higher; one sentence each.
        sentences: The verdict, one sentence a step, the first alone says it all.
        epochs: Ascending.
        cells: Epoch by epoch, weights ascending.
        missing: Axis -> why it does not vote.
        gates: Every metric's gates.
        pictures: Pictures a cell.
        prompts, seeds: What they were asked for; ``fresh_seeds`` those of the confirmation.
        pairs: Generated pictures that lie near a training picture: epoch, weight, prompt, seed, key, distance.
        version: Of this format.
    """

    epoch: int
    weight: float
    confidence: Confidence
    reasons: tuple[str, ...]
    sentences: tuple[str, ...]
    epochs: tuple[EpochScore, ...]
    cells: tuple[CellScore, ...]
    missing: dict[str, str]
    gates: tuple[GateRow, ...]
    pictures: int
    prompts: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    fresh_seeds: tuple[int, ...] = ()
    pairs: tuple[dict[str, Any], ...] = field(default=())
    version: int = VERSION

    @property
    def tie_set(self) -> tuple[int, ...]:
        """Epochs that cannot be told from the best one."""
        return tuple(one.epoch for one in self.epochs if one.tied)

    def of_epoch(self, epoch: int) -> EpochScore | None:
        """Return an epoch's row."""
        return next((one for one in self.epochs if one.epoch == epoch), None)

    def cell(self, epoch: int, weight: float) -> CellScore | None:
        """Return a cell's row."""
        return next((one for one in self.cells if one.epoch == epoch and abs(one.weight - weight) < 1e-9), None)

    def to_json(self) -> str:
        """Return the text of ``ranking.json``: keys sorted, numbers to six places, null for what is not known."""
        return json.dumps(_plain(asdict(self)), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Ranking:
        """Read what ``to_json`` wrote; the text may come from a stranger.

        Raises:
            ValueError: It is no ranking of this version, or a value has another type than it should.
        """
        try:
            raw = json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"ranking.json is no JSON: {error}") from None
        if not isinstance(raw, dict) or raw.get("version") != VERSION:
            found = raw.get("version") if isinstance(raw, dict) else type(raw).__name__
            raise ValueError(f"ranking.json has version {found!r}; {VERSION} is what this loraspec reads")
        try:
            return _ranking(raw)
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"ranking.json lacks or misspells a value: {type(error).__name__}: {error}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def _ranking(raw: dict[str, Any]) -> Ranking:
    if raw["confidence"] not in ("high", "medium", "low"):
        raise TypeError("confidence is none of high, medium, low")
    return Ranking(
        epoch=_whole(raw["epoch"]), weight=_number(raw["weight"]), confidence=raw["confidence"],
        reasons=_texts(raw["reasons"]), sentences=_texts(raw["sentences"]),
        epochs=tuple(_epoch(one) for one in _list(raw["epochs"])), cells=tuple(_cell(one) for one in _list(raw["cells"])),
        missing={str(key): str(value) for key, value in raw["missing"].items()},
        gates=tuple(
            GateRow(
                str(g["metric"]), str(g["axis"]), str(g["gate"]), _truth(g["passed"]),
                _number(g["value"]), _number(g["limit"]), str(g["words"]),
            )
            for g in _list(raw["gates"])
        ),
        pictures=_whole(raw["pictures"]), prompts=_texts(raw["prompts"]), seeds=tuple(_whole(s) for s in _list(raw["seeds"])),
        fresh_seeds=tuple(_whole(s) for s in _list(raw["fresh_seeds"])), pairs=tuple(dict(pair) for pair in _list(raw["pairs"])),
    )  # fmt: skip


def _epoch(raw: dict[str, Any]) -> EpochScore:
    labels = tuple(Label(str(one["name"]), _interval(one["value"]), str(one["words"])) for one in _list(raw["labels"]))
    fresh = None if raw["fresh"] is None else _number(raw["fresh"])
    key, regret = _interval(raw["key"]), _interval(raw["regret"])
    tied = bool(raw["tied"])
    screened = bool(raw.get("screened", tied))  # earlier versions did not tell the two apart
    return EpochScore(_whole(raw["epoch"]), key, regret, _number(raw["peak"]), _number(raw["best"]), tied, fresh, labels, screened)


def _cell(raw: dict[str, Any]) -> CellScore:
    axes = {str(key): _interval(value) for key, value in raw["axes"].items()}
    parts = (_interval(raw[name]) for name in ("utility", "progress", "copies"))
    utility, progress, copies = parts
    return CellScore(_whole(raw["epoch"]), _number(raw["weight"]), utility, axes, progress, copies, bool(raw["front"]))


def _interval(raw: dict[str, Any]) -> Interval:
    return Interval(_number(raw["value"]), _number(raw["low"]), _number(raw["high"]))


def _number(value: Any) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is no whole number")
    return value


def _truth(value: Any) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise TypeError(f"{value!r} is no truth value")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{type(value).__name__} where a list belongs")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(one) for one in _list(value))
