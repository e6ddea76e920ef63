"""``lock``, ``run --locked``, ``verify``, ``reproduce`` and ``diff`` on whole tiny runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from corpus.specs import write_images

from loraspec.locking.files import read_lock
from loraspec.testing import TINY_SPEC
from loraspec.testing.fixtures import Outcome, RunOutcome
from loraspec.testing.isolation import run_without_torch

pytestmark = pytest.mark.usefixtures("tiny_plugin")

Call = Callable[..., Outcome]
TWIN = Path(__file__).parents[2] / "specs" / "daumier.toml"


def test_locked_runs_start_only_without_drift(spec_file: Callable[..., Path], loraspec_cli: Call, tmp_path: Path) -> None:
    """No lock, a lock, drift, drift that is allowed and then recorded; and the lock of the run."""
    spec, out = spec_file(TINY_SPEC), tmp_path / "out"
    loraspec_cli("run", spec, "--locked", "-o", out).assert_failed(1, "E-LOCK-MISSING")
    loraspec_cli("lock", spec).assert_success()
    first = spec.with_suffix(".lock").read_bytes()
    loraspec_cli("lock", spec).assert_success()
    loraspec_cli("lock", spec.with_suffix(".lock")).assert_success()
    assert spec.with_suffix(".lock").read_bytes() == first
    assert str(tmp_path).encode() not in first

    loraspec_cli("run", spec, "--locked", "-o", out).assert_success()
    facts = json.loads((out / "run.json").read_text())
    assert (facts["lock"], facts["drift"]) == ("spec.lock", [])
    assert loraspec_cli("diff", spec.with_suffix(".lock"), out).out == "no field differs\n"

    spec.write_text(TINY_SPEC.replace("alpha = 2.0", "alpha = 1.0"))
    refused = loraspec_cli("run", spec, "--locked", "-o", tmp_path / "other")
    refused.assert_failed(1, "E-LOCK-DRIFT")
    for field in ("spec.resolved.adapter.alpha", "spec.recipe_sha256", "adapter.alphas.*"):
        assert field in refused.err
    assert not (tmp_path / "other").exists()
    loraspec_cli("run", spec, "--allow-drift", "-o", tmp_path / "other").assert_success()
    drift = json.loads((tmp_path / "other" / "run.json").read_text())["drift"]
    assert set(drift) == {"spec.resolved.adapter.alpha", "spec.recipe_sha256", "adapter.alphas.*"}


def test_lock_of_another_spec_is_refused(spec_file: Callable[..., Path], loraspec_cli: Call) -> None:
    """A lock that was copied beside a spec that it was not made for."""
    spec = spec_file(TINY_SPEC)
    loraspec_cli("lock", spec).assert_success()
    spec.write_text(TINY_SPEC.replace('name = "tiny"', 'name = "other"'))

    loraspec_cli("run", spec, "--locked").assert_failed(1, "E-LOCK-SPEC")


@pytest.fixture
def run(run_spec: Callable[..., RunOutcome]) -> RunOutcome:
    """A finished tiny run."""
    outcome = run_spec(TINY_SPEC)
    outcome.assert_success()
    return outcome


def test_verify_finds_every_damage(run: RunOutcome, loraspec_cli: Call) -> None:
    """A run is whole; then a bit of an epoch file, of the journal, of the index, of a checkpoint and of the manifest is another."""
    good = loraspec_cli("verify", run.folder)
    good.assert_success()
    assert "reachable here: R4" in good.out
    assert "2 of 2 are whole" in good.out

    checkpoint = next((run.folder / "state").rglob("*.safetensors"))
    for path in (run.epoch_files[0], run.folder / "journal.jsonl", run.folder / "epochs" / "index.json", checkpoint):
        before = path.read_bytes()
        path.write_bytes(before[:-30] + bytes([before[-30] ^ 1]) + before[-29:])
        bad = loraspec_cli("verify", run.folder)
        path.write_bytes(before)
        assert bad.code == 1, path
        assert "damaged:" in bad.err, path
    manifest = run.folder / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace('"sha256": "', '"sha256": "0', 1))
    assert "is not as locked" in loraspec_cli("verify", run.folder).err


def test_verify_says_why_not_higher(run: RunOutcome, loraspec_cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another kernel leaves R2, another recipe R0; each is named."""
    from loraspec.engine import fingerprint

    with monkeypatch.context() as patch:
        patch.setattr(fingerprint, "_kernels_once", lambda *_: {"conv": "0"})
        other = loraspec_cli("verify", run.folder)
        assert other.code == 1
        assert "reachable here: R2" in other.out
        assert "R2 at best: run.fingerprint.cpu float32.attention" in other.out
        loraspec_cli("verify", run.folder, "--level", "R2").assert_success()

    spec = run.folder.parent / "spec.toml"
    spec.write_text(spec.read_text().replace("rank = 2", "rank = 3"))
    assert "reachable here: R0" in loraspec_cli("verify", run.folder).out


def test_reproduce_a_run_and_a_lock(run: RunOutcome, loraspec_cli: Call, tmp_path: Path) -> None:
    """The same bits again; a changed digest is noticed; a band lets other bits pass as R2."""
    spec = tmp_path / "spec.toml"
    again = loraspec_cli("reproduce", run.folder, "-o", tmp_path / "again")
    again.assert_success()
    assert "achieved: R3" in again.out
    assert "R4 is not claimed" in again.out
    loraspec_cli("reproduce", run.folder, "-o", tmp_path / "again").assert_failed(2, "not empty")

    loraspec_cli("lock", spec, "-o", tmp_path / "spec.lock").assert_success()
    loraspec_cli("reproduce", tmp_path / "spec.lock").assert_failed(1, "E-LOCK-EXPECTED")
    loraspec_cli("lock", spec, "--expect", run.folder).assert_success()
    assert len(read_lock(tmp_path / "spec.lock")["expected"]["losses"]) == run.lock["plan"]["steps"]
    loraspec_cli("lock", spec).assert_success()
    assert "expected" in read_lock(tmp_path / "spec.lock")

    spec.write_text(spec.read_text().replace("rank = 2", "rank = 3"))
    told = loraspec_cli("lock", spec, "--expect", run.folder)
    told.assert_failed(1, "E-LOCK-SPEC")
    assert "u001b" not in told.err  # the table's headings are bold where they are no part of an error, which is escaped
    loraspec_cli("reproduce", tmp_path / "spec.lock", "-o", tmp_path / "third").assert_failed(1, "E-LOCK-DRIFT")
    assert "is dropped" in loraspec_cli("lock", spec).out
    assert "expected" not in read_lock(tmp_path / "spec.lock")


def test_a_band_takes_runs_that_were_not_judged(spec_file: Callable[..., Path], loraspec_cli: Call, tmp_path: Path) -> None:
    """Of them the metrics of training count; a run of another rank is refused."""
    write_images(tmp_path, 6)
    text = TINY_SPEC.replace('use = "grid"', 'use = "texture-progress"').replace("[grid]\n", "[grid]\nheldout = 2\n")
    spec = spec_file(text.replace('use = "tiny:tiny"\nrights', 'use = "folder"\npath = "images"\nrights'))
    for name, words in (
        ("own", ()), ("judged", ("run.seed=2",)), ("plain", ("run.seed=3", "evaluators=[]")), ("other", ("run.seed=4", "adapter.rank=3")),
    ):  # fmt: skip
        sets = [part for word in words for part in ("--set", word)]
        loraspec_cli("run", spec, *sets, "-o", tmp_path / name).assert_success()
    band = ("lock", spec, "--expect", tmp_path / "own", "--band", tmp_path / "judged")
    loraspec_cli(*band).assert_success()
    judged = read_lock(spec.with_suffix(".lock"))["expected"]["band"]
    loraspec_cli(*band, "--band", tmp_path / "plain").assert_success()
    plain = read_lock(spec.with_suffix(".lock"))["expected"]["band"]
    assert set(plain) == {name for name in judged if "." not in name} != set()
    assert {one["n"] for one in plain.values()} == {3}
    loraspec_cli(*band, "--band", tmp_path / "other").assert_failed(1, "adapter.rank")


def test_reproduce_with_a_kill_shows_r4(run: RunOutcome, tmp_path: Path) -> None:
    """Killed in the midst of it and resumed, in processes of their own: the same bits."""
    paths = [str(tmp_path / "site-packages"), *filter(None, [os.environ.get("PYTHONPATH")]), str(Path(__file__).parents[2] / "plugins")]
    words = [sys.executable, "-m", "loraspec", "reproduce", str(run.folder), "--interrupt", "--level", "R4", "-o", str(tmp_path / "again")]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)})

    assert done.returncode == 0, done.stdout + done.stderr
    assert "achieved: R4" in done.stdout
    assert "killed and resumed on the way" in done.stdout


def test_diff_needs_no_torch_and_shows_fields() -> None:
    """Two profiles of a spec as locks: grouped by class, the many cut short; as JSON whole."""
    lock = TWIN.with_name("daumier.twin.lock")
    call = "import sys; from loraspec.cli import main; main()\n"
    done = run_without_torch(call, "diff", str(lock), str(TWIN), "--profile", "twin", "--set", "adapter.rank=8")
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("recipe:")
    assert any(line.split() == ["spec.resolved.adapter.rank", "4", "8"] for line in lines)
    assert any("more in adapter" in line for line in lines)

    same = run_without_torch(call, "diff", str(lock), str(TWIN), "--profile", "twin", "--json")
    kinds = {item["class"] for item in json.loads(same.stdout)["differences"]}
    assert not kinds & {"recipe", "inputs"}, same.stdout  # the code itself, and this machine, may be others
    done = run_without_torch(call, "diff", str(lock), str(TWIN), "--profile", "twin", "--set", "grid.steps=5", "--json")
    found: list[dict[str, Any]] = json.loads(done.stdout)["differences"]
    assert {"field": "spec.resolved.grid.steps", "class": "info", "a": 4, "b": 5} in found


def test_diff_of_a_spec_without_its_data_compares_the_spec(loraspec_cli: Call) -> None:
    """The SDXL recipe has neither data nor base here."""
    done = loraspec_cli("diff", TWIN, TWIN.with_name("daumier.twin.lock"))

    assert done.code == 1
    assert "compared by its spec only" in done.err
    assert "spec.resolved.adapter.rank" in done.out


def test_a_branch_of_the_hub_is_no_lock(loraspec_cli: Call, spec_file: Callable[..., Path]) -> None:
    """A base that may move tomorrow cannot be locked."""
    text = TINY_SPEC.replace('use = "tiny:tiny"\n\n[data]', 'use = "sd15"\n\n[data]', 1)
    spec = spec_file(text)

    loraspec_cli("lock", spec).assert_failed(1, "E-LOCK-REVISION")
