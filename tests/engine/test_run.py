"""A whole run on the tiny plugin: what it leaves, and that it can be stopped and continued."""

import json
import os
import signal
import sys

import pytest

from loraspec.engine import journal
from loraspec.engine.store import read_tensors
from loraspec.errors import EXIT_STOPPED
from loraspec.testing import TINY_SPEC

pytestmark = pytest.mark.usefixtures("tiny_plugin")

STOPPER = '''
import os, signal
from attrs import define, frozen
from loraspec import Component, hookimpl, option

@frozen
class Options:
    """Options."""
    at: int = option(help="Step.")
    how: str = option(default="stop", help="stop, signal, kill or nan.")

@define(eq=False)
class Stopper:
    """Ends the run at a step."""
    options: Options

    @hookimpl
    def loraspec_after_step(self, run, step, metrics):
        if step == self.options.at and not os.environ.get("LORASPEC_TEST_GO_ON"):
            if self.options.how == "stop":
                run.stop("enough")
            elif self.options.how == "signal":
                os.kill(os.getpid(), signal.SIGTERM)
            elif self.options.how == "nan":
                metrics["loss"].fill_(float("nan"))
            else:
                raise RuntimeError("died")

@hookimpl
def loraspec_register_callback():
    """Offer it."""
    return [Component("stopper", Options, Stopper)]
'''


def stopping(at, how, **train):
    """Return the tiny spec with a callback that ends it at a step."""
    keys = "".join(f"{key} = {value}\n" for key, value in train.items())
    text = TINY_SPEC.replace("[train]\n", f"[train]\n{keys}").replace("loraspec = 1\n", 'loraspec = 1\nplugins = ["stopper.py"]\n')
    return text + f'\n[[callbacks]]\nuse = "stopper"\nat = {at}\nhow = "{how}"\n'


@pytest.fixture
def spec_with_stopper(tmp_path, spec_file):
    """Write a stopping spec with its plugin file beside it."""

    def write(*args, **keys):
        (tmp_path / "stopper.py").write_text(STOPPER)
        return spec_file(stopping(*args, **keys))

    return write


def weights(folder):
    """Return the bytes of every epoch file."""
    return {path.name: path.read_bytes() for path in sorted((folder / "epochs").glob("*.safetensors"))}


def test_run_leaves_what_the_design_says(run_spec):
    """Every epoch has its numbered file, with the index, lock, manifest, events, grid and report beside them."""
    outcome = run_spec(TINY_SPEC)
    outcome.assert_success()
    folder = outcome.folder

    assert [path.name for path in outcome.epoch_files] == ["tiny-000001.safetensors", "tiny-000002.safetensors"]
    for name in ("spec.toml", "resolved.toml", "lock.json", "run.json", "manifest.jsonl", "events.jsonl", "report.html"):
        assert (folder / name).is_file(), name
    index = json.loads((folder / "epochs" / "index.json").read_text())["epochs"]
    assert [entry["epoch"] for entry in index] == [1, 2]
    assert all(entry["loss"] > 0 and entry["weight_norm"] > 0 for entry in index)
    facts = json.loads((folder / "run.json").read_text())
    assert facts["state"] == "done"
    assert facts["peak_memory"]["host"] > 0
    assert set(facts["seconds"]) == {"load", "prepare", "train", "commit", "evaluate"}
    assert set(outcome.lock["run"]["base"]) == {"vae", "text_encoders", "denoiser"}


def test_run_header_is_what_the_plan_says(run_spec, make_plan):
    """The size of each epoch file is the planned one, and its header carries the spec hash."""
    outcome = run_spec(TINY_SPEC)
    facts = json.loads((outcome.folder / "run.json").read_text())
    plan = make_plan(TINY_SPEC, sets=facts["sets"])

    assert plan.spec_hash == facts["spec_hash"]
    sizes = [path.stat().st_size for path in outcome.epoch_files]
    assert sizes == [plan.summary()["epoch_file_bytes"]] * 2
    assert plan.spec_hash in read_tensors(outcome.epoch_files[0])[1].values()


def test_run_gives_the_same_bytes_again(run_spec):
    """Two runs of one spec leave equal epoch files."""
    one = run_spec(TINY_SPEC, "--set", "run.name=tiny", folder="one")
    two = run_spec(TINY_SPEC, "--set", "run.name=tiny", folder="two")
    tensors = [[read_tensors(path)[0] for path in run.epoch_files] for run in (one, two)]

    for first, second in zip(*tensors, strict=True):
        assert first.keys() == second.keys()
        assert all(first[key].equal(second[key]) for key in first)


def test_finished_run_is_left_alone(run_spec):
    """A second start says that it is done."""
    first = run_spec(TINY_SPEC)
    before = weights(first.folder)

    again = run_spec(TINY_SPEC)

    again.assert_success()
    assert "is done already" in again.out
    assert weights(first.folder) == before


@pytest.mark.parametrize(("at", "every"), [(1, 0), (4, 0), (5, 2), (8, 0), (7, 3)])
@pytest.mark.parametrize("how", ["signal", "die"])
def test_interrupted_run_continues_to_the_same_bytes(run_spec, spec_with_stopper, loraspec_cli, monkeypatch, at, every, how):
    """Stopped by a signal or killed by an error at any step, a resumed run ends with the files of one that was not."""
    path = spec_with_stopper(at, how, checkpoint_every=every)
    monkeypatch.setenv("LORASPEC_TEST_GO_ON", "1")
    whole = run_spec(path, folder="run")
    whole.assert_success()
    wanted = weights(whole.folder)
    whole.folder.rename(whole.folder.with_name("whole"))
    monkeypatch.delenv("LORASPEC_TEST_GO_ON")

    stopped = run_spec(path, folder="run")
    assert stopped.code == (EXIT_STOPPED if how == "signal" else 1), stopped.err
    assert json.loads((stopped.folder / "run.json").read_text())["state"] == ("stopped" if how == "signal" else "failed")
    monkeypatch.setenv("LORASPEC_TEST_GO_ON", "1")
    resumed = loraspec_cli("resume", stopped.folder)

    resumed.assert_success()
    assert weights(stopped.folder) == wanted


def test_callback_ends_training_early(run_spec, spec_with_stopper):
    """``run.stop`` ends training after its step; committed epochs are evaluated."""
    outcome = run_spec(spec_with_stopper(6, "stop"))

    outcome.assert_success()
    assert [path.name for path in outcome.epoch_files] == ["tiny-000001.safetensors"]
    assert (outcome.folder / "report.html").exists()


def test_loss_that_is_not_finite_fails_the_run(run_spec, spec_with_stopper):
    """The step is named, and nothing after it is committed."""
    outcome = run_spec(spec_with_stopper(3, "nan"))

    outcome.assert_failed(1, "step 3: the loss is nan")
    assert outcome.epoch_files == []


def test_accumulation_is_the_same_training(run_spec):
    """Batch 4 and batch 2 with two accumulation steps give the same weights up to rounding."""
    one = run_spec(TINY_SPEC, "--set", "train.batch_size=4", folder="one")
    two = run_spec(TINY_SPEC, "--set", "train.batch_size=2", "--set", "train.gradient_accumulation_steps=2", folder="two")

    for first, second in zip(one.epoch_files, two.epoch_files, strict=True):
        left, right = read_tensors(first)[0], read_tensors(second)[0]
        assert all(left[key].float().sub(right[key].float()).abs().max() < 1e-3 for key in left)


def test_changed_spec_is_not_resumed(run_spec, spec_with_stopper, loraspec_cli):
    """A spec edited between stop and resume is refused."""
    path = spec_with_stopper(5, "signal")
    stopped = run_spec(path)
    path.write_text(path.read_text().replace("repeats = 2", "repeats = 3"))

    before = weights(stopped.folder)
    loraspec_cli("resume", stopped.folder).assert_failed(2, "data.repeats  the run was started with 2, now it is 3  [E-RUN-IDENTITY]")
    assert weights(stopped.folder) == before
    assert not (stopped.folder / "quarantine").exists()


def test_comfort_keys_may_be_edited(run_spec, spec_with_stopper, loraspec_cli, monkeypatch):
    """What decides no weights is told, and the files are those of the run that was not edited."""
    path = spec_with_stopper(5, "signal")
    stopped = run_spec(path)
    path.write_text(path.read_text().replace("[train]", "[train]\nlog_every = 1\ncheckpoint_every = 1"))
    monkeypatch.setenv("LORASPEC_TEST_GO_ON", "1")
    resumed = loraspec_cli("resume", stopped.folder)

    resumed.assert_success()
    assert "train.log_every was 10 and is now 1: it decides no weights" in resumed.err + resumed.out
    edited = weights(stopped.folder)
    stopped.folder.rename(stopped.folder.with_name("edited"))
    path.write_text(path.read_text().replace("\nlog_every = 1\ncheckpoint_every = 1", ""))
    assert edited == weights(run_spec(path).folder)


def test_epochs_may_be_added_to_a_finished_run(run_spec, spec_file, loraspec_cli):
    """The committed files stay, the new ones hold the tensors of a run that had so many from the start; the journal says so."""
    path = spec_file(TINY_SPEC)
    short = run_spec(path)
    before = weights(short.folder)
    path.write_text(path.read_text().replace("epochs = 2", "epochs = 3"))
    loraspec_cli("resume", short.folder).assert_success()
    longer = run_spec(path, folder="longer")

    after = weights(short.folder)
    assert {name: after[name] for name in before} == before
    assert after["tiny-000003.safetensors"] == weights(longer.folder)["tiny-000003.safetensors"]
    changed = [line for line in journal.read(short.folder / "journal.jsonl").lines if line["kind"] == "changed"]
    assert [(row["path"], row["old"], row["new"]) for row in changed[0]["changes"]] == [("train.epochs", 2, 3)]
    loraspec_cli("resume", short.folder).assert_success()


def test_epochs_are_not_added_when_the_lr_scheduler_spreads_over_them(run_spec, spec_file, loraspec_cli):
    """A cosine over 3 epochs is another one than over 2; and no epoch is taken away."""
    path = spec_file(TINY_SPEC + '\n[lr_scheduler]\nuse = "cosine"\n')
    short = run_spec(path)
    path.write_text(path.read_text().replace("epochs = 2", "epochs = 3"))
    loraspec_cli("resume", short.folder).assert_failed(2, "finished run of another spec")
    (short.folder / "run.json").unlink()
    loraspec_cli("resume", short.folder).assert_failed(2, "only a constant one without warm-up takes more epochs")


def test_text_encoders_are_not_called_between_steps(run_spec, tmp_path):
    """With shuffled captions, prompts are encoded before an epoch's first step and never between two steps."""
    (tmp_path / "watch.py").write_text('''
from attrs import define, frozen
from loraspec import Component, hookimpl

@frozen
class Options:
    """None."""

@define(eq=False)
class Watch:
    """Counts calls of the text encoders while steps are made."""
    options: Options
    epoch: int = 0
    inside: bool = False

    @hookimpl
    def loraspec_after_prepare(self, run, manifest):
        before = run.family.encode_tokens
        def counted(tokens):
            assert not self.inside, "the text encoders were called between two steps"
            run.record("encoded", count=len(tokens), epoch=self.epoch)
            return before(tokens)
        run.family.encode_tokens = counted

    @hookimpl
    def loraspec_before_epoch(self, epoch):
        self.epoch, self.inside = epoch, False

    @hookimpl
    def loraspec_before_step(self):
        self.inside = True

    @hookimpl
    def loraspec_after_epoch(self):
        self.inside = False

@hookimpl
def loraspec_register_callback():
    """Offer it."""
    return [Component("watch", Options, Watch)]
''')
    text = TINY_SPEC.replace("loraspec = 1\n", 'loraspec = 1\nplugins = ["watch.py"]\n')
    outcome = run_spec(text + '\n[[captions.transforms]]\nuse = "shuffle"\n[[callbacks]]\nuse = "watch"\n')

    outcome.assert_success()
    assert {event["epoch"] for event in outcome.events if event["kind"] == "encoded"} == {1, 2}


def test_stop_signal_during_the_grid_is_obeyed(run_spec, tmp_path, loraspec_cli, monkeypatch):
    """A run stopped after training draws only what is missing when it goes on."""
    (tmp_path / "late.py").write_text('''
import os, signal
from attrs import define, frozen
from loraspec import Component, hookimpl

@frozen
class Options:
    """None."""

@define(eq=False)
class Late:
    """Stops the run at its second cell."""
    options: Options

    @hookimpl
    def loraspec_on_progress(self, phase, done):
        if phase == "grid" and done == 2 and not os.environ.get("LORASPEC_TEST_GO_ON"):
            os.kill(os.getpid(), signal.SIGINT)

@hookimpl
def loraspec_register_callback():
    """Offer it."""
    return [Component("late", Options, Late)]
''')
    stopped = run_spec(TINY_SPEC.replace("loraspec = 1\n", 'loraspec = 1\nplugins = ["late.py"]\n') + '\n[[callbacks]]\nuse = "late"\n')
    assert stopped.code == EXIT_STOPPED, stopped.err
    assert len(stopped.epoch_files) == 2
    assert not (stopped.folder / "report.html").exists()

    monkeypatch.setenv("LORASPEC_TEST_GO_ON", "1")
    loraspec_cli("resume", stopped.folder).assert_success()
    assert (stopped.folder / "report.html").exists()


def test_sigint_handler_is_put_back(run_spec):
    """After a run in this process, Ctrl-C is Python's own again."""
    before = signal.getsignal(signal.SIGINT)
    run_spec(TINY_SPEC).assert_success()

    assert signal.getsignal(signal.SIGINT) is before
    assert os.environ.get("LORASPEC_CACHE")


def test_long_captions_are_told(run_spec):
    """Captions beyond ``captions.max_tokens`` are named with their length."""
    outcome = run_spec(TINY_SPEC, "--set", "captions.max_tokens=2")

    outcome.assert_success()
    warnings = [event["text"] for event in outcome.events if event["kind"] == "message" and event["severity"] == "warning"]
    assert any("have more than 2 tokens" in text for text in warnings)


def test_dropout_is_the_same_after_a_resume(run_spec, tmp_path, spec_with_stopper, loraspec_cli, monkeypatch):
    """The adapter hears of steps, so its dropout masks change from step to step and not with a resume."""
    path = spec_with_stopper(3, "signal")
    path.write_text(path.read_text().replace("rank = 2", "rank = 2\ndropout = 0.5"))
    stopped = run_spec(path)
    monkeypatch.setenv("LORASPEC_TEST_GO_ON", "1")
    loraspec_cli("resume", stopped.folder).assert_success()
    resumed = weights(stopped.folder)
    stopped.folder.rename(stopped.folder.with_name("resumed"))

    assert resumed == weights(run_spec(path).folder)
    assert resumed != weights(run_spec(path, "--set", "adapter.dropout=0.0", folder="none").folder)


def test_callback_that_stops_at_the_end_of_an_epoch_keeps_it(run_spec, spec_with_stopper):
    """The step that ends an epoch leaves its file; no step after it is made."""
    outcome = run_spec(spec_with_stopper(4, "stop"))

    outcome.assert_success()
    assert [path.name for path in outcome.epoch_files] == ["tiny-000001.safetensors"]
    assert json.loads((outcome.folder / "run.json").read_text())["step"] == 4


def test_callback_that_stops_after_an_epoch_makes_no_further_step(run_spec, tmp_path):
    """``run.stop`` in ``loraspec_after_epoch`` ends training there."""
    source = STOPPER.replace("loraspec_after_step(self, run, step, metrics)", "loraspec_after_epoch(self, run, epoch)")
    (tmp_path / "stopper.py").write_text(source.replace("step ==", "epoch =="))
    outcome = run_spec(stopping(1, "stop"))

    outcome.assert_success()
    assert json.loads((outcome.folder / "run.json").read_text())["step"] == 4


def test_folder_of_another_finished_run_is_not_taken_for_this_one(run_spec, loraspec_cli, spec_file):
    """Another spec, and the same spec with other images, are told apart from what is done."""
    done = run_spec(TINY_SPEC)
    path = spec_file(TINY_SPEC.replace("seed = 1808", "seed = 1809"), "other.toml")
    loraspec_cli("run", path, "--set", f"run.output={done.folder}").assert_failed(2, "finished run of another spec")

    lock = done.folder / "lock.json"
    lock.write_text(lock.read_text().replace(done.lock["data"]["sha256"], "0" * 64))
    run_spec(TINY_SPEC).assert_failed(2, "images or captions changed since")
    lock.unlink()
    run_spec(TINY_SPEC).assert_success()


def test_what_components_need_is_told_before_a_folder_is_made(run_spec, monkeypatch):
    """Packages of extras and the dtype of the device are looked at together with data and base."""
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    outcome = run_spec(TINY_SPEC, "--set", "optimizer.use=adamw-8bit", "--set", "train.mixed_precision=fp16")

    outcome.assert_failed(3, "fp16 training needs a GPU")
    assert "bitsandbytes" in outcome.err
    assert "this run cannot start here" in outcome.err
    assert not outcome.folder.exists()


def test_run_without_an_exporter_is_refused(run_spec):
    """Epoch files are what a run is for."""
    run_spec(TINY_SPEC, "--set", "exporters=[]").assert_failed(2, "exporters  must not be empty")


def test_warnings_of_the_data_are_told_before_training(run_spec):
    """What ``plan`` warns of, ``run`` warns of too."""
    outcome = run_spec(TINY_SPEC)

    outcome.assert_success()
    assert "the recipe expects 30 to 100" in outcome.err


def test_text_encoders_that_are_trained_are_in_training_mode(run_spec, monkeypatch):
    """So that the adapter's dropout reaches them; the grid is drawn without."""
    from loraspec.engine.run import Run

    modes = []

    def watched(name):
        original = getattr(Run, name)

        def method(self, *args, **keys):
            original(self, *args, **keys)
            modes.append((name, {encoder.training for encoder in self.family.text_encoders.values()}))

        monkeypatch.setattr(Run, name, method)

    watched("after_step")
    watched("release_training")
    monkeypatch.setattr(Run, "trains_text", True)
    run_spec(TINY_SPEC).assert_success()

    assert modes == [("after_step", {True})] * 8 + [("release_training", {False})]


def test_an_epoch_that_cannot_be_kept_is_not_begun(run_spec, monkeypatch):
    """The disk fills after epoch 1: epoch 2 is refused before its first step, and with room again the run ends as if nothing had been."""
    from loraspec import forecast

    real = forecast.free_bytes

    def left(folder):
        return 1000 if (folder / "epochs" / "tiny-000001.safetensors").exists() else real(folder)

    with monkeypatch.context() as full:
        full.setattr(forecast, "free_bytes", left)
        outcome = run_spec(TINY_SPEC)
    assert outcome.code == 1
    assert "epoch 2 will need" in " ".join(outcome.err.split())
    assert "1,000 are free" in " ".join(outcome.err.split())
    events = [json.loads(line) for line in (outcome.folder / "events.jsonl").read_text().splitlines()]
    assert max(event["step"] for event in events if event["kind"] == "log") == 4
    run_spec(TINY_SPEC).assert_success()
    undisturbed = run_spec(TINY_SPEC, folder="whole")
    for name in ("tiny-000001.safetensors", "tiny-000002.safetensors"):
        assert (outcome.folder / "epochs" / name).read_bytes() == (undisturbed.folder / "epochs" / name).read_bytes()


@pytest.mark.parametrize("name", ["lock.json", "run.json"])
def test_records_that_are_gone_are_told(run_spec, name):
    """They are made again, with what is kept elsewhere, but nobody takes them for the old ones without a word."""
    first = run_spec(TINY_SPEC)
    first.assert_success()
    weights = (first.folder / "epochs" / "tiny-000002.safetensors").read_bytes()
    (first.folder / "epochs" / "tiny-000002.safetensors").unlink()
    (first.folder / name).unlink()
    again = run_spec(TINY_SPEC)
    again.assert_success()
    assert f"{name} was gone" in " ".join((again.out + again.err).split())
    assert (first.folder / name).is_file()
    assert (first.folder / "epochs" / "tiny-000002.safetensors").read_bytes() == weights
