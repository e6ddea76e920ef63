"""pick.json is whole or absent, is read as if a stranger had written it, and fits the epochs that are there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from finished_run import finished_run

from loraspec.errors import RunError, SpecError
from loraspec.finished import read
from loraspec.picking import LONGEST_NOTE, PICK, candidates, chosen, copy, keep, read_pick, recommended


def test_a_choice_is_read_back(tmp_path: Path) -> None:
    """What the ranking recommends and what a person chose, with digests of files and ranking."""
    run = read(finished_run(tmp_path / "run"))
    assert read_pick(run) is None
    for pick in (recommended(run), chosen(run, epoch=2, weight=0.85, note="softer")):
        keep(run, pick)
        assert read_pick(run) == pick
    assert (pick.epoch, pick.weight, pick.by, pick.note) == (2, 0.85, "person", "softer")
    assert pick.files == run.digests(2)
    assert pick.ranking == run.ranking_sha256 != ""
    assert recommended(run).by == "ranking"


@pytest.mark.parametrize("change", [
    {"version": 2}, {"epoch": 0}, {"epoch": "2"}, {"epoch": True}, {"weight": 0}, {"weight": 3}, {"weight": "1"}, {"by": "nobody"},
    {"files": {"a": "short"}}, {"files": []}, {"note": 1}, {"note": None},
])  # fmt: skip
def test_a_forged_choice_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    """Each value has its type and its range, else it is told what to do."""
    run = read(finished_run(tmp_path / "run"))
    path = keep(run, chosen(run, epoch=2, weight=1.0, note=""))
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}), encoding="utf-8")
    with pytest.raises(RunError, match="is no choice of an epoch") as error:
        read_pick(run)
    assert (error.value.code, "loraspec pick" in str(error.value)) == ("E-RUN-LAYOUT", True)


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, "null"])
def test_what_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    """Never a crash."""
    run = read(finished_run(tmp_path / "run"))
    (run.folder / PICK).write_text(text, encoding="utf-8")
    with pytest.raises(RunError, match="is no choice"):
        read_pick(run)


def test_a_choice_of_another_epoch_file_is_told(tmp_path: Path) -> None:
    """A folder whose epochs are others by now: the choice was of something else."""
    run = read(finished_run(tmp_path / "run"))
    keep(run, chosen(run, epoch=4, weight=1.0, note=""))
    for change in ({"epochs": 3}, {"name": "other"}):
        other = read(finished_run(tmp_path / json.dumps(change), **change))
        (other.folder / PICK).write_bytes((run.folder / PICK).read_bytes())
        with pytest.raises(RunError, match="epoch 4 is not what it was") as error:
            read_pick(other)
        assert error.value.code == "E-RUN-DAMAGED"


def test_what_cannot_be_chosen_is_refused(tmp_path: Path) -> None:
    """An epoch that is not there, a weight out of range, a novel for a note, no ranking."""
    run = read(finished_run(tmp_path / "run", keys={}))
    with pytest.raises(SpecError, match="epoch 9 is not committed; there are 1, 2, 3 and 4"):
        chosen(run, epoch=9, weight=None, note="")
    for weight in (0.0, -1.0, 2.1, float("nan")):
        with pytest.raises(SpecError, match="out of range"):
            chosen(run, epoch=1, weight=weight, note="")
    with pytest.raises(SpecError, match="characters"):
        chosen(run, epoch=1, weight=None, note="x" * (LONGEST_NOTE + 1))
    with pytest.raises(RunError, match="none of its evaluators is a metric") as error:
        chosen(run, epoch=None, weight=0.9, note="")
    assert error.value.code == "E-RUN-UNRANKED"
    assert chosen(run, epoch=1, weight=None, note="").weight == 1.0


def test_candidates_are_the_tie_set_or_the_best(tmp_path: Path) -> None:
    """Two or more tied ones, at most eight; where one stands alone, the best four."""
    two = read(finished_run(tmp_path / "two", tied=(1, 2)))
    assert [one.epoch for one in candidates(two)] == [1, 2]
    alone = read(finished_run(tmp_path / "alone", epochs=6, tied=(3,)))
    assert [one.epoch for one in candidates(alone)] == [1, 2, 3, 4]
    many = read(finished_run(tmp_path / "many", epochs=12, tied=range(1, 13), pictures=False))
    assert len(candidates(many)) == 8
    nan = read(finished_run(tmp_path / "nan", keys={1: float("nan"), 2: 0.1, 3: 0.2}, epoch=3, tied=(3,)))
    assert [one.epoch for one in candidates(nan)] == [1, 2, 3]
    assert candidates(read(finished_run(tmp_path / "none", keys={}))) == ()


def test_a_copy_is_the_same_bytes_and_replaces_nothing(tmp_path: Path) -> None:
    """All exporters' files; what is there and differs is refused, unless forced; what is the same is left alone."""
    run = read(finished_run(tmp_path / "run", exporters=("", "diffusers")))
    made = copy(run, 2, tmp_path / "out")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in made] == list(run.digests(2))
    assert [path.read_bytes() for path in made] == [path.read_bytes() for path in run.verified(2)]
    before = made[0].stat().st_mtime_ns
    copy(run, 2, tmp_path / "out")
    assert made[0].stat().st_mtime_ns == before
    made[0].write_bytes(b"mine")
    with pytest.raises(SpecError, match="is there already"):
        copy(run, 2, tmp_path / "out")
    assert made[0].read_bytes() == b"mine"
    copy(run, 2, tmp_path / "out", force=True)
    assert made[0].read_bytes() == run.verified(2)[0].read_bytes()
    assert not [path for path in (tmp_path / "out").rglob("*") if path.name.endswith(".part")]


def test_one_file_may_be_given_a_name(tmp_path: Path) -> None:
    """A target with the file's own ending is a name, any other is a folder."""
    run = read(finished_run(tmp_path / "run"))
    assert copy(run, 1, tmp_path / "a" / "nobody.safetensors") == [tmp_path / "a" / "nobody.safetensors"]
    assert copy(run, 1, tmp_path / "b.d") == [tmp_path / "b.d" / "style-000001.safetensors"]


def test_files_that_are_not_what_was_committed_are_refused(tmp_path: Path) -> None:
    """Changed, gone, a link to a file of somebody else, a linked folder."""
    run = read(finished_run(tmp_path / "run"))
    path = run.file("style-000002.safetensors")
    data = path.read_bytes()
    secret = tmp_path / "secret"
    secret.write_bytes(data)

    def refused() -> None:
        with pytest.raises(RunError, match="is not what epoch 2 committed") as error:
            run.verified(2)
        assert error.value.code == "E-RUN-DAMAGED"

    path.write_bytes(data + b"x")
    refused()
    path.unlink()
    refused()
    path.symlink_to(secret)
    refused()
    path.unlink()
    path.write_bytes(data)
    assert run.verified(2)
    (run.folder / "epochs").rename(tmp_path / "elsewhere")
    (run.folder / "epochs").symlink_to(tmp_path / "elsewhere")
    refused()
