"""One stream, however it is fed: workers, batch sizes and stops change no draw."""

import json

import pytest

from loraspec.engine.store import read_tensors
from loraspec.testing import TINY_SPEC

pytestmark = pytest.mark.usefixtures("tiny_plugin")
SHUFFLED = TINY_SPEC + '\n[[captions.transforms]]\nuse = "shuffle"\n'


def streams(outcome):
    """Return the stream digest of every epoch that a run committed."""
    outcome.assert_success()
    return [entry["stream_sha256"] for entry in json.loads((outcome.folder / "epochs" / "index.json").read_text())["epochs"]]


@pytest.fixture
def planned(make_plan):
    """The digests that the plan says ahead."""
    return [make_plan(SHUFFLED).data.stream_digest(epoch) for epoch in (1, 2)]


@pytest.mark.parametrize("workers", range(5))
def test_workers_change_no_bit(run_spec, planned, workers):
    """0 to 4 threads ahead of the loop: the planned stream, and the weights of a run without."""
    words = ("--set", f"train.workers={workers}", "--set", "run.name=tiny")
    ahead, alone = run_spec(SHUFFLED, *words, folder="ahead"), run_spec(SHUFFLED, "--set", "train.workers=0", folder="alone")

    assert streams(ahead) == streams(alone) == planned
    for one, other in zip(ahead.epoch_files, alone.epoch_files, strict=True):
        left, right = read_tensors(one)[0], read_tensors(other)[0]
        assert all(left[key].equal(right[key]) for key in left)


@pytest.mark.parametrize(("batch", "accumulation", "workers"), [(1, 4, 0), (2, 2, 2), (4, 1, 3), (1, 4, 4)])
def test_batches_of_one_global_size_are_one_stream(run_spec, make_plan, batch, accumulation, workers):
    """Batch 1, 2 or 4 with accumulation to four."""
    sets = {"train.batch_size": batch, "train.gradient_accumulation_steps": accumulation, "train.workers": workers}
    outcome = run_spec(SHUFFLED, *(word for key, value in sets.items() for word in ("--set", f"{key}={value}")))
    whole = make_plan(SHUFFLED, sets=["train.batch_size=4", "train.gradient_accumulation_steps=1"])

    assert streams(outcome) == [whole.data.stream_digest(epoch) for epoch in (1, 2)]


def test_error_of_a_worker_reaches_the_run(run_spec, monkeypatch):
    """What fails in a thread fails the run with its words."""
    from loraspec.engine import feed

    def broken(*_, **__):
        raise ValueError("no such image")

    monkeypatch.setattr(feed, "make_batch", broken)
    outcome = run_spec(SHUFFLED, "--set", "train.workers=2")

    outcome.assert_failed(1, "no such image")


def test_stream_that_is_not_the_planned_one_is_refused(run_spec, monkeypatch):
    """A caption that changes between plan and loop costs the epoch, not the trust."""
    from loraspec.engine import batches

    seen = batches.Seen
    monkeypatch.setattr(batches, "Seen", lambda visit, content, caption, place: seen(visit, content, caption + "!", place))
    outcome = run_spec(SHUFFLED)

    outcome.assert_failed(1, "[E-RUN-STREAM]")
    assert outcome.epoch_files == []
