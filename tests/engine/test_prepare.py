"""Images on their way to latents: read once, checked, decoded ahead, told by name when something is wrong with them."""

import hashlib
import json
import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from loraspec import known
from loraspec.cachefolder import cache_root, files
from loraspec.engine.store import read_tensors
from loraspec.pixels import pixels_sha256
from loraspec.testing.tiny_model import TinyFamily


def rows(outcome):
    """Return the rows of the manifest by key."""
    outcome.assert_success()
    lines = (outcome.folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["key"]: row for row in map(json.loads, lines)}


def test_manifest_knows_decoded_and_prepared_pixels(run_spec, painted_spec):
    """Over mode, size and raw pixels; known from the cache too, and for held-out images."""
    words = ("--set", "grid.heldout=1")
    cold, warm = (rows(run_spec(painted_spec, *words, folder=folder)) for folder in ("cold", "warm"))
    assert cold == warm
    for key, row in cold.items():
        image = Image.open(painted_spec.parent / "pictures" / key)
        assert row["pixel_sha256"] == hashlib.sha256(b"RGB 36 x 40\n" + image.tobytes()).hexdigest()
        width, height = row["resize"]
        left, top = row["crop"]
        placed = image.resize((width, height), Image.Resampling.LANCZOS)
        box = (left, top, left + row["bucket"][0], top + row["bucket"][1])
        assert row["prepared_sha256"] == pixels_sha256(placed.crop(box))
    assert [row["heldout"] for row in cold.values()].count(True) == 1


def test_many_cached_images_are_not_decoded(run_spec, painted_spec, paint, monkeypatch):
    """Of files that changed just now, beyond the thumbnails, pixels are not looked at when latents are known; the manifest is the same."""
    for number in range(4, 27):
        paint(number)
    tame = ("--set", "optimizer.growth_rate=1.02")  # 54 steps of d without a limit end in infinity, or do not, by the last bit
    cold = rows(run_spec(painted_spec, *tame, folder="cold"))
    decoded = []
    from loraspec.engine import look

    whole = look.decode
    monkeypatch.setattr(look, "decode", lambda data: decoded.append(1) or whole(data))

    assert rows(run_spec(painted_spec, *tame, folder="warm")) == cold
    assert len(decoded) == look.THUMBNAILS < len(cold)


def test_held_out_pictures_have_thumbnails_of_their_own(run_spec, painted_spec, paint, monkeypatch):
    """However many are trained on; the first of each set, cold and warm."""
    from loraspec.engine import look

    for number in range(4, 9):
        paint(number)
    monkeypatch.setattr(look, "THUMBNAILS", 2)
    monkeypatch.setattr(look, "HELDOUT", 3)
    for folder in ("cold", "warm"):
        found = run_spec(painted_spec, "--set", "grid.heldout=4", folder=folder)
        shown = {key: row["heldout"] for key, row in rows(found).items() if row["thumb"]}
        assert sorted(shown.values()) == [False] * 2 + [True] * 3
        names = {rows(found)[key]["thumb"] for key in shown}
        assert {path.name for path in (found.folder / "grid" / "thumbs").iterdir()} >= names


def test_a_second_run_opens_no_image(run_spec, painted_spec, paint, monkeypatch):
    """Files that did not change, held-out ones too: the same manifest, thumbnails and weights; ``--rehash`` opens each; an edit its own."""
    monkeypatch.setattr(known, "RACY", -(10**18))  # the pictures were painted just now
    words = ("--set", "run.name=same", "--set", "grid.heldout=1")
    cold = run_spec(painted_spec, *words, folder="cold")
    opened, whole = [], Path.open

    def watched(path, *given, **named):
        opened.extend([path.name] * (path.suffix == ".png" and path.parent.name == "pictures"))
        return whole(path, *given, **named)

    monkeypatch.setattr(Path, "open", watched)
    read = os.open
    monkeypatch.setattr(os, "open", lambda path, *given, **named: opened.extend(
        [Path(path).name] * (Path(path).parent.name == "pictures" and str(path).endswith(".png"))) or read(path, *given, **named))
    warm = run_spec(painted_spec, *words, folder="warm")
    assert rows(warm) == rows(cold)
    assert opened == []
    thumbs = [{path.name: path.read_bytes() for path in (one.folder / "grid" / "thumbs").iterdir()} for one in (cold, warm)]
    assert thumbs[0] == thumbs[1] != {}
    assert [one.read_bytes() for one in warm.epoch_files] == [one.read_bytes() for one in cold.epoch_files]

    again = run_spec(painted_spec, *words, "--rehash", folder="again")
    assert rows(again) == rows(cold)
    assert set(opened) == {f"{number}.png" for number in range(4)}
    opened.clear()
    paint(2, seed=99)
    rows(run_spec(painted_spec, *words, folder="edited"))
    assert set(opened) == {"2.png"}


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_workers_change_nothing(run_spec, painted_spec, workers):
    """Cold, with 0 to 4 threads decoding ahead: the same manifest and the same epoch files as a run with none."""
    words = ("--set", "run.name=same")
    alone = run_spec(painted_spec, *words, folder="alone")
    for file in files(cache_root()):
        file.path.unlink()
    ahead = run_spec(painted_spec, *words, "--set", f"train.workers={workers}", folder="ahead")

    assert rows(ahead) == rows(alone)
    for one, other in zip(ahead.epoch_files, alone.epoch_files, strict=True):
        left, right = read_tensors(one)[0], read_tensors(other)[0]
        assert all(left[name].equal(right[name]) for name in left)


@pytest.mark.parametrize("workers", [0, 2])
def test_image_that_changed_since_the_plan_is_named(run_spec, painted_spec, paint, monkeypatch, workers):
    """The bytes that are decoded are those that were hashed for plan and lock."""
    monkeypatch.setattr(TinyFamily, "load", lambda self, context, *, precision: paint(2, seed=77))
    outcome = run_spec(painted_spec, "--set", f"train.workers={workers}")

    outcome.assert_failed(2, "2.png  changed while the run was being prepared")
    assert "[E-DATA-DRIFT]" in outcome.err
    assert "1.png" not in outcome.err


def encoding(monkeypatch, change):
    """Let the tiny VAE give ``change(number of the call, mean, std)``."""
    calls, whole = [], TinyFamily.encode_images

    def encode(self, pixels):
        calls.append(1)
        return change(len(calls), *whole(self, pixels))

    monkeypatch.setattr(TinyFamily, "encode_images", encode)


@pytest.mark.parametrize(("part", "value"), [(0, "nan"), (0, "inf"), (1, "-inf"), (1, "nan")])
def test_latents_that_are_not_finite_name_their_images(run_spec, painted_spec, monkeypatch, part, value):
    """All of them, with what to change; nothing is replaced, nothing of them is kept, no step is made."""
    def change(number, *parts):
        if number in (2, 4):
            parts[part][0, 1, 2, 3] = float(value)
        return parts

    encoding(monkeypatch, change)
    outcome = run_spec(painted_spec)

    outcome.assert_failed(1, "2 of 4 images have latents that are not finite: 1.png, 3.png  [E-LATENT-NONFINITE]")
    assert "float32" in outcome.err
    assert len(list(files(cache_root()))) == 2
    assert not outcome.epoch_files


@pytest.mark.parametrize("value", [0.0, 1.25])
def test_flat_latents_name_their_image(run_spec, painted_spec, paint, told, value):
    """A picture of one colour is trained on, and told: on a warm cache too."""
    paint(1, colour=round(127.5 * (1 + value / 2)))
    for folder in ("cold", "warm"):
        outcome = run_spec(painted_spec, folder=folder)
        outcome.assert_success()
        assert "1 image has the same latent everywhere (one colour?): 1.png [W-LATENT-FLAT]" in told(outcome)


def test_out_of_memory_in_the_vae_says_what_was_done(run_spec, painted_spec, monkeypatch, cache_counts):
    """Image, size, device and what to change; the latents before it are kept for the next start."""
    def change(number, *parts):
        if number == 3 and not enough:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB")
        return parts

    enough = []
    encoding(monkeypatch, change)
    outcome = run_spec(painted_spec)
    outcome.assert_failed(1, "2.png: out of memory while the VAE encoded it (")
    assert "[E-RUN-OOM]" in outcome.err
    assert "data.resolution" in outcome.err

    enough.append("memory")
    assert cache_counts(run_spec(painted_spec))["latents"] == (2, 2)


def test_transform_that_fails_names_image_and_error(run_spec, painted_spec, tmp_path):
    """A plugin's bug is told with the image that it met, from a worker too."""
    (tmp_path / "broken.py").write_text('''
from attrs import define, frozen
from loraspec import Component, hookimpl

@frozen
class Options:
    """None."""

@define(eq=False)
class Broken:
    """Fails on one image."""
    options: Options

    def size(self, width, height):
        return width, height

    def __call__(self, image, *, sample):
        if sample.key == "2.png":
            raise KeyError("colour")
        return image

@hookimpl
def loraspec_register_image_transform():
    """Offer it."""
    return [Component("broken", Options, Broken)]
''')
    text = painted_spec.read_text().replace("loraspec = 1\n", 'loraspec = 1\nplugins = ["broken.py"]\n')
    painted_spec.write_text(text + '\n[[data.transforms]]\nuse = "broken"\n')

    run_spec(painted_spec, "--set", "train.workers=2").assert_failed(1, "2.png: an image transform failed: KeyError: 'colour'")


def test_image_that_decodes_to_other_pixels_is_encoded_again(run_spec, painted_spec, monkeypatch, cache_counts, told):
    """Should a decoder change without saying so, it is noticed where pixels are looked at, and told."""
    run_spec(painted_spec, folder="before").assert_success()
    from PIL import ImageOps

    from loraspec.engine import look

    whole = look.decode
    monkeypatch.setattr(look, "decode", lambda data: ImageOps.invert(whole(data)))
    outcome = run_spec(painted_spec, folder="after")

    assert cache_counts(outcome)["latents"] == (0, 4)
    assert "0.png (decodes to other pixels now)" in told(outcome)
    assert cache_counts(run_spec(painted_spec, folder="again"))["latents"] == (4, 0)
