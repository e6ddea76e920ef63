"""Prodigy keeps the optimizer contract."""

from loraspec.testing import OptimizerSuite


class TestProdigy(OptimizerSuite):
    """Everything that the suite checks."""

    use = "prodigy"
