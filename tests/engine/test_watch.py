"""Numbers watched: nothing that is not finite is committed, and D-Adaptation's estimate is told when it goes wrong."""

import json
from types import SimpleNamespace

import pytest
import torch

from loraspec.engine.watch import JUMP, STUCK_AFTER, Row, Watch
from loraspec.errors import RunError
from loraspec.testing import TINY_SPEC
from loraspec.testing.tiny import GRID_ONLY

pytestmark = pytest.mark.usefixtures("tiny_plugin")

POKE = '''
import torch
from attrs import define, frozen
from loraspec import Component, hookimpl, option

@frozen
class Options:
    """Options."""
    at: int = option(help="Step.")
    what: str = option(help="loss, gradient, weight or memory.")

@define(eq=False)
class Poke:
    """Breaks one number at a step."""
    options: Options

    @hookimpl
    def loraspec_before_step(self, run, step):
        if step == self.options.at and self.options.what == "memory":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    @hookimpl
    def loraspec_after_backward(self, run, step):
        if step == self.options.at and self.options.what == "gradient":
            run.parameters[0].grad.view(-1)[0] = float("inf")

    @hookimpl
    def loraspec_after_step(self, run, step, metrics):
        if step == self.options.at and self.options.what == "loss":
            metrics["loss"].fill_(float("nan"))
        if step == self.options.at and self.options.what == "weight":
            with torch.no_grad():
                run.parameters[0].view(-1)[0] = float("nan")

@hookimpl
def loraspec_register_callback():
    """Offer it."""
    return [Component("poke", Options, Poke)]
'''


@pytest.fixture
def poked(run_spec, tmp_path):
    """Run the tiny spec (8 steps, 4 an epoch) with one number broken."""

    def run(at, what, *words):
        (tmp_path / "poke.py").write_text(POKE)
        text = TINY_SPEC.replace("loraspec = 1\n", 'loraspec = 1\nplugins = ["poke.py"]\n')
        return run_spec(text + f'\n[[callbacks]]\nuse = "poke"\nat = {at}\nwhat = "{what}"\n', *words)

    return run


@pytest.mark.parametrize(("at", "whole"), [(1, 0), (3, 0), (4, 0), (5, 1), (8, 1)])
@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_step_that_is_not_finite_ends_the_run(poked, at, whole, what):
    """First, middle and last step of an epoch: its weights are never committed, and the diagnosis names step and samples."""
    outcome = poked(at, what)

    outcome.assert_failed(1, "[E-RUN-NONFINITE]")
    assert f"step {at}:" in outcome.err
    assert len(outcome.epoch_files) == whole
    told = json.loads((outcome.folder / "diagnosis.json").read_text())
    assert told["step"] == at
    assert len(told["samples"]) == 2
    assert {"key", "caption", "timestep", "sha256"} <= told["samples"][0].keys()
    assert 0 <= told["samples"][0]["timestep"] < 1000
    assert [row["step"] for row in told["before"]] == list(range(1, at))
    assert "d" in told


def test_weights_are_looked_at_before_they_are_committed(poked):
    """A weight that is poked while every loss is finite stops the commit, and no checkpoint holds it."""
    outcome = poked(4, "weight", "--set", "train.checkpoint_every=4")

    outcome.assert_failed(1, "weights are not finite, so nothing is committed")
    assert outcome.epoch_files == []
    assert not list((outcome.folder / "state").glob("step-*"))


def test_memory_that_is_used_up_is_told_with_what_to_change(poked):
    """Out of memory in a step: where, what is safe, and the settings that need less."""
    outcome = poked(6, "memory")

    outcome.assert_failed(1, "out of memory in step 6")
    for word in ("[E-RUN-OOM]", "1 committed epochs are whole", "train.gradient_checkpointing = true", "train.batch_size = 1"):
        assert word in outcome.err
    assert len(outcome.epoch_files) == 1


@pytest.fixture
def watch():
    """A watch on a run that only remembers what was said."""
    said = []
    run = SimpleNamespace(
        said=said,
        say=lambda text, severity: said.append(text),
        scaler=SimpleNamespace(is_enabled=lambda: False),
        optimizer=SimpleNamespace(param_groups=[{"d0": 1e-6}]),
    )
    return Watch(run)


def rows(values, lr=1.0):
    """Return a row for each value of d, from step 1 on."""
    return [Row(step, 0.5, 1.0, value, lr) for step, value in enumerate(values, 1)]


def test_estimate_that_never_moves_is_told_once(watch):
    """d = d0 after fifty steps names optimizer.d0 first; one step less is no news."""
    watch.rows(rows([1e-6] * (STUCK_AFTER - 1)))
    assert watch.run.said == []

    watch.rows([Row(step, 0.5, 1.0, 1e-6, 1.0) for step in range(STUCK_AFTER, STUCK_AFTER + 5)])
    (text,) = watch.run.said
    assert "[W-D-STUCK]" in text
    assert "optimizer.d0 = 1e-05 first" in text


def test_estimate_that_jumps_is_told(watch):
    """A growth of more than a hundred times in ten steps; the same growth over thirty steps is none."""
    slow = Watch(watch.run)
    slow.rows(rows([1e-6 * (2 * JUMP) ** (step / 30) for step in range(31)]))
    assert watch.run.said == []

    watch.rows(rows([1e-6] * 5 + [1e-6 * JUMP * 1.01]))
    assert "[W-D-JUMP]" in watch.run.said[0]
    assert "growth_rate = 1.02 first" in watch.run.said[0]


def test_step_size_above_the_ceiling_is_told(watch):
    """It is d times lr that counts."""
    watch.rows(rows([0.03], lr=0.5))
    assert watch.run.said == []

    watch.rows(rows([0.03]))
    assert "[W-D-CEILING]" in watch.run.said[0]


def test_overflow_under_loss_scaling_is_allowed_for_a_while(watch):
    """The scaler leaves such steps out; fifty in a row is no settling any more."""
    watch.run.scaler.is_enabled = lambda: True
    watch._diagnose = lambda row, what: None
    inf = float("inf")
    watch.rows([Row(step, 0.5, inf, None, 1.0) for step in range(1, 50)])
    watch.rows([Row(50, 0.5, 1.0, None, 1.0)])
    with pytest.raises(RunError, match="norm of the gradient is inf"):
        watch.rows([Row(step, 0.5, inf, None, 1.0) for step in range(51, 101)])


def test_estimate_is_in_the_events_of_a_run(run_spec):
    """d itself, not only d x lr, is recorded."""
    outcome = run_spec(TINY_SPEC, "--set", "optimizer.use=dadapt-adamw")

    outcome.assert_success()
    steps = [event for event in outcome.events if "d_lr" in event]
    assert steps
    assert all(event["d"] > 0 for event in steps)


def test_host_memory_counts_too(watch):
    """torch's CPU allocator says it in words of its own."""
    watch.run.epochs_done = []
    watch.run.precision = SimpleNamespace(device=torch.device("cpu"))
    watch.run.plan = SimpleNamespace(
        spec=SimpleNamespace(train=SimpleNamespace(gradient_checkpointing=True, batch_size=1, mixed_precision="no"))
    )
    with pytest.raises(RunError, match=r"out of memory in the grid .*\n.*a smaller adapter.rank"), watch.memory_told("the grid"):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")
    with pytest.raises(RuntimeError, match="something else"), watch.memory_told("the grid"):
        raise RuntimeError("something else")


BROKEN_JUDGE = '''
import os
from attrs import define, frozen
from loraspec import Component, hookimpl

@frozen
class Options:
    """None."""

@define(eq=False)
class Broken:
    """Fails once."""
    options: Options

    def evaluate(self, run):
        if not os.environ.get("LORASPEC_TEST_GO_ON"):
            raise ZeroDivisionError("no picture")
        return {"fine": 1.0}

@hookimpl
def loraspec_register_evaluator():
    """Offer it."""
    return [Component("broken", Options, Broken)]
'''


def test_evaluator_that_fails_costs_no_epoch_and_no_other_evaluator(run_spec, loraspec_cli, tmp_path, monkeypatch):
    """The grid after it is drawn, every epoch file stays, and a resume judges again without training."""
    (tmp_path / "judge.py").write_text(BROKEN_JUDGE)
    text = TINY_SPEC.replace(GRID_ONLY, "").replace("loraspec = 1\n", 'loraspec = 1\nplugins = ["judge.py"]\n')
    outcome = run_spec(text + '\n[[evaluators]]\nuse = "broken"\n[[evaluators]]\nuse = "grid"\n')

    outcome.assert_failed(1, "[E-RUN-EVALUATION]")
    assert "ZeroDivisionError: no picture" in outcome.err
    assert len(outcome.epoch_files) == 2
    assert (outcome.folder / "report.html").exists()

    monkeypatch.setenv("LORASPEC_TEST_GO_ON", "1")
    before = [path.read_bytes() for path in outcome.epoch_files]
    loraspec_cli("resume", outcome.folder).assert_success()
    assert [path.read_bytes() for path in outcome.epoch_files] == before
    judged = [event for event in outcome.events if event["kind"] == "evaluation" and "broken" in event["evaluator"]]
    assert [event["metrics"] for event in judged] == [{"fine": 1.0}]


def test_an_optimizer_s_remark_is_told_once():
    """However many steps; an optimizer without one says nothing."""
    for remark, told in (("slow here", ["slow here"]), ("", [])):
        said = []
        run = SimpleNamespace(
            say=lambda text, severity, said=said: said.append(text), scaler=SimpleNamespace(is_enabled=lambda: False),
            optimizer=SimpleNamespace(remark=remark) if remark else object(),
        )  # fmt: skip
        watch = Watch(run)
        watch.rows([Row(step, 0.5, 1.0, None, 1.0) for step in range(1, 4)])
        watch.rows([Row(4, 0.5, 1.0, None, 1.0)])
        assert said == told
