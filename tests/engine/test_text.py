"""Prompts encoded ahead: an embedding does not depend on what it was encoded with, nor on where it comes from."""

import pytest
import torch

from loraspec import forecast
from loraspec.engine import text
from loraspec.testing.tiny_model import TinyFamily


@pytest.fixture
def rounding(monkeypatch):
    """Let the text encoders round differently for another number of rows, as real ones do; return the numbers of rows."""
    sizes, whole = [], TinyFamily.encode_tokens

    def encode(self, tokens):
        sizes.append(len(tokens))
        return {name: value + len(tokens) * 2.0**-20 for name, value in whole(self, tokens).items()}

    monkeypatch.setattr(TinyFamily, "encode_tokens", encode)
    return sizes


def weights(outcome):
    """Return the bytes of the epoch files."""
    outcome.assert_success()
    return [path.read_bytes() for path in outcome.epoch_files]


SHUFFLE = '\n[[captions.transforms]]\nuse = "shuffle"\nkeep = 1\n'


def test_what_was_encoded_together_changes_no_bit(run_spec, painted_spec, rounding, paint, monkeypatch):
    """Cold, with half of the prompts in the cache, and with none kept at all."""
    painted_spec.write_text(painted_spec.read_text() + SHUFFLE)
    words = ("--set", "run.name=same", "--set", "train.text_batch=3")
    monkeypatch.setenv("LORASPEC_CACHE_MAX", "0")
    cold = weights(run_spec(painted_spec, *words, folder="cold"))
    monkeypatch.delenv("LORASPEC_CACHE_MAX")
    run_spec(painted_spec, *words, "--set", "run.seed=5", folder="other").assert_success()
    partly = run_spec(painted_spec, *words, folder="partly")

    read = [event["read"] for event in partly.events if event["kind"] == "cache" and event["entries"] == "embeddings"]
    made = [event["made"] for event in partly.events if event["kind"] == "cache" and event["entries"] == "embeddings"]
    assert sum(read) > 0
    assert sum(made) > 0
    assert weights(partly) == cold
    assert set(rounding) == {3}


def test_embeddings_that_memory_cannot_hold_lie_in_a_file(run_spec, painted_spec, rounding, monkeypatch, loraspec_cli):
    """The same bits, part by part; the file has no name, so that nothing is left of it, and the plan says where they go."""
    painted_spec.write_text(painted_spec.read_text() + SHUFFLE)
    words = ("--set", "run.name=same", "--set", "train.text_batch=3")
    in_memory = weights(run_spec(painted_spec, *words, folder="memory"))
    monkeypatch.setattr(forecast, "HOST_BYTES", 0)
    monkeypatch.setattr(text, "CHUNK", 2)
    made, whole = [], text.mapped

    def mapped(folder, shape, dtype):
        made.append(whole(folder, shape, dtype))
        assert not list(folder.glob(".embeddings-*"))
        return made[-1]

    monkeypatch.setattr(text, "mapped", mapped)
    outcome = run_spec(painted_spec, *words, folder="disk")
    assert weights(outcome) == in_memory
    assert made
    assert all(one.is_shared() for one in made)
    assert not list(outcome.folder.rglob("*embeddings*"))
    assert "of the disk while it trains" in loraspec_cli("plan", painted_spec).out


def test_out_of_memory_is_tried_once_with_half(run_spec, painted_spec, monkeypatch, told):
    """It is told, the run goes on, and entries of the two sizes are not mixed up."""
    whole = TinyFamily.encode_tokens

    def encode(self, tokens):
        if len(tokens) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(self, tokens)

    monkeypatch.setattr(TinyFamily, "encode_tokens", encode)
    outcome = run_spec(painted_spec, "--set", "train.text_batch=4")
    outcome.assert_success()
    assert "out of memory while 4 prompts were encoded at once on cpu" in told(outcome)

    refused = run_spec(painted_spec, "--set", "train.text_batch=8", folder="refused")
    refused.assert_failed(1, "out of memory while prompts were encoded, 4 at once, on cpu  [E-RUN-OOM]")
    assert "set train.text_batch below 4" in refused.err


def test_run_that_was_stopped_encodes_to_the_same_bits(run_spec, painted_spec, rounding, tmp_path, loraspec_cli, monkeypatch):
    """Without a cache: after a resume other prompts are left to encode, and the epoch files are those of an undisturbed run."""
    (tmp_path / "stop.py").write_text('''
import os, signal
from attrs import define, frozen
from loraspec import Component, hookimpl

@frozen
class Options:
    """None."""

@define(eq=False)
class Stop:
    """Stops the run in its second epoch."""
    options: Options

    @hookimpl
    def loraspec_after_step(self, step):
        if step == 6 and os.environ.get("LORASPEC_TEST_STOP"):
            os.kill(os.getpid(), signal.SIGINT)

@hookimpl
def loraspec_register_callback():
    """Offer it."""
    return [Component("stop", Options, Stop)]
''')
    text = painted_spec.read_text().replace("loraspec = 1\n", 'loraspec = 1\nplugins = ["stop.py"]\n')
    painted_spec.write_text(text + SHUFFLE + '\n[[callbacks]]\nuse = "stop"\n')
    monkeypatch.setenv("LORASPEC_CACHE_MAX", "0")
    words = ("--set", "run.name=same", "--set", "train.text_batch=3")
    undisturbed = weights(run_spec(painted_spec, *words, folder="undisturbed"))
    monkeypatch.setenv("LORASPEC_TEST_STOP", "1")
    stopped = run_spec(painted_spec, *words, folder="stopped")
    assert stopped.code == 4
    monkeypatch.delenv("LORASPEC_TEST_STOP")
    loraspec_cli("resume", stopped.folder).assert_success()

    assert [path.read_bytes() for path in stopped.epoch_files] == undisturbed
    assert set(rounding) == {3}
