"""The tracker behind the report: one JSON line for every log and every event."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from attrs import define

from loraspec import hookimpl


@define(eq=False)
class Jsonl:
    """Hands metrics to ``run.record``, which appends a line to ``events.jsonl``.

    A line is ``{"kind": "log", "step": 120, "loss": 0.08, ...}``; ``evaluation`` carries the evaluator and what it measured.
    Values that JSON cannot hold (nan, inf) are written as null.
    """

    run: Any = None

    @hookimpl
    def loraspec_before_run(self, run: Any) -> None:
        """Remember the run."""
        self.run = run

    def log(self, metrics: Mapping[str, float], *, step: int) -> None:
        """Write one line."""
        if self.run is not None:
            self.run.record("log", step=step, **_finite(metrics))

    @hookimpl
    def loraspec_after_evaluation(self, run: Any, evaluator: str, metrics: Mapping[str, float]) -> None:
        """Write what an evaluator measured."""
        run.record("evaluation", evaluator=evaluator, **_finite(metrics))


def _finite(metrics: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}
