"""Suite for evaluators that are metrics (``loraspec.metrics.Metric``)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, ClassVar, get_args

import numpy as np
import pytest

from loraspec.metrics import Metric, Shown
from loraspec.stages import STAGE
from loraspec.sweetspot.measured import Axis
from loraspec.testing.fixtures import RunOutcome
from loraspec.testing.suites.outputs import EvaluatorSuite, spec_with

GRID = '[grid]\nheldout = 1\njudged_prompts = ["square, by Tiny", "circle, by Tiny"]\njudged_seeds = [3, 4]\nfresh_seeds = 0\nprobe = 0\n'


class MetricSuite(EvaluatorSuite):
    """``build(options)`` gives a ``Metric``; it measures the cells and the user's own pictures of a finished run.

    Attributes:
        tolerance: How far a number may move with the pictures that stand beside it, against the largest number; 0 for
            equal to the bit. A batch of another shape may round differently.
    """

    tolerance: ClassVar[float] = 1e-4

    def spec(self, use: str, options: dict[str, Any]) -> str:
        """Return the spec that is run: the tiny one with six images; override for a metric that needs a real base."""
        text = spec_with(STAGE[self.stage].table, use, options).replace("[grid]\n", GRID)
        return text.replace('use = "tiny:tiny"\nrights', 'use = "tiny:tiny"\nimages = 6\nrights')

    @pytest.fixture
    def outcome(self, entry: Any, raw_options: dict[str, Any], run_spec: Callable[..., RunOutcome], tiny_plugin: None) -> RunOutcome:
        """A finished run of two epochs with the metric."""
        outcome = run_spec(self.spec(entry.qualified, raw_options))
        outcome.assert_success()
        return outcome

    @pytest.fixture
    def run(self, outcome: RunOutcome) -> Iterator[Any]:
        """The run, opened again for judging."""
        from loraspec.engine.reopen import opened

        with opened(outcome.folder) as run:
            yield run

    @pytest.fixture
    def metric(self, run: Any) -> Metric:
        """The metric, prepared."""
        [(_, metric)] = run.evaluators
        metric.prepare(run.gallery)
        made: Metric = metric
        return made

    @pytest.fixture
    def pictures(self, run: Any) -> list[Shown]:
        """Drawn ones of the base and of the last epoch, and the user's own."""
        gallery = run.gallery
        drawn = [*gallery.pictures(0, 0.0), *gallery.pictures(gallery.epochs[-1], 1.0)]
        return [*(shown for shown in drawn if shown is not None), *gallery.heldout, *gallery.training]

    def test_it_says_what_it_is(self, component: Any, built: Any) -> None:
        """A metric with an axis, which ``plan`` is told too, its cost and its validity."""
        assert isinstance(built, Metric)
        assert built.axis in get_args(Axis)
        assert component.axis == built.axis
        assert built.cost.strip()
        assert built.validity.strip()

    def test_every_judged_cell_has_a_number(self, outcome: RunOutcome) -> None:
        """``scores/`` holds finite numbers for epochs x weights x prompts x seeds; a diagnostic's may be for full weight only.

        A metric that finds no scale in pictures as poor as these says so instead.
        """
        [path] = sorted((outcome.folder / "scores").glob("*.json"))
        found = json.loads(path.read_text(encoding="utf-8"))
        if any("measured nothing" in note for note in found["notes"]):
            return
        values = np.array(found["values"], dtype=float)
        assert values.shape[:2] == (len(found["epochs"]), len(found["weights"]))
        weights = [list(found["weights"]).index(1.0)] if found["axis"] == "diagnostic" else list(range(len(found["weights"])))
        assert np.isfinite(values[:, weights]).all()

    def test_numbers_have_the_shape_of_the_axis(self, metric: Metric, run: Any, pictures: list[Shown]) -> None:
        """``[n]`` of health, else ``[n, D]``; of prompts a column for each judged one and the own."""
        if metric.axis == "diagnostic":
            return
        found = np.asarray(metric.values(pictures))
        assert found.ndim == (1 if metric.axis == "health" else 2)
        assert len(found) == len(pictures)
        if metric.axis == "prompt":
            assert found.shape[1] == len(run.gallery.prompts) + 1
            assert np.isfinite(found[:, -1]).all()
        else:
            assert np.isfinite(found).all()

    def test_numbers_do_not_depend_on_neighbours(self, metric: Metric, pictures: list[Shown]) -> None:
        """Twice the same to the bit; in another order and alone the same within the tolerance; pictures stay as they are."""
        if metric.axis == "diagnostic":
            return
        before = [shown.image.tobytes() for shown in pictures]
        every = np.asarray(metric.values(pictures))
        assert np.array_equal(every, np.asarray(metric.values(pictures)), equal_nan=True)
        assert [shown.image.tobytes() for shown in pictures] == before
        near = partial(np.allclose, rtol=0, atol=self.tolerance * float(np.nanmax(np.abs(every))), equal_nan=True)
        assert near(every, np.asarray(metric.values(pictures[::-1]))[::-1])
        assert near(every[1:2], np.asarray(metric.values(pictures[1:2])))
