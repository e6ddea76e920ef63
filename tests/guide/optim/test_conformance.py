"""The built-in optimizers and lr schedulers keep the contract that strangers' plugins keep."""

from __future__ import annotations

import importlib.util

import pytest

from loraspec.testing.suites import LRSchedulerSuite, OptimizerSuite


class TestDAdaptAdamW(OptimizerSuite):
    use = "guide:dadapt-adamw"


class TestAdamW(OptimizerSuite):
    use = "guide:adamw"


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="extra adamw-8bit is not installed")
class TestAdamW8bit(OptimizerSuite):
    use = "guide:adamw-8bit"


class TestAdafactor(OptimizerSuite):
    use = "guide:adafactor"


class TestConstant(LRSchedulerSuite):
    use = "guide:constant"


class TestCosine(LRSchedulerSuite):
    use = "guide:cosine"
    options = {"warmup": 0.1}  # noqa: RUF012


class TestLinear(LRSchedulerSuite):
    use = "guide:linear"
    options = {"warmup": 0.1}  # noqa: RUF012
