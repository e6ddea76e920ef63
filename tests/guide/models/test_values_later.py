"""VAE and text encoders of files that are known get their values when they are needed: a warm start reads the U-Net alone."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from loraspec_guide.models import loading
from loraspec_guide.models.registry import MODEL_FAMILIES

from loraspec import known
from loraspec.digests import file_digest
from loraspec.engine.run import Run
from loraspec.errors import SpecError
from loraspec.randomness import rng_of
from loraspec.values import Context, Picture, Precision, Sampling

COMPONENTS = {component.name: component for component in MODEL_FAMILIES}
CPU = Precision(device=torch.device("cpu"), weights=torch.float32, compute=None)
BF16 = Precision(device=torch.device("cpu"), weights=torch.bfloat16, compute=None)


pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(params=["sdxl-small", "sd15-small"])
def load(request, tmp_path, tiny_folder, monkeypatch):
    """Load a family from a folder whose files count as settled and are hashed, as the lock does: ``load(precision) -> family``."""
    monkeypatch.setattr(known, "RACY", -(10**18))
    shutil.copytree(tiny_folder(request.param), tmp_path / "tiny")
    for file in (tmp_path / "tiny").rglob("*.safetensors"):
        file_digest(file)

    def made(precision=CPU):
        component = COMPONENTS[request.param.split("-")[0]]
        family = component.build(component.options(checkpoint="tiny"))
        family.load(Context(tmp_path, rng_of(0), lambda hook: []), precision=precision)
        return family

    return made


def without_values(family):
    """Names of the parts that have no values yet."""
    parts = {"unet": family.denoiser, "vae": family.vae, **family.text_encoders}
    return {name for name, module in parts.items() if any(one.is_meta for one in module.parameters())}


def test_the_first_start_reads_all_and_the_second_what_it_uses(load):
    """The digests are the same, and so is every bit that comes out."""
    first, second = load(), load()
    texts = set(first.text_encoders)
    assert without_values(first) == set()
    assert without_values(second) == {"vae", *texts}
    assert second.content() == first.content()

    tokens = torch.from_numpy(second.tokenize(["a boat, red"]))
    for one, other in zip(first.encode_tokens(tokens).values(), second.encode_tokens(tokens).values(), strict=True):
        assert torch.equal(one, other)
    assert without_values(second) == {"vae"}
    picture = torch.linspace(-1, 1, 3 * 32 * 32).view(1, 3, 32, 32)
    assert all(torch.equal(one, other) for one, other in zip(first.encode_images(picture), second.encode_images(picture), strict=True))
    assert without_values(second) == set()


def test_pictures_are_the_same(load):
    """Drawing gives every part its values first: with none of them before, the pictures have the same bits."""
    first, second = load(), load()
    [one], [other] = (family.generate([Picture("a boat", 5)], sampling=Sampling("euler", 2, 5.0, 64, 64)) for family in (first, second))

    assert np.array_equal(np.asarray(one), np.asarray(other))
    assert not any(weight.requires_grad for module in (second.vae, *second.text_encoders.values()) for weight in module.parameters())


@pytest.mark.parametrize("part", ["vae", "text_encoders"])
def test_a_part_that_is_placed_has_its_values(load, part):
    """What adapts or moves a part places it; dtype and everything else that it shows before is as after."""
    load(BF16)
    family = load(BF16)
    modules = [family.vae] if part == "vae" else list(family.text_encoders.values())
    before = [[(name, one.dtype, one.shape) for name, one in module.named_parameters()] for module in modules]
    family.place(part, device=torch.device("cpu"))

    assert [[(name, one.dtype, one.shape) for name, one in module.named_parameters()] for module in modules] == before
    assert not any(one.is_meta for module in modules for one in (*module.parameters(), *module.buffers()))


def test_files_that_change_in_between_are_told(load, tmp_path):
    """The digest that the run has written down is that of the values it works with."""
    load()
    family = load()
    [file] = (tmp_path / "tiny/vae").glob("*.safetensors")
    with file.open("r+b") as opened:  # in place: the header stays
        opened.seek(-2, 2)
        opened.write(b"\x3f\x3f")

    with pytest.raises(SpecError, match=r"files of its vae .* changed while") as error:
        family.place("vae", device=torch.device("cpu"))
    assert [problem.code for problem in error.value.problems] == ["E-MODEL-DRIFT"]


def test_a_warm_run_reads_neither_vae_nor_text_encoders(load, tmp_path, run_spec, monkeypatch):
    """Latents and embeddings come from the cache; with other words the encoders are read, and still no VAE."""
    filled, before_steps = [], []
    real, after_step = loading.fill, Run.after_step
    monkeypatch.setattr(loading, "fill", lambda part, *given, **named: filled.append(part) or real(part, *given, **named))
    monkeypatch.setattr(Run, "after_step", lambda run, *one, **named: before_steps.append(set(filled)) or after_step(run, *one, **named))
    shape = "sdxl" if (tmp_path / "tiny/text_encoder_2").is_dir() else "sd15"

    def run(name, keep=1):
        text = SPEC.format(name=name, shape=shape, tiny=Path(tmp_path / "tiny").name, keep=keep)
        filled.clear()
        run_spec(text, folder=name).assert_success()
        return before_steps[-1]

    texts = {"text_encoder", "text_encoder_2"} if shape == "sdxl" else {"text_encoder"}
    assert run("cold") == {"unet", "vae", *texts}
    assert run("warm") == {"unet"}
    assert run("other", keep=0) == {"unet", *texts}


SPEC = """\
loraspec = 1
evaluators = []
[run]
name = "{name}"
[model]
use = "{shape}"
checkpoint = "{tiny}"
[data]
resolution = 64
buckets = {{ step = 64, min = 64, max = 64 }}
expect = {{ images = [1, 99], min_side = 16 }}
[[data.sources]]
use = "picturebook"
images = 4
[[captions.transforms]]
use = "shuffle"
keep = {keep}
[adapter]
rank = 2
[train]
epochs = 1
mixed_precision = "no"
device = "cpu"
[grid]
heldout = 0
"""
