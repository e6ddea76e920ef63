"""After the benchmarks: their table, and as the last line JSON."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from benchmarks.table import FIGURES, ROWS, last_line, table


@pytest.fixture(autouse=True)
def _memory_again() -> Iterator[None]:
    """Runs hold their models in circles: the next benchmark has the memory of the last."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where bases of full size are built, once in a session: gigabytes."""
    return tmp_path_factory.mktemp("bases")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table, when anything was measured."""
    if ROWS:
        terminalreporter.write_sep("=", "ours over the floor")
        terminalreporter.write_line(table())


def pytest_unconfigure() -> None:
    """Print the figures behind everything that pytest prints."""
    if FIGURES:
        sys.stdout.write(last_line() + "\n")
