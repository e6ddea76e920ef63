"""The trackers that write files."""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from loraspec_guide.trackers import registry, tensorboard
from loraspec_guide.trackers.jsonl import Jsonl

from loraspec.engine.events import Events
from loraspec.engine.folder import RunFolder
from loraspec.errors import EnvironmentMissing

OPTIONS = registry.TensorboardOptions


def run_in(folder: Path) -> Any:
    files = RunFolder(folder)
    return SimpleNamespace(folder=folder, record=files.record, events_path=files.events, total_steps=40)


def test_jsonl_writes_a_line_a_log(tmp_path: Path) -> None:
    """Lines are valid JSON, nan too (as null), and stay in order."""
    run, tracker = run_in(tmp_path), Jsonl()
    events = Events(pytest.fail)
    events.register([("jsonl", tracker, True)])
    events.hook.loraspec_before_run(run=run)
    tracker.log({"loss": 0.25, "d_lr": 1e-4}, step=10)
    tracker.log({"loss": math.nan}, step=20)
    lines = [json.loads(line, parse_constant=pytest.fail) for line in run.events_path.read_text().splitlines()]
    assert lines == [
        {"kind": "log", "step": 10, "loss": 0.25, "d_lr": 1e-4},
        {"kind": "log", "step": 20, "loss": None},
    ]


def test_tensorboard_missing_names_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is loaded, the error says what to type."""
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentMissing) as caught:
        tensorboard.Tensorboard()
    assert caught.value.hint == "pip install 'loraspec[tensorboard]'"


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="extra tensorboard is not installed")
def test_tensorboard_writes_scalars(tmp_path: Path) -> None:
    """What was logged is read back from the event file."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracker = tensorboard.Tensorboard(folder="tb")
    run = run_in(tmp_path)
    tracker.loraspec_before_run(run)
    tracker.log({"loss": 0.25}, step=10)
    tracker.log({"loss": 0.125}, step=20)
    tracker.loraspec_after_run(run, "done")
    read = EventAccumulator(str(tmp_path / "tb"))
    read.Reload()
    assert [(e.step, e.tensor_proto.float_val[0]) for e in read.Tensors("train/loss")] == [(10, 0.25), (20, 0.125)]


@pytest.mark.parametrize("folder", ["/tmp/x", "../x", "a/../../x", "", "C:\\x"])
def test_tensorboard_stays_in_the_run_folder(folder: str) -> None:
    """A spec cannot make a run write elsewhere."""
    with pytest.raises(ValueError, match="leaves the run's folder"):
        OPTIONS(folder=folder)


def test_registry_builds_what_the_spec_names() -> None:
    """Names and options reach the trackers."""
    built = {c.name: c for c in registry.TRACKERS}
    assert built["console"].build(registry.ConsoleOptions(every=5.0)).every == 5.0  # type: ignore[attr-defined]
    assert isinstance(built["jsonl"].build(registry.JsonlOptions()), Jsonl)
