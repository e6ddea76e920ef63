"""The experiment's tables: how well metrics, U and the pick agree with the truth, a row for each run.

Regret is normalised: what the chosen epoch lacks of the best one's truth, over what the median epoch lacks of it; 0 is the best
epoch, 1 an ordinary one. Truth of an epoch is U* at weight 1.0. The truth is of pictures too: what its own halves say of each other
tells how far an agreement can go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import frozen

from loraspec.sweetspot.axes import Draws, axes_of, style_of
from loraspec.sweetspot.keys import full_weight
from loraspec_picturebook.experiment.cases import LOOKED_AT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loraspec.sweetspot.measured import Measured, Scores
    from loraspec.sweetspot.ranking import Ranking
    from loraspec_picturebook.experiment.cases import Case
    from loraspec_picturebook.experiment.truth import Stars, Truth

    Floats = NDArray[np.float64]

FLAT: Final = 0.03
"""U* of the epochs lies within this: the runs in which no choice is better than another, so that regret has no meaning."""

SCREENED: Final = "regret of the judged seeds alone"
WITHOUT: Final = {name: f"{SCREENED}, without {name}" for name in ("picturebook-margin", "diffusion-margin")}
EARLIER: Final = "earlier c*"
"""Marks kept rows whose copying was measured by a limit, before ``truth.Near``."""
OTHERS: Final = (SCREENED, *WITHOUT.values())
"""Regrets of what would have been chosen without confirmation, and by one reader of prompts; confirmed is the rule's own tie set."""
CONFIDENCE: Final = ("low", "medium", "high")  # a row has the place of its word
CHOOSERS: Final = ("chosen", "last", "held-out loss", "random")
REGRETS: Final = ("regret", "regret of last", "regret of held-out loss", "regret of random")


@frozen(eq=False)
class Row:
    """One run: its case, ``numbers`` by name (None: undefined), and per metric the agreement with its truth in ``metrics``."""

    case: Case
    numbers: Mapping[str, float | None]
    metrics: Mapping[str, float | None]
    curves: Mapping[str, Any]

    def plain(self) -> dict[str, Any]:
        """Return the row as it is committed."""
        case = self.case
        return {
            "run": case.name, "style": case.style, "images": case.images, "strength": case.strength, "seed": case.seed,
            **{name: _rounded(value) for name, value in self.numbers.items()},
            "spearman": {name: _rounded(value) for name, value in self.metrics.items()},
            "curves": self.curves,
        }  # fmt: skip

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Row:
        """Return the row that ``plain`` was made of, with rounded numbers."""
        from loraspec_picturebook.experiment.cases import Case

        case = Case(plain["style"], plain["images"], plain["strength"], plain["seed"])
        rest = {"run", "style", "images", "strength", "seed", "spearman", "curves"}
        numbers = {name: value for name, value in plain.items() if name not in rest}
        return cls(case, numbers, plain["spearman"], plain["curves"])


def row_of(case: Case, truth: Truth, scores: Scores, ranking: Ranking, others: Mapping[str, Ranking] | None = None) -> Row:
    """Compare one judged run with its truth; ``others``: what else would have been chosen, by the name of its regret."""
    at = full_weight(scores.weights)
    axes = axes_of(scores, Draws.make(len(scores.prompts), len(scores.seeds), count=1, seed=0))
    utility = axes.utility[0]
    full = truth.full
    real = full.utility
    chosen = scores.epochs.index(ranking.epoch)
    loss = _heldout(scores)
    lowest = int(np.nanargmin(loss)) if np.isfinite(loss).any() else None
    best = float(real.max())
    screened = [one.epoch for one in ranking.epochs if one.screened]
    numbers: dict[str, float | None] = {
        "memorises": float(full.copies[:12].max(initial=0) > 0.3),
        "overfits": float(best - real[-1] > 0.1),
        "copies at epoch 12": float(full.copies[min(11, len(real) - 1)]),
        "best epoch": float(scores.epochs[int(real.argmax())]), "chosen epoch": float(ranking.epoch),
        "truth at best": best, "truth at chosen": float(real[chosen]), "truth at last": float(real[-1]),
        "truth at held-out loss": None if lowest is None else float(real[lowest]),
        "truth at random": float(real.mean()),
        "unet-progress": spearman(_style(scores, "unet-progress", at), full.style * full.subject),
        "unet-progress and style": spearman(_style(scores, "unet-progress", at), full.style),
        "grid": spearman(utility.ravel(), truth.grid.utility.ravel()),
        "style of judged and unseen pictures": spearman(truth.grid.style[:, at], full.style),
        "originality": spearman(axes.score["originality"][0, :, at], 1 - full.copies) if "originality" in axes.score else None,
        "regret": regret(real, chosen),
        "regret of last": regret(real, len(real) - 1),
        "regret of held-out loss": None if lowest is None else regret(real, lowest),
        "regret of random": _random(real),
        "regret of half the truth": _half(truth.halves),
        "agreement of halves": spearman(*truth.halves),
        "confidence": float(CONFIDENCE.index(ranking.confidence)),
        "surely worse": float(np.percentile(truth.drawn[1:, int(real.argmax())] - truth.drawn[1:, chosen], 5) > 0),
        "standard error": float(truth.drawn[1:, chosen].std()),
        "pictures": float(truth.pictures),
        "in screened": float(scores.epochs[int(real.argmax())] in screened), "screened": float(len(screened)),
        "in tie set": float(scores.epochs[int(real.argmax())] in ranking.tie_set), "tie set": float(len(ranking.tie_set)),
        **{name: regret(real, scores.epochs.index(other.epoch)) for name, other in (others or {}).items()},
    }
    curves = {
        "S*": _list(full.style), "F*": _list(full.subject), "c*": _list(full.copies), "U*": _list(real),
        "U": _list(utility[:, at]), "style": _list(axes.score.get("style", axes.progress)[0, :, at]),
        "copies": _list(axes.copies[0, :, at]),
    }  # fmt: skip
    return Row(case, numbers, _agreement(scores, full, axes.score, at, loss), curves)


def _agreement(scores: Scores, truth: Stars, score: Mapping[str, Floats], at: int, loss: Floats) -> dict[str, float | None]:
    """Spearman over epochs at full weight of each metric with what it should know: the style S*, the subject F*, 1 - c*, or U*."""
    known = {"style": truth.style, "prompt": truth.subject, "originality": 1 - truth.copies}
    found: dict[str, float | None] = {}
    for measured in scores.measured:
        if measured.axis == "diagnostic":
            values = -loss if measured.name == "heldout-loss" else _per_epoch(measured, at)
            found[measured.name] = spearman(values, truth.utility)
        elif measured.axis in known:
            if measured.axis == "style":
                values = _style(scores, measured.name, at)
            else:
                values = -_copies(measured)[:, at] if measured.axis == "originality" else _per_epoch(measured, at)
            found[measured.name] = spearman(values, known[measured.axis])
    for axis in score:
        if axis in known:
            found[f"axis {axis}"] = spearman(score[axis][0, :, at], known[axis])
    return found


def summary(rows: list[Row]) -> dict[str, float | None]:
    """Return what the issue of the sweet spot asks for, over all runs."""

    def column(name: str, *, of: list[Row] = rows) -> Floats:
        return np.array([row.numbers[name] for row in of if row.numbers[name] is not None], dtype=np.float64)

    memorising = [row for row in rows if row.numbers["memorises"]]
    keeping = [row for row in rows if not row.numbers["memorises"]]
    over, sound = [row for row in rows if row.numbers["overfits"]], [row for row in rows if not row.numbers["overfits"]]
    untouched = [row for row in rows if row.case.name not in LOOKED_AT]
    narrowed = [row for row in rows if row.numbers["tie set"] is not None]  # older rows know of the screening alone
    gap = [_gap(row) for row in sound if _gap(row) is not None]
    found = {
        "runs": float(len(rows)), "memorising runs": float(len(memorising)), "over-fitting runs": float(len(over)),
        "unet-progress mean": _of(np.mean, column("unet-progress")), "unet-progress worst": _of(np.min, column("unet-progress")),
        "unet-progress with S* alone, mean": _of(np.mean, column("unet-progress and style")),
        "unet-progress with S* alone, worst": _of(np.min, column("unet-progress and style")),
        "unet-progress with S* alone where nothing is memorised, mean": _of(np.mean, column("unet-progress and style", of=keeping)),
        "grid median": _of(np.median, column("grid")),
        "originality where it memorises, median": _of(np.median, column("originality", of=memorising)),
        "originality where it memorises, worst": _of(np.min, column("originality", of=memorising)),
        "runs of the earlier c*": float(sum(EARLIER in row.numbers for row in rows)),
        "regret": _of(np.mean, column("regret")), "regret median": _of(np.median, column("regret")),
        "untouched runs": float(len(untouched)),
        "untouched runs: regret": _of(np.mean, column("regret", of=untouched)),
        "untouched runs: last": _of(np.mean, column("regret of last", of=untouched)),
        "untouched runs: held-out loss": _of(np.mean, column("regret of held-out loss", of=untouched)),
        "regret of half the truth's pictures, on the other half": _of(np.mean, column("regret of half the truth")),
        "chosen epoch surely worse than the best": _of(np.mean, column("surely worse")),
        "agreement of the truth's halves": _of(np.mean, column("agreement of halves")),
        "S* of judged and of unseen pictures": _of(np.mean, column("style of judged and unseen pictures")),
        **{name: _of(np.mean, column(name)) for name in OTHERS if all(name in row.numbers for row in rows)},
        "regret where it over-fits": _of(np.mean, column("regret", of=over)),
        "last where it over-fits": _of(np.mean, column("regret of last", of=over)),
        "held-out loss where it over-fits": _of(np.mean, column("regret of held-out loss", of=over)),
        "random where it over-fits": _of(np.mean, column("regret of random", of=over)),
        "behind last where nothing over-fits": _of(np.mean, np.array(gap, dtype=np.float64)),
        "last": _of(np.mean, column("regret of last")), "held-out loss": _of(np.mean, column("regret of held-out loss")),
        "random": _of(np.mean, column("regret of random")),
        "best epoch in what the screening tied": _of(np.mean, column("in screened")),
        "runs whose tie set was narrowed by fresh seeds": float(len(narrowed)),
        "epochs that their screening tied": _of(np.mean, column("screened", of=narrowed)),
        "epochs in their tie sets": _of(np.mean, column("tie set", of=narrowed)),
        "best epoch in what their screening tied": _of(np.mean, column("in screened", of=narrowed)),
        "best epoch in their tie sets": _of(np.mean, column("in tie set", of=narrowed)),
        **{f"regret of {word} confidence": _of(np.mean, column("regret", of=told)) for word, told in _told(rows)},
        **{f"runs of {word} confidence": float(len(told)) for word, told in _told(rows)},
        "families that over-fit": float(len(_families(over))),
        "share of them in which neither last, loss nor random is better": _of(np.mean, np.array([_wins(one) for one in _families(over)])),
        **{f"U* given away: {name}": _of(np.mean, _given(rows, f"truth at {name}")) for name in CHOOSERS},
    }  # fmt: skip
    return {name: _rounded(value) for name, value in found.items()}


def _told(rows: list[Row]) -> list[tuple[str, list[Row]]]:
    """Group the runs whose confidence is known by it."""
    return [(word, [row for row in rows if row.numbers.get("confidence") == place]) for place, word in enumerate(CONFIDENCE)]


def _families(rows: list[Row]) -> list[list[Row]]:
    """Group runs that differ in the training seed alone."""
    found: dict[Any, list[Row]] = {}
    for row in rows:
        found.setdefault((row.case.style, row.case.images, row.case.strength), []).append(row)
    return list(found.values())


def _wins(family: list[Row]) -> float:
    """1 when the mean regret is no higher than that of the last epoch, of the lowest held-out loss, or of an epoch at random; else 0."""
    mean = {name: _of(np.mean, np.array([row.numbers[name] for row in family if row.numbers[name] is not None])) for name in REGRETS}
    ours = mean.pop("regret")
    return float(ours is None or all(other is None or ours <= other for other in mean.values()))


def _given(rows: list[Row], name: str) -> Floats:
    """What U* of an epoch lacks of the best one's, a run each."""
    known = [(row.numbers["truth at best"], row.numbers[name]) for row in rows]
    return np.array([best - value for best, value in known if best is not None and value is not None], dtype=np.float64)


def spearman(one: Floats, other: Floats) -> float | None:
    """Rank correlation with mean ranks of ties; None where one of the two never moves."""
    known = np.isfinite(one) & np.isfinite(other)
    if known.sum() < 3:
        return None
    left, right = _ranks(one[known]), _ranks(other[known])
    if left.std() < 1e-12 or right.std() < 1e-12:
        return None
    return float(np.corrcoef(left, right)[0, 1])


def regret(truth: Floats, chosen: int) -> float | None:
    """Normalised regret; None where the epochs are alike."""
    spread = float(truth.max() - np.median(truth))
    return float(truth.max() - truth[chosen]) / spread if spread > FLAT else None


def _half(halves: Floats) -> float | None:
    """What an epoch costs that half of the truth's pictures take for the best, by the other half: no metric can be asked for less."""
    crossed = [regret(judge, int(chooser.argmax())) for chooser, judge in (halves, halves[::-1])]
    known = [value for value in crossed if value is not None]
    return float(np.mean(known)) if known else None


def _random(truth: Floats) -> float | None:
    every = [regret(truth, epoch) for epoch in range(len(truth))]
    known = [value for value in every if value is not None]
    return float(np.mean(known)) if known else None


def _gap(row: Row) -> float | None:
    ours, last = row.numbers["regret"], row.numbers["regret of last"]
    return None if ours is None or last is None else ours - last


def _of(how: Any, values: Floats) -> float | None:
    return float(how(values)) if len(values) else None


def _measured(scores: Scores, name: str) -> Measured:
    return next(measured for measured in scores.measured if measured.name == name)


def _style(scores: Scores, name: str, at: int) -> Floats:
    """What a style metric votes with, over epochs."""
    draws = Draws.make(len(scores.prompts), len(scores.seeds), count=1, seed=0)
    found: Floats = style_of(_measured(scores, name), draws)[0][0, :, at]
    return found


def _per_epoch(measured: Measured, at: int) -> Floats:
    values = measured.values[:, at].reshape(len(measured.values), -1)
    found: Floats = np.nanmean(values, axis=1) if np.isfinite(values).any(1).all() else np.full(len(values), np.nan)
    return found


def _copies(measured: Measured) -> Floats:
    values = measured.values.reshape(*measured.values.shape[:2], -1)
    found: Floats = (values < measured.scale).mean(-1)
    return found


def _heldout(scores: Scores) -> Floats:
    series = _measured(scores, "heldout-loss").facts.get("heldout", [])
    return np.array([np.nan if value is None else value for value in series], dtype=np.float64)


def _ranks(values: Floats) -> Floats:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    found: Floats = (last - (count - 1) / 2)[place]
    return found


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)


def _list(values: Floats) -> list[float]:
    return [round(float(value), 3) for value in values]
