"""What is committed of the caption experiment: ``docs/experiments/captions.json``, and its tables as a page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from loraspec_picturebook.wording.arms import ARMS, STYLE_NAMES
from loraspec_picturebook.wording.measure import readings

BEGIN: Final = "<!-- tables: begin (make wording writes what follows) -->"
END: Final = "<!-- tables: end -->"
STUDENT: Final = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776}
"""The 97.5 % quantile of Student's t by degrees of freedom."""
FEWEST: Final = 3  # seeds
SPOKEN: Final = (
    "own subject", "own colour", "own setting", "own style", "late subject", "late setting", "late style", "setting lost when late",
)  # fmt: skip

Numbers = Mapping[str, Any]


def json_of(rows: Sequence[Numbers]) -> str:
    """Return the numbers of every run."""
    return json.dumps({"runs": [_rounded(row) for row in rows]}, indent=1, ensure_ascii=False) + "\n"


def markdown_of(rows: Sequence[Numbers], *, before: str) -> str:
    """Return the page with its tables put where the marks are, or after what there is."""
    parts = [text for style in STYLE_NAMES if (text := _style(style, [row for row in rows if row["style"] == style]))]
    part = f"{BEGIN}\n\n" + "\n\n".join(parts) + f"\n\n{END}"
    if BEGIN not in before or END not in before:
        return f"{before.rstrip()}\n\n{part}\n".lstrip()
    return before[: before.index(BEGIN)] + part + before[before.index(END) + len(END) :]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the half width of its 95 % interval (Student's t); the width is infinite for one value.

    Raises:
        ValueError: No value.
    """
    count = len(values)
    if not count:
        raise ValueError("interval: no value; at least one")
    mean = math.fsum(values) / count
    if count == 1:
        return mean, math.inf
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    return mean, STUDENT[count - 1] * spread / math.sqrt(count)


def differences(rows: Sequence[Numbers]) -> tuple[list[int], dict[str, dict[str, list[float]]]]:
    """Return the seeds whose runs are all there; and by arm (less the guide's) and reading the value of each seed."""
    by = {(row["seed"], row["arm"]): row for row in rows}
    names = [arm.name for arm in ARMS]
    seeds = sorted(seed for seed in {row["seed"] for row in rows} if all((seed, name) in by for name in ("base", *names)))
    values = {name: [readings(by[seed, name], by[seed, "base"]) for seed in seeds] for name in names}
    apart = {
        name: {key: [one[key] - guide[key] for one, guide in zip(values[name], values["guide"], strict=True)] for key in SPOKEN}
        for name in names[1:]
    }
    return seeds, {"guide": {key: [one[key] for one in values["guide"]] for key in SPOKEN}} | apart


def _style(style: str, rows: list[Numbers]) -> str:
    seeds, found = differences(rows)
    if not seeds:
        return ""
    true = {what: math.fsum(row[f"true {what}"] for row in rows) / len(rows) for what in ("subject", "colour", "setting")}
    base = [readings(row, row) for row in rows if row["arm"] == "base" and row["seed"] in seeds]
    counted = f"{len(seeds)} {'seed' if len(seeds) == 1 else 'seeds'}"
    head = f"| {style}, {counted} | base | guide | " + " | ".join(f"{arm.name} - guide" for arm in ARMS[1:]) + " |"
    lines = [head, "| --- |" + " --- |" * (len(ARMS) + 1)]
    for key in SPOKEN:
        cells = [f"{math.fsum(one[key] for one in base) / len(base):.2f}", _plain(found["guide"][key])]
        cells += [_difference(found[arm.name][key]) for arm in ARMS[1:]]
        lines.append(f"| {key} | " + " | ".join(cells) + " |")
    reads = ", ".join(f"{what} {value:.2f}" for what, value in true.items())
    return "\n".join([*lines, "", f"In true pictures of this style the probe reads: {reads}."])


def _plain(values: Sequence[float]) -> str:
    mean, half = interval(values)
    return f"{mean:.2f} ± {half:.2f}"


def _difference(values: Sequence[float]) -> str:
    """Bold where the interval leaves out 0; two values may agree by chance, whatever their interval."""
    mean, half = interval(values)
    text = f"{mean:+.3f} ± {half:.3f}"
    return f"**{text}**" if abs(mean) > half and len(values) >= FEWEST else text


def _rounded(row: Numbers) -> dict[str, Any]:
    return {key: round(value, 5) if isinstance(value, float) else value for key, value in row.items()}
