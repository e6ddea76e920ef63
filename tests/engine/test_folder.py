"""The run's folder."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from functools import partial

import pytest

from loraspec.engine.folder import RunFolder, disk_told, held
from loraspec.engine.interrupts import Interrupts
from loraspec.engine.store import sealed, write_bytes, write_json
from loraspec.errors import RunError, SpecError

FILES = [{"path": "a.safetensors", "sha256": "0" * 64}]


def test_held_tells_who_holds_it(tmp_path):
    """A second process is told the first one's number, and gets the folder once the first is gone."""
    code = (
        "import sys, pathlib\nfrom loraspec.engine.folder import held\n"
        "with held(pathlib.Path(sys.argv[1])):\n    print('in', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "in\n"

    with pytest.raises(RunError, match=f"pid {child.pid} on .* since 20") as told, held(tmp_path):
        pass
    assert told.value.code == "E-RUN-LOCKED"
    assert str(tmp_path / ".held") in str(told.value)
    child.kill()
    child.wait()
    with held(tmp_path):
        assert f"pid {os.getpid()} on" in (tmp_path / ".held").read_text()
    assert (tmp_path / ".held").read_text() == ""


def test_epoch_file_is_checked_against_the_index(tmp_path):
    """A changed epoch file is not used."""
    files = RunFolder(tmp_path)
    sha256 = write_bytes(tmp_path / "epochs" / "a.safetensors", b"weights")
    files.commit_index({"epoch": 1, "files": [{"path": "a.safetensors", "sha256": sha256}]})
    assert files.epoch_file(1).name == "a.safetensors"

    (tmp_path / "epochs" / "a.safetensors").write_bytes(b"weightz")

    with pytest.raises(RunError, match="differs"):
        files.epoch_file(1)
    with pytest.raises(RunError, match="epoch 2 is not committed"):
        files.epoch_file(2)


def test_commit_index_replaces_an_epoch_and_keeps_order(tmp_path):
    """An epoch that is done again has one entry."""
    files = RunFolder(tmp_path)
    for epoch, loss in ((2, 0.2), (1, 0.1), (2, 0.3)):
        files.commit_index({"epoch": epoch, "loss": loss, "files": FILES})

    assert files.index == [{"epoch": 1, "loss": 0.1, "files": FILES}, {"epoch": 2, "loss": 0.3, "files": FILES}]


def test_interrupts_turn_a_signal_into_a_request():
    """SIGTERM is remembered, not obeyed at once; afterwards the old handler is back."""
    before = signal.getsignal(signal.SIGTERM)

    with Interrupts() as interrupts:
        assert not interrupts.reason
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupts.reason == "SIGTERM"

    assert signal.getsignal(signal.SIGTERM) is before


def test_disk_errors_say_where(tmp_path):
    """What the disk refuses becomes one line with the place and the way on; other errors pass."""
    words = r"tensors: No space left on device \(\d+ MiB are free there\)\n    hint: .*what it has saved is kept"
    with pytest.raises(RunError, match=words), disk_told(tmp_path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "tensors"))
    with pytest.raises(ValueError, match="other"), disk_told(tmp_path):
        raise ValueError("other")


def test_begin_refuses_a_folder_with_other_files(tmp_path):
    """A run would remove what is in its way; what a start of the same spec that was cut off left is no obstacle."""
    files = RunFolder(tmp_path / "run")
    begin = partial(files.begin, spec_text="seed = 1", resolved="", lock={}, facts={"name": "x"})
    for foreign in ("photo.jpg", "lock.json", "spec.toml"):
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / foreign).write_text("mine")
        with pytest.raises(SpecError, match=rf"is not empty \({foreign}\).*E-RUN-FOREIGN"):
            begin()
        assert [path.read_text() for path in (tmp_path / "run").iterdir()] == ["mine"]
        shutil.rmtree(tmp_path / "run")

    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".held").touch()
    (tmp_path / "run" / "spec.toml").write_text("seed = 1")
    begin()
    assert files.facts["name"] == "x"


def test_facts_refuse_a_flipped_bit_and_come_back_from_the_journal(tmp_path):
    """``run.json`` is sealed; what the journal says of the start stands in for it."""
    files = RunFolder(tmp_path)
    files.begin(spec_text="", resolved="", lock={}, facts={"name": "x", "spec_hash": "1", "seconds": {"train": 1.5}})
    path = tmp_path / "run.json"
    path.write_text(path.read_text().replace("1.5", "1.7"))
    with pytest.raises(RunError, match="is not what was written"):
        _ = files.facts

    files.journal.write("started", name="x", spec_hash="1", layout=1)
    assert files.facts == {"name": "x", "spec_hash": "1", "layout": 1, "state": "unknown"}


def test_facts_refuse_a_newer_layout(tmp_path):
    """A folder from a later loraspec is left alone."""
    write_json(tmp_path / "run.json", sealed({"layout": 99}))

    with pytest.raises(RunError, match="newer loraspec") as told:
        _ = RunFolder(tmp_path).facts
    assert told.value.code == "E-RUN-VERSION"


def test_index_refuses_a_flipped_bit(tmp_path):
    """A digit of a loss is enough; an index from before there were seals is read."""
    files = RunFolder(tmp_path)
    files.commit_index({"epoch": 1, "loss": 0.125, "files": FILES})
    files.index_path.write_text(files.index_path.read_text().replace("0.125", "0.126"))
    with pytest.raises(RunError, match="is not what was written"):
        _ = files.index

    write_json(files.index_path, {"epochs": [{"epoch": 1, "files": FILES}]})
    assert files.index == [{"epoch": 1, "files": FILES}]
