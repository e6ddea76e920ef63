"""The lock: everything that decides the numbers, nothing of the machine, equal bytes for equal plans."""

from __future__ import annotations

import getpass
import hashlib
import json
import socket
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from loraspec.lock import complete_lock, lock_bytes, make_lock
from loraspec.plan import resolve

SPEC = """\
loraspec = 1
plugins = ["own.py"]
[run]
name = "test"
[model]
use = "sd15"
checkpoint = "stable-diffusion-v1-5/stable-diffusion-v1-5"
[data]
resolution = 512
repeats = 2
buckets = { min = 256, max = 1024 }
[[data.sources]]
use = "folder"
path = "images"
rights = "own"
[[captions.transforms]]
use = "shuffle"
[adapter]
rank = 4
[train]
epochs = 2
"""
PLUGIN = "# offers nothing\n"


def write(folder: Path) -> Path:
    """Write a spec with three images and a plugin file."""
    images = folder / "images"
    images.mkdir(parents=True)
    for number, size in enumerate([(512, 512), (640, 384), (512, 512)]):
        Image.new("RGB", size, (number, 20, 30)).save(images / f"{number}.png")
        (images / f"{number}.txt").write_text(f"man {number}, coat, street")
    (folder / "own.py").write_text(PLUGIN)
    (folder / "spec.toml").write_text(SPEC)
    return folder / "spec.toml"


def lock_of(spec: Path, **overlay: Any) -> dict[str, Any]:
    """The lock of a spec."""
    return make_lock(resolve(spec, **overlay))


def changed(one: Any, other: Any, path: str = "") -> set[str]:
    """Dotted places at which two locks differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = one.keys() | other.keys()
        return {place for key in keys for place in changed(one.get(key), other.get(key), f"{path}.{key}" if path else key)}
    return set() if one == other else {path}


def test_equal_plans_give_equal_bytes(tmp_path: Path) -> None:
    """In another folder, planned again: not one byte differs."""
    here, there = lock_bytes(lock_of(write(tmp_path / "a"))), lock_bytes(lock_of(write(tmp_path / "b" / "c")))

    assert here == there
    assert lock_bytes(json.loads(here)) == here


def test_nothing_of_the_machine_is_in_it(tmp_path: Path) -> None:
    """No folder, host or user; and two locks of one second or of two are the same."""
    text = lock_bytes(lock_of(write(tmp_path))).decode()

    assert str(tmp_path) not in text
    assert str(Path.home()) + "/" not in text
    assert f'"{socket.gethostname()}"' not in text
    assert f'"{getpass.getuser()}"' not in text
    assert "2026" not in json.dumps({key: value for key, value in json.loads(text).items() if key not in ("environment", "stages")})


def test_content_is_that_of_the_files(tmp_path: Path) -> None:
    """Digests of images, captions and plugin files; components with version and options; the plan's numbers."""
    lock = lock_of(write(tmp_path))
    image = lock["data"]["images"]["1.png"]

    assert image["sha256"] == hashlib.sha256((tmp_path / "images" / "1.png").read_bytes()).hexdigest()
    assert image["caption_sha256"] == hashlib.sha256(b"man 1, coat, street").hexdigest()
    assert (image["original"], image["bucket"], image["crop"]) == ([640, 384], [640, 384], [0, 0])
    assert lock["plugin_files"] == {"own.py": hashlib.sha256(PLUGIN.encode()).hexdigest()}
    (optimizer,) = lock["stages"]["optimizer"]
    assert optimizer["use"] == "guide:dadapt-adamw"
    assert lock["plugins"]["loraspec"]["version"] == metadata.version("loraspec")
    assert lock["environment"]["packages"]["dadaptation"]["version"] == metadata.version("dadaptation")
    assert lock["spec"]["resolved"]["optimizer"]["lr"] == 1.0
    assert lock["environment"]["packages"]["torch"]["version"] == metadata.version("torch")
    assert lock["spec"]["resolved"]["train"]["epochs"] == 2
    assert lock["plan"]["steps"] == 2 * lock["plan"]["steps_per_epoch"]
    assert len(lock["plan"]["stream_sha256"]) == 2
    assert set(lock["plan"]["epoch_files"]) == {"test-000001.safetensors", "test-000002.safetensors"}


@pytest.mark.parametrize(
    ("change", "places"),
    [
        ("image", {"data.sha256", "data.content_sha256", "data.images.0.png.sha256", "plan.stream_sha256"}),
        ("caption", {"data.sha256", "data.content_sha256", "data.images.0.png.caption_sha256", "plan.stream_sha256"}),
        ("plugin", {"plugin_files.own.py"}),
    ],
)
def test_one_change_moves_only_its_fields(tmp_path: Path, change: str, places: set[str]) -> None:
    """A lock says what differs."""
    spec = write(tmp_path)
    before = lock_of(spec)
    if change == "image":
        Image.new("RGB", (512, 512), (9, 9, 9)).save(tmp_path / "images" / "0.png")
    elif change == "caption":
        (tmp_path / "images" / "0.txt").write_text("man 0, coat, square")
    else:
        (tmp_path / "own.py").write_text(PLUGIN + "\n")
    found = changed(before, lock_of(spec)) - {"plan.grid.prompts", "plan.grid.judged_prompts", "environment.packages.own"}

    assert found == places


def test_renamed_images_keep_the_content_digest(tmp_path: Path) -> None:
    """The same data under other names is known as such."""
    spec = write(tmp_path)
    before = lock_of(spec)["data"]
    for ending in ("png", "txt"):
        (tmp_path / "images" / f"0.{ending}").rename(tmp_path / "images" / f"9.{ending}")
    after = lock_of(spec)["data"]

    assert before["content_sha256"] == after["content_sha256"]
    assert before["sha256"] != after["sha256"]


def test_seed_changes_the_order_and_the_spec(tmp_path: Path) -> None:
    """A seed moves draws, not data."""
    spec = write(tmp_path)
    found = changed(lock_of(spec), lock_of(spec, sets=["run.seed=5"]))

    assert {"spec.sha256", "spec.resolved.run.seed", "plan.stream_sha256"} <= found
    assert not [place for place in found if place.startswith(("data.", "stages.", "adapter.", "model."))]


def test_facts_of_the_run_are_added(tmp_path: Path) -> None:
    """What only the run knows goes under ``run``, in as many parts as it comes."""
    lock = lock_of(write(tmp_path))
    whole = complete_lock(complete_lock(lock, base={"vae": "00"}), threads=2)

    assert whole["run"] == {"base": {"vae": "00"}, "threads": 2}
    assert "run" not in lock
    assert lock_bytes(whole) != lock_bytes(lock)


@pytest.mark.parametrize("fact", [Path("x"), float("nan"), {1: "a"}, (1, 2), {"a"}, b"x"])
def test_facts_must_be_plain(tmp_path: Path, fact: Any) -> None:
    """Nothing that would read back as something else."""
    with pytest.raises(ValueError, match="fact"):
        complete_lock({}, fact=fact)
