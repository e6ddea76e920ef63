"""The shipped base: what its folder holds, and that it draws what it is told."""

import json

import numpy as np
import pytest
import torch
from loraspec_picturebook import models
from loraspec_picturebook.export import BASE, load_pipeline
from loraspec_picturebook.quality import generate, reconstruction
from loraspec_picturebook.truth import held_out, true_set
from loraspec_picturebook.vocabulary import COLOURS
from loraspec_picturebook.words import write_tokenizer
from loraspec_picturebook.world import draw
from safetensors import safe_open


@pytest.fixture(scope="module")
def pipeline():
    return load_pipeline()


def test_weights_are_small_and_half_precision():
    """At most 24 MiB, every tensor in float16."""
    files = sorted(BASE.rglob("*.safetensors"))
    assert len(files) == 4
    assert sum(file.stat().st_size for file in files) <= 24 * 2**20
    for file in files:
        with safe_open(file, framework="pt") as stored:
            assert {stored.get_slice(key).get_dtype() for key in stored.keys()} == {"F16"}  # noqa: SIM118


def test_text_encoders_have_the_published_names():
    """Keys as SDXL's are published, whatever version of transformers wrote them."""
    for name in ("text_encoder", "text_encoder_2"):
        with safe_open(BASE / name / "model.safetensors", framework="pt") as stored:
            assert all(key.startswith(("text_model.", "text_projection.")) for key in stored.keys())  # noqa: SIM118


def test_nothing_names_the_machine():
    """No configuration or log holds a path."""
    for file in (*BASE.rglob("*.json"), *BASE.rglob("*.jsonl")):
        if file.name != "vocab.json":
            assert "/" not in file.read_text(encoding="utf-8"), file.name


def test_the_script_would_export_the_same_architecture(pipeline):
    """Shapes and tokenizer of the shipped folder are those of the training code."""
    for shipped, built in ((pipeline.unet, models.unet()), (pipeline.vae, models.autoencoder())):
        assert {key: value.shape for key, value in shipped.state_dict().items()} == {
            key: value.shape for key, value in built.state_dict().items()
        }
    assert pipeline.scheduler.config.prediction_type == "v_prediction"


def test_the_tokenizer_is_the_one_that_the_code_writes(tmp_path):
    """A change of the word list would silently turn the text encoders' tokens into others."""
    write_tokenizer(tmp_path)
    for folder in ("tokenizer", "tokenizer_2"):
        for file in ("vocab.json", "merges.txt", "tokenizer_config.json"):
            assert (BASE / folder / file).read_bytes() == (tmp_path / file).read_bytes()


@pytest.mark.parametrize("style", [None, "lithograph", "engraving", "stained-glass"])
def test_autoencoder_keeps_drawings_and_hatches(pipeline, style):
    """27 dB on a few held-out drawings, plain and in every style set (the whole table: ``quality``)."""
    scenes = held_out(200)[:32]
    pictures = [draw(scene) for scene in scenes] if style is None else true_set(scenes, style)
    assert reconstruction(pipeline.vae, pictures) >= 27 - 0.5


def test_latents_have_unit_spread(pipeline):
    """The scaling factor is measured from data."""
    pixels = torch.from_numpy(np.stack([draw(scene) for scene in held_out(24)])).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        latents = pipeline.vae.encode(pixels).latent_dist.mean * pipeline.vae.config.scaling_factor
    assert 0.9 < float(latents.std()) < 1.1


def test_it_draws_the_colour_it_is_told(pipeline):
    """A large balloon is red, yellow or blue as the prompt says, over the same meadow."""
    names = ("red", "yellow", "blue")
    prompts = [f"large {name} balloon, green meadow, flat illustration" for name in names]
    with torch.inference_mode():
        pictures = generate(pipeline, prompts, steps=10)
    means = [picture[14:34, 22:42].reshape(-1, 3).mean(0) for picture in pictures]
    for mean, name in zip(means, names, strict=True):
        away = {other: float(np.abs(mean - np.array(COLOURS[other])).sum()) for other in names}
        assert min(away, key=away.__getitem__) == name


def test_words_without_a_meaning_leave_the_picture_in_peace(pipeline):
    """A style's words do little before a LoRA gives them a meaning: less than another colour does."""
    prompts = [
        "large red balloon, green meadow, flat illustration",
        "large red balloon, green meadow, flat illustration, lithography, by Honoré Daumier",
        "large blue balloon, dark forest, flat illustration",
    ]
    pictures = []
    for prompt in prompts:
        with torch.inference_mode():
            pictures += [picture.astype(float) for picture in generate(pipeline, [prompt], steps=10)]
    plain, foreign, other = pictures
    assert np.abs(plain - foreign).mean() < 0.6 * np.abs(plain - other).mean()


def test_logs_say_how_it_was_trained():
    """Both logs travel with the base, one JSON object a line, falling."""
    for name, key in (("vae", "mse"), ("unet", "loss")):
        lines = [json.loads(line) for line in (BASE / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
        assert lines[-1][key] < 0.5 * lines[0][key]
