"""A run that is taken up: what is damaged, strange or hostile in its folder."""

import json

import pytest

from loraspec.engine import commit, journal
from loraspec.engine.folder import RunFolder
from loraspec.engine.store import sealed, write_json
from loraspec.testing import TINY_SPEC

pytestmark = pytest.mark.usefixtures("tiny_plugin")


@pytest.fixture
def done(run_spec):
    """Return the folder of a finished run that thinks it is not."""
    outcome = run_spec(TINY_SPEC)
    outcome.assert_success()
    RunFolder(outcome.folder).note(state="running")
    return outcome.folder


def kinds(folder):
    """Return the kinds of the journal's lines."""
    return [line["kind"] for line in journal.read(folder / "journal.jsonl").lines]


def bits(folder):
    """Return what is under ``epochs/``."""
    return {path.name: path.read_bytes() for path in (folder / "epochs").iterdir() if path.is_file()}


def test_journal_says_what_was_announced(done):
    """In order: the start, each checkpoint and epoch with its digests and d, the end."""
    assert kinds(done) == ["started", "checkpoint", "epoch", "checkpoint", "epoch", "done"]
    index = RunFolder(done).index
    told = [line for line in journal.read(done / "journal.jsonl").lines if line["kind"] == "epoch"]
    assert [{key: value for key, value in line.items() if key != "kind"} for line in told] == index
    assert all(line["d"] > 0 and len(line["files"][0]["sha256"]) == 64 for line in told)


@pytest.mark.parametrize("epoch", [1, 2])
def test_damaged_epoch_is_set_aside_and_trained_again(done, loraspec_cli, epoch):
    """It lies in quarantine/, the journal and the person are told, and the bits are the same."""
    before = bits(done)
    path = done / "epochs" / f"tiny-00000{epoch}.safetensors"
    path.write_bytes(path.read_bytes()[:-1])

    outcome = loraspec_cli("resume", done)

    outcome.assert_success()
    assert f"epoch {epoch} is damaged" in outcome.out + outcome.err
    assert bits(done) == before
    assert [path.name for path in (done / "quarantine").iterdir()] == [f"0001-{path.name}"]
    assert kinds(done).count("quarantined") == 1
    assert kinds(done).count("epoch") == 3


def test_finished_run_with_a_damaged_epoch_is_mended(run_spec, loraspec_cli):
    """Done is only what is whole."""
    outcome = run_spec(TINY_SPEC)
    before = bits(outcome.folder)
    (outcome.folder / "epochs" / "tiny-000001.safetensors").unlink()

    loraspec_cli("resume", outcome.folder).assert_success()
    assert bits(outcome.folder) == before


def test_damaged_checkpoint_falls_back_to_the_one_before(done, loraspec_cli):
    """The newest is set aside, and the older one serves."""
    before = bits(done)
    (done / "epochs" / "tiny-000002.safetensors").unlink()
    newest = done / "state" / "step-00000008" / "state.json"
    newest.write_text(newest.read_text().replace("1", "2", 1))

    outcome = loraspec_cli("resume", done)

    outcome.assert_success()
    assert "going on after step 4 of 8" in outcome.out + outcome.err
    assert bits(done) == before


def test_index_comes_back_from_the_journal(done, loraspec_cli):
    """A damaged or missing index costs no epoch."""
    before = bits(done)
    (done / "epochs" / "index.json").write_text("{")
    loraspec_cli("resume", done).assert_success()
    assert bits(done) == before
    RunFolder(done).note(state="running")
    (done / "epochs" / "index.json").unlink()
    loraspec_cli("resume", done).assert_success()

    assert bits(done) == before
    assert kinds(done).count("epoch") == 2


@pytest.mark.parametrize("name", ["../outside.safetensors", 7])
def test_index_that_names_a_place_outside_is_refused(done, loraspec_cli, name):
    """Sealed by a stranger: nothing outside epochs/ is read, moved or removed for it."""
    (done / "outside.safetensors").write_text("mine")
    files = RunFolder(done)
    entries = files.index
    entries[0]["files"][0]["path"] = name
    write_json(files.index_path, sealed({"layout": 1, "epochs": entries}))

    loraspec_cli("resume", done).assert_failed(1, "E-RUN-LAYOUT")

    assert (done / "outside.safetensors").read_text() == "mine"


def test_links_are_not_followed(done, loraspec_cli, tmp_path):
    """A file that is a link is set aside; a folder that is one is refused."""
    before = bits(done)
    path = done / "epochs" / "tiny-000002.safetensors"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    loraspec_cli("resume", done).assert_success()
    assert not path.is_symlink()
    assert bits(done) == before
    assert (tmp_path / "elsewhere").exists()

    RunFolder(done).note(state="running")
    (done / "grid").rename(tmp_path / "grid")
    (done / "grid").symlink_to(tmp_path / "grid")
    loraspec_cli("resume", done).assert_failed(1, "is a link; a run's folders are real ones  [E-RUN-LAYOUT]")


def test_strangers_among_the_epochs_are_set_aside(done, loraspec_cli):
    """An epoch that was not finished goes, what nobody planned is kept in quarantine/; a pickle is never opened."""
    (done / "epochs" / "last.pt").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    (done / "state" / "optimizer.bin").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    (done / ".epoch-000003.1.part").mkdir()
    before = {name: data for name, data in bits(done).items() if name != "last.pt"}

    loraspec_cli("resume", done).assert_success()

    assert bits(done) == before
    assert sorted(path.name for path in (done / "quarantine").iterdir()) == ["0001-last.pt", "0002-optimizer.bin"]
    assert not (done / ".epoch-000003.1.part").exists()


def test_epoch_that_comes_out_different_is_an_error(done, loraspec_cli, monkeypatch):
    """Trained again because an earlier one is missing, a committed epoch is compared and never written over."""
    (done / "epochs" / "tiny-000001.safetensors").unlink()
    before = bits(done)["tiny-000002.safetensors"]
    monkeypatch.setattr(commit, "_compare", commit._compare)
    original = commit._files

    def changed(run, epoch, state):
        for path, tensors, metadata in original(run, epoch, state):
            yield path, tensors, {**metadata, "other": "1"} if epoch == 2 else metadata

    monkeypatch.setattr(commit, "_files", changed)
    loraspec_cli("resume", done).assert_failed(1, "E-RUN-DIVERGED")

    assert bits(done)["tiny-000002.safetensors"] == before


def test_weights_that_do_not_move_after_a_resume_are_an_error(done, loraspec_cli, monkeypatch):
    """A resume that trains something else than it saves is found at its first epoch."""
    (done / "epochs" / "tiny-000002.safetensors").unlink()
    newest = done / "state" / "step-00000008"
    newest.rename(done / "gone")
    import torch

    monkeypatch.setattr(torch.optim.Optimizer, "register_step_pre_hook", torch.optim.Optimizer.register_step_pre_hook)
    from loraspec_guide.optim.dadapt import DAdaptAdam

    monkeypatch.setattr(DAdaptAdam, "step", lambda self, closure=None: None)
    loraspec_cli("resume", done).assert_failed(1, "E-RUN-FROZEN")


def test_run_of_an_older_loraspec_is_taken_up(done, loraspec_cli):
    """Without seals, journal and headers: they are made."""
    before = bits(done)
    facts = {key: value for key, value in RunFolder(done).facts.items() if key not in ("layout", "files", "headers", "data_sha256")}
    write_json(done / "run.json", facts)
    write_json(done / "epochs" / "index.json", {"epochs": RunFolder(done).index})
    (done / "journal.jsonl").unlink()
    (done / "epochs" / "tiny-000002.safetensors").unlink()

    loraspec_cli("resume", done).assert_success()

    assert {name: data for name, data in bits(done).items() if name != "index.json"} == {
        name: data for name, data in before.items() if name != "index.json"
    }
    assert RunFolder(done).facts["headers"][0]["from"] == 1
    assert "started" in kinds(done)


def test_lock_that_is_gone_is_stood_in_for_by_digests(done, loraspec_cli, spec_file):
    """The same spec goes on; another is refused, though nobody can say what changed."""
    (done / "lock.json").write_text("{")
    loraspec_cli("resume", done).assert_success()
    assert json.loads((done / "lock.json").read_text())["lock"] >= 1

    RunFolder(done).note(state="running")
    (done / "lock.json").unlink()
    spec_file(TINY_SPEC.replace("seed = 1808", "seed = 1809"))
    loraspec_cli("resume", done).assert_failed(2, "the spec changed since the run was started, and its lock.json is gone")
