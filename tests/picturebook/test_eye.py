"""The truth's eye: it learns the styles' subjects, and to say that there is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from loraspec_picturebook.experiment import eye
from loraspec_picturebook.sets import set_scenes
from loraspec_picturebook.styles import STYLES
from loraspec_picturebook.truth import held_out
from loraspec_picturebook.world import draw, generator, sample_scene

STYLE = [STYLES["engraving"]]


@pytest.fixture
def sharp(monkeypatch) -> None:
    """The base goes over nothing: it takes its time."""
    monkeypatch.setattr(eye, "_gone_over", lambda pictures, texts, stream: pictures)


@pytest.fixture
def shown(sharp, monkeypatch):
    found = eye.shown(STYLE, 96)
    monkeypatch.undo()
    return found


def test_some_pictures_have_no_subject(shown) -> None:
    """And those say so: their own scene with its subject in place is another picture."""
    pictures, answers = shown
    empty = [i for i, answer in enumerate(answers) if answer == eye.NOTHING]
    assert 4 <= len(empty) <= 24
    assert len(set(answers) - {eye.NOTHING}) > 10
    assert all(picture.shape == (64, 64, 3) and picture.dtype == np.uint8 for picture in pictures)
    assert not any(np.array_equal(pictures[i], draw(sample_scene(generator(eye.SCENES, i)))) for i in empty)


def test_every_other_one_is_gone_over(shown) -> None:
    """The first, the third and so on are another picture that still resembles it; the others are untouched; again the same."""
    pictures, answers = eye.shown(STYLE, 8)
    for place, (one, before) in enumerate(zip(pictures, shown[0], strict=False)):
        away = np.abs(one.astype(float) - before).mean()
        assert (2 < away < 70) if place % 2 == 0 else away == 0
    assert answers == shown[1][:8]
    again = eye.shown(STYLE, 8)[0]
    assert all(np.array_equal(one, other) for one, other in zip(pictures, again, strict=True))


def test_a_taken_out_subject_is_not_told(monkeypatch) -> None:
    """The base would draw it again: pictures without a subject are gone over without a caption."""
    told: list[str] = []
    monkeypatch.setattr(eye, "_gone_over", lambda pictures, texts, stream: told.extend(texts) or pictures)
    _, answers = eye.shown(STYLE, 96)
    assert [not text for text in told] == [answer == eye.NOTHING for answer in answers[::2]]
    assert all(answer in text for text, answer in zip(told, answers[::2], strict=True) if text)


def test_learns_and_keeps(tmp_path, monkeypatch, sharp) -> None:
    """A short training beats chance by far on unseen pictures; what is kept answers alike; the same call learns the same."""
    with monkeypatch.context() as one:
        one.setattr(eye, "NETWORKS", 1)
        trained = eye.train(STYLE, tmp_path / f"eye-{STYLE[0].name}.safetensors", count=1024, rounds=6)
        assert min(eye.accuracy(trained, STYLE, count=200)) > 0.4
        pictures = eye.shown(STYLE, 64, stream=eye.HELD_OUT)[0]
        assert eye.named(eye.load(tmp_path, STYLE), pictures) == eye.named(trained, pictures)
    once, twice = (eye.train(STYLE, tmp_path / name, count=64, rounds=1).state_dict() for name in "ab")
    assert all(torch.equal(once[key], twice[key]) for key in once)
    assert not torch.equal(once["0.0.weight"], once["1.0.weight"])


def test_its_scenes_are_nobody_else_s() -> None:
    """None of them is judged, or trained on by a case."""
    own = {sample_scene(generator(stream, index)).texture for stream in (eye.SCENES, eye.HELD_OUT) for index in range(2048)}
    others = {scene.texture for seed in range(3) for scene in set_scenes(100, seed=seed)}
    assert not own & (others | {scene.texture for seed in range(104) for scene in held_out(16, seed=seed)})
