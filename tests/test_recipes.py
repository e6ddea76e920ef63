"""What entries are made of: each part decides the name, and nothing else does."""

from __future__ import annotations

import pytest
from PIL import features

from loraspec import recipes
from loraspec.recipes import Recipe, computed_by, differing, embedding_common, embedding_recipe, latent_common, latent_recipe
from loraspec.testing import TINY_SPEC
from loraspec.values import Placement

DEVICE = {"device": "cpu", "name": "AVX2", "threads": 1, "torch": "2.9", "cuda": "", "cudnn": "", "allow_tf32": False,
          "deterministic": False}  # fmt: skip
PLACE = Placement(64, 32, (70, 40), (3, 4), (140, 80))


def latent(image="a" * 64, placement=PLACE, **changes):
    """Return the recipe of an image's latents."""
    common = latent_common(**({"vae": "b" * 64, "transforms": [], "device": DEVICE} | changes))
    return latent_recipe(common, image=image, placement=placement)


LATENTS = [
    ("image", {"image": "c" * 64}),
    ("vae", {"vae": "d" * 64}),
    ("bucket", {"placement": Placement(32, 32, (70, 40), (3, 4), (140, 80))}),
    ("resize", {"placement": Placement(64, 32, (71, 40), (3, 4), (140, 80))}),
    ("crop", {"placement": Placement(64, 32, (70, 40), (4, 4), (140, 80))}),
    ("torch", {"device": DEVICE | {"torch": "3.0"}}),
    ("kernels", {"device": DEVICE | {"threads": 2}}),
    ("kernels", {"device": DEVICE | {"name": "AVX512"}}),
    ("kernels", {"device": DEVICE | {"deterministic": True}}),
]


@pytest.mark.parametrize(("part", "change"), LATENTS)
def test_each_part_of_latents_names_another_entry(part, change):
    """One change, one part, another key; the same again, the same key."""
    assert latent().key == latent().key != latent(**change).key
    assert differing(latent().parts, latent(**change).parts) == [part]


CODECS = [("libjpeg_turbo", "libjpeg"), ("zlib_ng", "zlib"), ("webp", "libwebp"), ("littlecms2", "lcms")]


@pytest.mark.parametrize(("feature", "part"), CODECS)
def test_codecs_of_pillow_are_parts(monkeypatch, feature, part):
    """Another library below Pillow may decode to other pixels."""
    before, version = latent(), features.version
    monkeypatch.setattr(features, "check", lambda name: True)
    monkeypatch.setattr(features, "version", lambda name: "99" if name == feature else version(name))
    recipes.decoders.cache_clear()
    after = latent()
    recipes.decoders.cache_clear()

    assert differing(before.parts, after.parts) == [part]


def test_original_size_is_no_part():
    """It conditions the denoiser and leaves the latents alone."""
    assert latent(placement=Placement(64, 32, (70, 40), (3, 4), (280, 160))).key == latent().key


def test_transforms_count_with_version_and_options(make_plan, tmp_path, tiny_plugin):
    """A plugin file is known by its content."""
    source = '''
from attrs import define, frozen
from loraspec import Component, hookimpl, option

@frozen
class Options:
    """Options."""
    strength: int = option(default=1, help="Strength.")

@define(eq=False)
class Nothing:
    """Changes nothing."""
    options: Options

@hookimpl
def loraspec_register_image_transform():
    """Offer it."""
    return [Component("nothing", Options, Nothing)]
'''
    spec = TINY_SPEC.replace("[run]", 'plugins = ["nothing.py"]\n[run]') + '\n[[data.transforms]]\nuse = "nothing"\n'

    def parts(text, options=""):
        (tmp_path / "nothing.py").write_text(text)
        return latent(transforms=make_plan(spec + options).many("image_transform")).parts

    first = parts(source)
    assert "nothing:nothing" in first["transforms"]
    for other in (parts(source, "strength = 2\n"), parts(source + "\n")):
        assert differing(first, other) == ["transforms"]


def test_embeddings_are_known_by_tokens_encoders_and_rows():
    """The number of prompts encoded at once is a part: another number rounds differently."""
    given = {"text_encoders": "e" * 64, "batch": 64, "dtype": "float32", "device": DEVICE}
    first = embedding_recipe(embedding_common(**given), b"12345678", (1, 1))
    assert differing(first.parts, embedding_recipe(embedding_common(**given), b"12345679", (1, 1)).parts) == ["tokens"]
    assert differing(first.parts, embedding_recipe(embedding_common(**given), b"12345678", (1, 1, 1)).parts) == ["tokens"]
    for name, value, part in (("text_encoders", "f" * 64, "text encoders"), ("batch", 32, "batch"), ("dtype", "bfloat16", "dtype")):
        other = embedding_recipe(embedding_common(**given | {name: value}), b"12345678", (1, 1))
        assert differing(first.parts, other.parts) == [part]


def test_kernels_of_a_gpu():
    """Name, CUDA, cuDNN and TF32 count; the number of CPU threads does not."""
    gpu = DEVICE | {"device": "cuda", "name": "GPU 9", "cuda": "13.0", "cudnn": "91000", "allow_tf32": True, "threads": 7}

    assert computed_by(gpu) == {"torch": "2.9", "device": "cuda", "kernels": "GPU 9, cuda 13.0, cudnn 91000, TF32"}
    assert computed_by(gpu | {"threads": 8}) == computed_by(gpu)


def test_names_of_parts_do_not_run_together():
    """A table is hashed as a whole."""
    assert Recipe({"kind": "latents"}, {"a": "b", "c": "d"}).key != Recipe({"kind": "latents"}, {"a": 'b", "c":"d'}).key
    assert Recipe({"kind": "latents"}, {"a": 1}).key != Recipe({"kind": "latents"}, {"a": "1"}).key
