"""The tokenizer, the captions, the trainer and the models' shapes."""

import json
from functools import partial

import pytest
import torch
from loraspec_picturebook import models, words
from loraspec_picturebook.captions import training_caption
from loraspec_picturebook.probe import LABELS, labels_of, network, read
from loraspec_picturebook.sets import set_scenes, style_caption
from loraspec_picturebook.styles import STYLES
from loraspec_picturebook.train_unet import Denoising, fresh_modules, training_scene
from loraspec_picturebook.train_vae import batch, loss_of
from loraspec_picturebook.train_vae import train as train_vae
from loraspec_picturebook.training import Trainer, learning_rate, place, run_together, share
from loraspec_picturebook.truth import held_out
from loraspec_picturebook.world import caption, draw, generator, sample_scene
from safetensors.torch import load_file
from torch import nn


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    words.write_tokenizer(folder)
    return words.load_tokenizer(folder)


def test_the_worlds_words_are_one_token_each(tokenizer):
    """As many tokens as words and commas, for every kind of caption."""
    texts = [caption(sample_scene(generator(1, index))) for index in range(50)]
    texts += [style_caption(scene, style) for style in STYLES.values() for scene in set_scenes(20)]
    texts += ["red cat, emoji, black outline, stained glass, engraving"]
    for text in texts:
        ids = tokenizer(text).input_ids
        assert len(ids) - 2 == len(text.replace(",", " ,").split()), text
        assert len(ids) <= models.MAX_TOKENS


def test_any_text_has_tokens(tokenizer):
    """Unknown words fall apart into known pieces; none becomes the unknown mark."""
    for text in ("zyxwv 42", "ñandú", "☺ 猫"):
        inner = tokenizer(text).input_ids[1:-1]
        assert inner
        assert tokenizer.eos_token_id not in inner


def test_tokenizer_is_written_the_same_every_time(tmp_path):
    """Merges have one order."""
    for name in ("a", "b"):
        words.write_tokenizer(tmp_path / name)
    for file in ("vocab.json", "merges.txt", "tokenizer_config.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_training_captions_keep_subject_and_colour():
    """Whatever is dropped or shuffled: a caption that is not empty names subject and colour, the subject first."""
    empty = 0
    for index in range(400):
        scene = training_scene(5, index)
        text = training_caption(scene, generator(5, 1, index))
        empty += not text
        if text:
            assert scene.subject in text.split(", ")[0]
            assert scene.colour in text
    assert 20 < empty < 65


def test_training_scenes_are_not_held_out():
    """The base never trains on a scene of the ground truth."""
    assert not {training_scene(1, index).texture for index in range(500)} & {scene.texture for scene in held_out(200)}


def test_learning_rate_rises_holds_and_falls():
    """Warm-up, plateau, linear fall."""
    rates = [learning_rate(step, 1000, peak=1.0, warmup=100) for step in (0, 99, 500, 699, 850, 999)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[1:4] == [1.0, 1.0, 1.0]
    assert rates[4] == pytest.approx(0.5)
    assert rates[5] == pytest.approx(0.02)


def small():
    """A linear layer with the same weights every time."""
    return models.fresh(3, lambda: nn.Linear(4, 4))


def advance(trainer, layer, steps):
    for _ in range(steps):
        seen = torch.randn(8, 4, generator=torch.Generator().manual_seed(trainer.step))
        trainer.update((layer(seen) - seen).square().mean(), lr=0.01)


def test_a_resumed_training_equals_one_that_never_stopped(tmp_path):
    """Weights, averages and moments all come back."""
    straight = small()
    whole = Trainer({"layer": straight}, tmp_path / "whole", name="t")
    advance(whole, straight, 20)
    first = small()
    half = Trainer({"layer": first}, tmp_path / "half", name="t")
    advance(half, first, 9)
    half.save()
    second = small()
    resumed = Trainer({"layer": second}, tmp_path / "half", name="t")
    assert resumed.restore()
    assert resumed.step == 9
    advance(resumed, second, 11)
    assert torch.equal(straight.weight, second.weight)
    assert torch.equal(whole.averaged["layer.weight"], resumed.averaged["layer.weight"])


def test_shares_cover_the_batch():
    """Alone a process has the whole batch."""
    assert place() == (0, 1)
    assert list(range(10))[share(10)] == list(range(10))


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(tmp_path):
    """Averaged gradients of both halves are the gradient of the whole batch, up to rounding."""
    weights = []
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        run_together(partial(train_vae, folder, steps=2, size=4), processes, folder)
        weights.append(load_file(folder / "vae.safetensors"))
    key = "exp_avg/vae.decoder.conv_out.weight"
    assert torch.allclose(weights[0][key], weights[1][key], rtol=0.1, atol=0.02 * float(weights[0][key].abs().max()))
    assert len((tmp_path / "2" / "vae.jsonl").read_text().splitlines()) == 1


def test_restore_without_a_checkpoint_says_no(tmp_path):
    """A first run starts at step 0."""
    assert not Trainer({"layer": small()}, tmp_path, name="t").restore()


def test_log_is_json_lines(tmp_path):
    """One object a line, with step and seconds."""
    trainer = Trainer({"layer": small()}, tmp_path, name="t")
    trainer.log(loss=0.5)
    trainer.log(loss=0.25)
    lines = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in lines] == [0.5, 0.25]
    assert {"step", "seconds"} <= lines[0].keys()


def test_fresh_leaves_torchs_generator_alone():
    """Building a model consumes no random numbers of anybody else, and depends on its seed alone."""
    before = torch.random.get_rng_state()
    one, two = small(), small()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(one.weight, two.weight)


def test_autoencoder_shapes_and_loss():
    """64 px become 16 channels of 16 x 16, and a step has a finite gradient everywhere."""
    vae = models.fresh(1, models.autoencoder)
    pictures = batch(1, 0, 2)
    assert pictures.shape == (2, 3, 64, 64)
    assert pictures.abs().max() <= 1
    loss, numbers = loss_of(vae, pictures, torch.zeros(2, 16, 16, 16))
    loss.backward()
    assert numbers["mse"] > 0
    assert all(torch.isfinite(value.grad).all() for value in vae.parameters())
    assert batch(1, 0, 4, crop=32).shape == (4, 3, 32, 32)


def test_denoiser_learns_from_text(tmp_path):
    """One step in SDXL's form: the loss starts at the velocity's variance, and the text encoders get a gradient."""
    modules = fresh_modules(1, tmp_path)
    loss_of_step = Denoising(modules["unet"], modules["text_encoder"], modules["text_encoder_2"])
    made = torch.Generator().manual_seed(0)
    latents, noise = torch.randn(2, 2, 16, 16, 16, generator=made)
    tokens = torch.randint(0, 500, (2, models.MAX_TOKENS), generator=made)
    modules["unet"].conv_out.weight.data.normal_(0, 0.01, generator=made)
    for name, value in modules["unet"].named_parameters():
        if name.endswith("proj_out.weight"):
            value.data.normal_(0, 0.01, generator=made)
    loss = loss_of_step(latents, tokens, torch.ones(2), noise, torch.tensor([100, 900]))
    assert 0.8 < float(loss.detach()) < 1.3
    loss.backward()
    for name in ("text_encoder", "text_encoder_2"):
        grads = [value.grad for value in modules[name].parameters() if value.grad is not None]
        assert sum(float(grad.abs().sum()) for grad in grads) > 0, name


def test_zeroed_prompts_ignore_the_tokens(tmp_path):
    """keep = 0 stands for SDXL's zero embeddings of an empty negative prompt."""
    modules = fresh_modules(1, tmp_path)
    loss_of_step = Denoising(modules["unet"], modules["text_encoder"], modules["text_encoder_2"])
    latents, noise = torch.zeros(1, 16, 16, 16), torch.ones(1, 16, 16, 16)
    modules["unet"].conv_out.weight.data.fill_(0.01)
    losses = []
    for token in (5, 400):
        tokens = torch.full((1, models.MAX_TOKENS), token)
        losses.append(float(loss_of_step(latents, tokens, torch.zeros(1), noise, torch.tensor([500])).detach()))
    assert losses[0] == losses[1]


def test_probe_reads_one_word_of_each_kind():
    """An untrained probe already answers in the world's words."""
    scenes = held_out(3)
    found = read(models.fresh(1, network).eval(), [draw(scene) for scene in scenes])
    assert len(found) == 3
    for seen, scene in zip(found, scenes, strict=True):
        assert all(seen[what] in LABELS[what] for what in LABELS)
        assert [LABELS[what][i] for what, i in zip(LABELS, labels_of(scene), strict=True)] == [
            scene.subject,
            scene.colour,
            scene.setting,
        ]
