"""What is committed of the experiment: ``docs/experiments/sweet-spot.json``, and its tables as a page."""

from __future__ import annotations

import json
from typing import Any, Final

from loraspec_picturebook.experiment.cases import STRENGTHS
from loraspec_picturebook.experiment.table import EARLIER, Row, summary

BEGIN: Final = "<!-- tables: begin (make truth writes what follows) -->"
END: Final = "<!-- tables: end -->"

ASKED: Final[dict[str, tuple[str, float]]] = {
    "unet-progress mean": (">=", 0.75), "unet-progress worst": (">=", 0.55),
    "unet-progress with S* alone, mean": (">=", 0.75), "unet-progress with S* alone, worst": (">=", 0.55), "grid median": (">=", 0.80),
    "originality where it memorises, worst": (">=", 0.70), "regret": ("<=", 0.20), "untouched runs: regret": ("<=", 0.20),
    "behind last where nothing over-fits": ("<=", 0.15),
    "share of them in which neither last, loss nor random is better": (">=", 1.0),
}  # fmt: skip
"""What the numbers were asked to reach before they were measured. ``unet-progress`` was asked to follow the truth "with the subject right":
with S* alone, whose true pictures are of the right subjects, and with S* x F*, where a lost subject counts against the style, too."""


def json_of(rows: list[Row]) -> str:
    """Return the JSON: the summary of all runs, of each style left out, and a row for each run."""
    styles = sorted({row.case.style for row in rows})
    content = {
        "summary": summary(rows),
        "asked": {name: f"{sign} {value:g}" for name, (sign, value) in ASKED.items()},
        "by style": {style: summary([row for row in rows if row.case.style == style]) for style in styles},
        "without style": {style: summary([row for row in rows if row.case.style != style]) for style in styles},
        "strengths": {
            name: {"optimizer": one.optimizer, "rank": one.rank, "steps an epoch": one.steps or "10 repeats"}
            for name, one in STRENGTHS.items()
        },
        "runs": [row.plain() for row in rows],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def rows_of(text: str) -> list[Row]:
    """Return the rows of a JSON that was written before; their numbers are rounded."""
    return [Row.of(plain) for plain in json.loads(text)["runs"]]


def markdown_of(rows: list[Row], *, before: str) -> str:
    """Return the page with its tables put where the marks are, or after what there is."""
    tables = "\n\n".join((_summary(rows), _runs(rows), _metrics(rows), _styles(rows)))
    part = f"{BEGIN}\n\n{tables}\n\n{END}"
    if BEGIN not in before or END not in before:
        return f"{before.rstrip()}\n\n{part}\n".lstrip()
    return before[: before.index(BEGIN)] + part + before[before.index(END) + len(END) :]


def _summary(rows: list[Row]) -> str:
    found = summary(rows)
    lines = []
    for name, value in found.items():
        sign, limit = ASKED.get(name, ("", 0.0))
        met = "" if not sign or value is None else "yes" if (value >= limit if sign == ">=" else value <= limit) else "**no**"
        lines.append([name, _number(value), f"{sign} {limit:.2f}" if sign else "", met])
    return _table(["over all runs", "measured", "asked", "met"], lines)


def _runs(rows: list[Row]) -> str:
    head = ["run", "memorises", "over-fits", "c* at 12", "best", "chosen", "U* best", "U* chosen", "U* last",
            "unet-progress", "U, grid", "originality", "regret", "last", "loss", "random", "half the truth", "error", "surely worse",
            "screened", "tied"]  # fmt: skip
    names = ("best epoch", "chosen epoch", "truth at best", "truth at chosen", "truth at last", "unet-progress", "grid", "originality",
             "regret", "regret of last", "regret of held-out loss", "regret of random", "regret of half the truth", "standard error",
             "surely worse", "screened", "tie set")  # fmt: skip
    whole = {"best epoch", "chosen epoch", "screened", "tie set", "surely worse"}
    lines = []
    for row in rows:
        numbers = row.numbers
        flags = ["yes" if numbers[name] else "" for name in ("memorises", "overfits")]
        values = [_number(numbers[name], whole=name in whole) for name in names]
        mark = " †" if EARLIER in numbers else ""
        lines.append([row.case.name + mark, *flags, _number(numbers["copies at epoch 12"]), *values])
    return _table(head, lines)


def _metrics(rows: list[Row]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row.metrics))
    return _table(["run", *names], [[row.case.name, *(_number(row.metrics.get(name)) for name in names)] for row in rows])


def _styles(rows: list[Row]) -> str:
    names = ("runs", "unet-progress mean", "unet-progress worst", "grid median", "regret", "last", "held-out loss", "random")
    styles = sorted({row.case.style for row in rows})
    lines = []
    for style in styles:
        for title, own in ((style, True), (f"all but {style}", False)):
            found = summary([row for row in rows if (row.case.style == style) == own])
            lines.append([title, *(_number(found[name], whole=name == "runs") for name in names)])
    return _table(["styles", *names], lines)


def _table(head: list[str], lines: list[list[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _number(value: Any, *, whole: bool = False) -> str:
    return "" if value is None else f"{value:.0f}" if whole else f"{value:.2f}"
