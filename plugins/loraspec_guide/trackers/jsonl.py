"""The tracker behind the report: one JSON line for every log."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from attrs import define

from loraspec import hookimpl


@define(eq=False)
class Jsonl:
    """Hands metrics to ``run.record``, which appends a line to ``events.jsonl``.

    A line is ``{"kind": "log", "step": 120, "loss": 0.08, ...}``; other events of a run are written by the engine.
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


def _finite(metrics: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}
