"""The built-in evaluator keeps the contract that strangers' plugins keep."""

from __future__ import annotations

from loraspec.testing.suites import EvaluatorSuite


class TestGrid(EvaluatorSuite):
    use = "guide:grid"
