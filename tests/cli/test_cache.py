"""``loraspec cache``: what is kept, and why an entry is or is not reused."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from loraspec.cachefolder import cache_root, files


@pytest.fixture
def trained(run_spec, painted_spec, monkeypatch):
    """A run under ``runs/`` of the working directory; return its spec."""
    monkeypatch.chdir(painted_spec.parent)
    run_spec(painted_spec, folder="runs/one").assert_success()
    return painted_spec


@pytest.fixture
def explained(loraspec_cli):
    """Explain an image as JSON."""

    def call(*words):
        outcome = loraspec_cli("cache", "explain", *words, "--json")
        outcome.assert_success()
        return json.loads(outcome.out)

    return call


def test_entry_that_is_reused_is_explained(trained, loraspec_cli):
    """Every part with its value, from what the newest run recorded; whole in a pipe."""
    outcome = loraspec_cli("cache", "explain", "2.png")

    outcome.assert_success()
    assert outcome.out.startswith("2.png: its latents are there and will be reused\n")
    for part in ("image", "vae", "pillow", "libjpeg", "zlib", "torch", "device", "kernels", "bucket", "resize", "crop", "transforms"):
        assert f"\n  {part}  " in outcome.out
    assert "VAE and device as runs/one recorded them" in outcome.out


def test_what_changed_is_named(trained, explained, paint, loraspec_cli):
    """An edited image, another geometry: exactly these parts, against the nearest entry of the image."""
    paint(2, seed=55)
    assert explained("2.png")["differ"] == ["image"]
    assert explained("1.png")["state"] == "reused"

    text = trained.read_text()
    trained.write_text(text.replace("resolution = 32", "resolution = 24"))
    found = explained("1.png", "--run", "runs/one")
    assert found["state"] == "absent"
    assert set(found["differ"]) == {"bucket", "resize", "crop"} & set(found["differ"]) != set()
    outcome = loraspec_cli("cache", "explain", "2.png")
    assert "changed since the nearest entry" in outcome.out
    assert "was " in outcome.out
    assert "\n  vae         " in outcome.out


def test_other_weights_and_versions_are_named(trained, explained):
    """A VAE, torch or device that the run has recorded otherwise."""
    lock = json.loads((trained.parent / "runs/one/lock.json").read_text())
    lock["run"]["base"]["vae"] = "0" * 64
    lock["run"]["device"]["threads"] = 99
    (trained.parent / "runs/one/lock.json").write_text(json.dumps(lock))

    assert explained("0.png")["differ"] == ["vae", "kernels"]


def test_image_may_be_a_file_or_have_been_renamed(trained, explained, paint):
    """By bytes when no name fits; a new name changes nothing."""
    folder = trained.parent / "pictures"
    shutil.copyfile(folder / "3.png", trained.parent / "copy.png")
    found = explained("copy.png", "--spec", trained)
    assert (found["image"], found["state"]) == ("3.png", "reused")

    (folder / "3.png").rename(folder / "new.png")
    (folder / "3.txt").rename(folder / "new.txt")
    assert explained("new.png", "--spec", trained)["state"] == "reused"


def test_spec_that_was_never_run_loads_the_base(trained, explained):
    """What no run has recorded is asked for; entries of other runs are found all the same."""
    (trained.parent / "runs/one/lock.json").unlink()
    found = explained("2.png", "--spec", trained)

    assert found["source"] == "VAE and device as they are here"
    assert found["state"] == "reused"


def test_only_spec_with_the_image_is_found(trained, explained, loraspec_cli):
    """When no run has it; two specs are one too many."""
    shutil.rmtree(trained.parent / "runs")
    (trained.parent / "other.toml").write_text("no = 'spec'")
    assert explained("2.png")["state"] == "reused"

    shutil.copyfile(trained, trained.parent / "twin.toml")
    loraspec_cli("cache", "explain", "2.png").assert_failed(2, "several specs have an image '2.png': painted.toml, twin.toml")


def test_empty_cache_and_damaged_entry(trained, explained, loraspec_cli):
    """Nothing to compare with; something that cannot be read."""
    path = next(file.path for file in files(cache_root()) if file.path.name.startswith(explained("1.png")["entry"].rpartition("/")[2]))
    path.write_bytes(path.read_bytes()[:-1])
    assert explained("1.png")["state"] == "damaged"
    loraspec_cli("cache", "clear").assert_success()

    found = explained("1.png")
    assert (found["state"], found["nearest"], found["differ"]) == ("absent", None, [])
    assert "no latents of this image are there" in loraspec_cli("cache", "explain", "1.png").out


def test_questions_without_an_answer(trained, loraspec_cli):
    """Say what is missing and how to ask."""
    loraspec_cli("cache", "explain", "9.png").assert_failed(2, "no run and no spec here has an image '9.png'")
    loraspec_cli("cache", "explain", "1.pgn", "--spec", trained).assert_failed(2, "did you mean '1.png'?")
    loraspec_cli("cache", "explain", "1.png", "--run", "nowhere").assert_failed(2, "holds no run")
    loraspec_cli("cache", "explain", "1.png", "--run", "runs/one", "--spec", trained).assert_failed(2, "not both")
    loraspec_cli("cache", "explain", "1.png", "--set", "a.b=1").assert_failed(2, "belong to a --spec")


def test_held_out_image_has_no_latents(trained, loraspec_cli):
    """And that is said."""
    outcomes = [loraspec_cli("cache", "explain", f"{number}.png", "--spec", trained, "--set", "grid.heldout=1") for number in range(4)]
    assert sum("is held out" in outcome.err for outcome in outcomes) == 1


def test_show_counts_and_clear_removes_what_is_the_caches(trained, loraspec_cli):
    """Entries, files and bytes by kind; nothing else in the folder is touched."""
    whole = json.loads(loraspec_cli("cache", "show", "--json").out)
    size = sum(file.size for file in files(cache_root()))
    assert {kind: row["entries"] for kind, row in whole["kinds"].items()} == {"latents": 4, "embeddings": 4, "unusable": 0}
    assert whole["bytes"] == size
    (cache_root() / "latents" / "old").mkdir()
    (cache_root() / "latents" / "old" / "entry.safetensors").write_text("of another version")
    (cache_root() / "note.txt").write_text("mine")
    outcome = loraspec_cli("cache", "show")
    assert "latents     4        4" in outcome.out
    assert "unusable    0        1" in outcome.out

    loraspec_cli("cache", "clear").assert_success()
    assert list(files(cache_root())) == []
    assert sorted(path.name for path in cache_root().iterdir()) == ["clock", "note.txt"]
    assert "0 bytes of at most" in loraspec_cli("cache", "show").out


def test_cache_of_another_user_is_not_cleared(trained, loraspec_cli, monkeypatch):
    """It is refused, as a run refuses it."""
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    loraspec_cli("cache", "clear").assert_failed(1, "belongs to the user")
    assert list(files(cache_root()))


def test_show_and_clear_make_nothing(loraspec_cli, monkeypatch, tmp_path):
    """A cache that was never used is not made by looking at it."""
    monkeypatch.setenv("LORASPEC_CACHE", str(tmp_path / "never"))
    loraspec_cli("cache", "show").assert_success()
    loraspec_cli("cache", "clear").assert_success()
    assert not (tmp_path / "never").exists()
