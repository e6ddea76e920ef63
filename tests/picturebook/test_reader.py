"""The reader tells what a picture shows, in looks that it was never shown, and learns it from the world's drawings."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from loraspec_picturebook import redrawn as redrawing
from loraspec_picturebook import train_reader as training_of_the_reader
from loraspec_picturebook.experiment.cases import STYLE_FILE, plugin_styles
from loraspec_picturebook.export import load_pipeline
from loraspec_picturebook.margin import SHARPNESS, PicturebookMargin, subject_of
from loraspec_picturebook.reader import WEIGHTS, Reader
from loraspec_picturebook.redrawn import gone_over, redrawn
from loraspec_picturebook.sets import set_scenes, style_caption
from loraspec_picturebook.styles import STYLES
from loraspec_picturebook.train_reader import POOL, disturbed, look, parts, scenes_of, textured, train, written
from loraspec_picturebook.truth import held_out, true_set
from loraspec_picturebook.vocabulary import SUBJECTS
from loraspec_picturebook.world import caption, draw, generator, plain
from PIL import Image

from loraspec.digests import file_sha256
from loraspec.metrics import Shown
from loraspec.testing import MetricSuite

EVERY = [*STYLES.values(), *plugin_styles(Path(__file__).parents[2] / STYLE_FILE)]


def _pixels(pictures):
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255


def _right(reader: Reader, pictures, scenes) -> float:
    """Share of pictures whose subject the reader names."""
    return float(np.mean([seen == scene.subject for seen, scene in zip(reader.named(pictures), scenes, strict=True)]))


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader.load()


def test_names_subjects_of_the_world(reader: Reader) -> None:
    """Drawings that it was not trained on, in all manners of the base's world."""
    scenes = held_out(128, seed=9)
    assert _right(reader, [draw(scene) for scene in scenes], scenes) > 0.95


@pytest.mark.parametrize("style", EVERY, ids=lambda style: style.name)
def test_names_subjects_in_styles_it_never_saw(reader: Reader, style) -> None:
    """Five styles, of which no picture was in its training."""
    scenes = held_out(128, seed=9)
    assert _right(reader, true_set(scenes, style), scenes) > 0.9


def test_own_caption_fits_best(reader: Reader) -> None:
    """Among eight captions of one style, words of the style included."""
    style, scenes = EVERY[-1], held_out(64, seed=3)
    with torch.inference_mode():
        seen = reader.pictures(_pixels(true_set(scenes, style)))
        told = reader.texts([style_caption(scene, style) for scene in scenes])
    best = (seen.view(8, 8, -1) @ told.view(8, 8, -1).transpose(1, 2)).argmax(2)
    assert (best == torch.arange(8)).float().mean() > 0.85


def test_its_scenes_are_nobody_else_s() -> None:
    """None of those that it was trained on is a scene of the truth, or of a style set that a LoRA or the experiment uses."""
    own = {scene.texture for scene in scenes_of(POOL)}
    others = {scene.texture for seed in range(4) for scene in set_scenes(100, seed=seed)}
    assert not own & (others | {scene.texture for seed in range(104) for scene in held_out(16, seed=seed)})


def test_learns_from_drawings(tmp_path) -> None:
    """A few steps lower the loss, the weights are written, and the same seed gives the same ones."""
    told: list[float] = []
    small = {"steps": 30, "pool": 64, "over": 16, "batch": 32}
    first = train(tmp_path / "a.safetensors", **small, log=lambda step, loss, right: told.append(loss), every=1)
    train(tmp_path / "b.safetensors", **small)
    assert np.mean(told[-5:]) < 0.85 * np.mean(told[:5])
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    again = Reader.load(tmp_path / "a.safetensors")
    pixels = _pixels([draw(scene) for scene in held_out(4)])
    with torch.inference_mode():
        assert torch.allclose(first.pictures(pixels), again.pictures(pixels), atol=0.02)  # float16


def test_learns_to_name_subjects(tmp_path) -> None:
    """A few steps more and half of what it was shown has its subject named; by captions alone it was a third."""
    scenes = scenes_of(64)
    reader = train(tmp_path / "a.safetensors", steps=60, pool=64, over=16, batch=32)
    assert _right(reader, [draw(plain(scene)) for scene in scenes], scenes) > 0.45


def test_sharpness_is_what_calibrates_the_reader(reader: Reader) -> None:
    """On held-out drawings, half gone over by the base, no sharper and no softer probabilities are much nearer to what is shown."""
    scenes, rng = held_out(192, seed=12), generator(5, 5)
    drawn = [draw(plain(scene)) for scene in scenes]
    over = [disturbed(picture, rng) for picture in gone_over(parts(scenes[:96], drawn[:96], seed=12))]
    pixels = torch.from_numpy(np.stack([*over, *(look(picture, rng) for picture in drawn[96:])])).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        fits = reader.pictures(pixels) @ reader.texts([f"a {subject}" for subject in SUBJECTS]).T
    right = torch.tensor([SUBJECTS.index(scene.subject) for scene in scenes])
    softer, ours, sharper = (float(torch.nn.functional.cross_entropy(fits * SHARPNESS * by, right)) for by in (0.6, 1, 1.7))
    assert ours < 0.25
    assert ours < softer
    assert ours < sharper + 0.02


def test_textures_come_as_negatives_and_in_other_colours(monkeypatch) -> None:
    """A generic texture is asked for ink where there is light, too, and its colours may change once more."""
    asked: list[float] = []
    monkeypatch.setattr(training_of_the_reader, "restyled", lambda picture, rng: asked.append(picture.mean()) or picture)
    white, rng = np.full((64, 64, 3), 255, np.uint8), generator(8)
    seen = [textured(white, rng) for _ in range(200)]
    assert 0.15 < np.mean([mean == 0 for mean in asked]) < 0.35
    assert 0.2 < np.mean([0.02 < picture.mean() < 0.98 for picture in seen]) < 0.6


def test_looks_keep_what_is_shown() -> None:
    """A look is a picture of the same size in 0..1, and differs from call to call."""
    plain = draw(held_out(1)[0])
    rng = generator(1)
    one, other = look(plain, rng), look(plain, rng)
    assert (one.shape, one.dtype) == (plain.shape, np.float32)
    assert one.min() >= 0
    assert one.max() <= 1
    assert np.abs(one - other).mean() > 0.01


def test_gone_over_keeps_what_is_shown() -> None:
    """Another picture that resembles its own before more than that of any other scene, in 0..1; the same stream gives the same one."""
    scenes = scenes_of(6, seed=5)
    plain = [draw(scene) / np.float32(255) for scene in scenes]
    pipeline, texts = load_pipeline(), [caption(scene) for scene in scenes]
    one, again, other = (np.stack(redrawn(pipeline, plain, texts, generator(seed))) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert (one.shape, one.min() >= 0, one.max() <= 1) == ((6, 64, 64, 3), True, True)
    away = np.abs(one[:, None] - np.stack(plain)[None]).mean((2, 3, 4))
    assert (away.argmin(1) == np.arange(6)).all()
    assert (away.diagonal() > 0.01).all()
    assert away.diagonal().mean() < 0.08  # noise that nobody took out would be twice as far


def test_late_times_need_the_caption(monkeypatch) -> None:
    """What is denoised without its caption was noised less: it has to go on showing what it did."""
    seen: list[tuple[str, float]] = []

    def noted(pipeline, clean, noise, times, texts):
        seen.extend(zip(texts, times.tolist(), strict=True))
        return clean, noise

    monkeypatch.setattr(redrawing, "_denoised", noted)
    monkeypatch.setattr(redrawing, "HOPS", 1)
    pipeline, scenes = load_pipeline(), scenes_of(24)
    redrawn(pipeline, [draw(scene) / np.float32(255) for scene in scenes], ["a cat"] * 24, generator(3))
    without = [time for text, time in seen if not text]
    assert 6 <= len(without) <= 18
    assert max(without) <= redrawing.UNTOLD < max(time for _, time in seen) <= redrawing.TOLD
    assert min(time for _, time in seen) >= redrawing.EARLIEST


def test_captions_have_words_around_them() -> None:
    """The scene's own caption is inside, whatever stands in front and behind."""
    scene, rng = held_out(1)[0], generator(2)
    texts = [written(scene, rng) for _ in range(40)]
    own = {caption(scene, manner="", size=size, coat=coat) for size in (True, False) for coat in ("in", "apart")}
    assert all(any(text in said for text in own) for said in texts)
    assert len(set(texts)) > 20


class TestPicturebookMargin(MetricSuite):
    """Prompt by the reader."""

    use = "picturebook-margin"
    tolerance = 0.0


@pytest.mark.parametrize(
    ("prompt", "subject"),
    [
        ("caricature of small man in a green coat, city street", "a man"),
        ("red boat", "a boat"),
        ("print of a lighthouse, house", "print of a lighthouse"),
        ("a cat in a boat, two trees", "a cat in a boat"),
        ("", ""),
    ],
)
def test_subject_of_a_prompt(prompt: str, subject: str) -> None:
    """The first descriptor names it; what names none of the world's, or two, stands for itself."""
    assert subject_of(prompt) == subject


def test_style_takes_nothing_from_a_subject_that_is_there() -> None:
    """Colour and setting are gone in an engraving; the probability of the subject stays, as a drawing's, and that of another is near 0."""
    scenes = held_out(64, seed=11)
    metric = PicturebookMargin()
    metric.prepare(SimpleNamespace(prompts=("a teapot", "a sphinx")))
    found = {}
    for name, pictures in {"drawn": [draw(scene) for scene in scenes], "engraved": true_set(scenes, STYLES["engraving"])}.items():
        found[name] = metric.values([Shown(Image.fromarray(one), caption(scene)) for one, scene in zip(pictures, scenes, strict=True)])
    assert found["drawn"][:, -1].mean() > 0.9
    assert found["engraved"][:, -1].mean() > 0.8 * found["drawn"][:, -1].mean()
    other = np.array([scene.subject != "teapot" for scene in scenes])
    assert found["drawn"][other, 0].mean() < 0.05
    assert found["drawn"][:, 1].mean() < 0.3  # a subject of another world
    assert found["drawn"].min() >= 0
    assert found["drawn"].max() <= 1


def test_margin_sees_a_lost_subject() -> None:
    """True pictures of another prompt fit theirs worse than their own."""
    style, scenes = EVERY[0], held_out(8, seed=4)
    prompts = [style_caption(scene, style) for scene in scenes]

    metric = PicturebookMargin()
    metric.prepare(SimpleNamespace(prompts=tuple(prompts)))
    images = [Image.fromarray(picture) for picture in true_set(scenes, style)]
    right = metric.values([Shown(image, prompt) for image, prompt in zip(images, prompts, strict=True)])
    wrong = metric.values([Shown(image, prompt) for image, prompt in zip(images, prompts[1:] + prompts[:1], strict=True)])
    assert metric.content() == file_sha256(WEIGHTS)
    assert right.shape == (8, 9)
    assert (right[:, -1] > wrong[:, -1] + 0.2).mean() > 0.8
    assert WEIGHTS.stat().st_size < 3 * 2**20
