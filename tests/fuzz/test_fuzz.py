"""10,000 inputs for every reader of files: only errors that are raised on purpose come out, quickly and in little memory."""

from __future__ import annotations

import os
import resource
import tempfile
from pathlib import Path

import pytest

from fuzz import mutators
from fuzz.mutators import Draw
from fuzz.run import COUNT, MEMORY, SEED, run
from fuzz.targets import TARGETS
from loraspec.errors import LoraspecError

SHARE = {"migrate": 1000, "lock": 1000}  # slow: what is accepted is migrated twice; a lock has 36 images


@pytest.fixture
def place() -> Path:
    """A folder in memory, where there is one."""
    with tempfile.TemporaryDirectory(dir=MEMORY if Path(MEMORY).is_dir() else None) as folder:
        yield Path(folder)


@pytest.mark.parametrize("target", TARGETS)
def test_only_errors_on_purpose_come_out(target: str, place: Path) -> None:
    """No other exception, no input that takes 2 seconds or 300 MB; some inputs are accepted and most are refused."""
    count = int(os.environ.get("LORASPEC_FUZZ", SHARE.get(target, COUNT)))
    run(target, 3, place)  # imports what the target needs
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tally = run(target, count, place)

    assert not tally.failures, tally.failures
    assert tally.accepted + tally.refused == count
    assert tally.accepted > count / 200, "hardly any input is good: the mutations do not get past the first check"
    assert tally.refused > count / 5
    assert tally.slowest[0] < 4, tally.slowest
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 300


def test_inputs_depend_on_seed_target_and_number_alone() -> None:
    """The same number gives the same input again; that is how a failure is looked into."""
    made = [mutators.json_text({"a": [1, {"b": 2}]}, Draw(SEED, "x", number)) for number in range(50)]
    again = [mutators.json_text({"a": [1, {"b": 2}]}, Draw(SEED, "x", number)) for number in reversed(range(50))]

    assert made == again[::-1]
    assert len(set(made)) > 30
    assert made != [mutators.json_text({"a": [1, {"b": 2}]}, Draw(SEED, "y", number)) for number in range(50)]


def test_a_failure_is_seen(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception of another kind is told with the number of its input; errors on purpose are counted by code."""
    def broken(draw: Draw, folder: Path) -> bool:
        if draw.below(4) == 0:
            raise KeyError("epochs")
        raise LoraspecError("no").coded("E-X")

    monkeypatch.setitem(TARGETS, "broken", broken)
    tally = run("broken", 100, place)

    assert len(tally.failures) == 10
    assert tally.failures[0][1] == "KeyError: 'epochs'"
    assert tally.codes["E-X"] == tally.refused > 0
