"""The built-in trackers keep the contract that strangers' plugins keep."""

from __future__ import annotations

import importlib.util

import pytest

from loraspec.testing.suites import TrackerSuite


class TestJsonl(TrackerSuite):
    use = "guide:jsonl"


class TestConsole(TrackerSuite):
    use = "guide:console"


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="extra tensorboard is not installed")
class TestTensorboard(TrackerSuite):
    use = "guide:tensorboard"
