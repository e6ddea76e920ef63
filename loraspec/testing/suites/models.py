"""The suite for ``model_family``, and the tiny base that other suites work on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest

from loraspec.contracts import ModelFamily
from loraspec.randomness import generator
from loraspec.testing.suites.base import SEED, ComponentSuite
from loraspec.testing.tiny import TinyOptions
from loraspec.values import Context, ModelFacts, Picture, Placement, Sampling

if TYPE_CHECKING:
    from torch import Tensor

    from loraspec.testing.tiny_model import TinyFamily


def on_cpu() -> Any:
    """Return the precision of the suites: float32 on the CPU."""
    import torch

    from loraspec.values import Precision

    return Precision(device=torch.device("cpu"), weights=torch.float32, compute=None)


def drawn(name: str, *shape: int) -> Tensor:
    """Return a normal float32 tensor that depends on its name and nothing else."""
    import torch

    return torch.from_numpy(generator(SEED, "suite", name).standard_normal(shape, dtype=np.float32))


def module_of(part: Any, name: str) -> Any:
    """Return the module that a target names; targets keep the ``text_model.`` of LoRA files, which transformers 5.6 dropped."""
    return part.get_submodule(name if hasattr(part, "text_model") else name.removeprefix("text_model."))


def tiny_base(context: Context) -> TinyFamily:
    """Return a loaded tiny family."""
    from loraspec.testing.tiny_model import TinyFamily

    family = TinyFamily(TinyOptions())
    family.load(context, precision=on_cpu())
    return family


def predict(family: Any, *, channels: int = 4, side: int = 4, prompts: tuple[str, ...] = ("a square", "a ground")) -> Tensor:
    """Return the family's prediction for fixed noise and prompts."""
    import torch

    tokens = torch.from_numpy(family.tokenize(list(prompts)))
    place = Placement(width=side * 8, height=side * 8, resize=(side * 8, side * 8), crop=(0, 0), original=(side * 8, side * 8))
    with torch.no_grad():
        conditioning = family.condition(family.encode_tokens(tokens), placements=[place] * len(prompts))
    prediction: Tensor = family.denoise(
        drawn("latents", len(prompts), channels, side, side), timesteps=torch.tensor([10, 500][: len(prompts)]), conditioning=conditioning
    )
    return prediction


class ModelFamilySuite(ComponentSuite):
    """``build(options)`` gives a ``ModelFamily``, ``facts(options, context=)`` its ``ModelFacts``.

    Override ``prepare`` to write a small checkpoint and return the options that name it.

    Attributes:
        side: Side of the latents to test with.
    """

    stage: ClassVar[str] = "model_family"
    side: ClassVar[int] = 8

    @pytest.fixture
    def facts(self, component: Any, made_options: Any, context: Context) -> ModelFacts:
        """What ``plan`` knows."""
        assert component.facts is not None
        facts = component.facts(made_options, context=context)
        assert isinstance(facts, ModelFacts)
        return facts

    @pytest.fixture
    def family(self, built: Any, context: Context) -> Any:
        """The family, loaded on the CPU in float32."""
        built.load(context, precision=on_cpu())
        return built

    def test_facts_name_real_modules(self, family: Any, facts: ModelFacts) -> None:
        """Every target is a module of the loaded model, with the width that ``plan`` counted with."""
        components = {"unet": family.denoiser, **family.text_encoders}
        for target in facts.targets:
            weight = module_of(components[target.component], target.name).weight
            expected = (target.out_features, target.in_features) + ((1, 1) if target.conv else ())
            assert tuple(weight.shape) == expected, target

    def test_the_base_is_frozen(self, family: Any) -> None:
        """Only an adapter trains."""
        assert isinstance(family, ModelFamily)
        parts = [family.denoiser, *family.text_encoders.values()]
        assert not [name for part in parts for name, weight in part.named_parameters() if weight.requires_grad]

    def test_images_become_latents(self, family: Any, facts: ModelFacts) -> None:
        """Mean and std are float32, of the stated size; std is not negative; the posterior does not depend on batch mates."""
        pixels = drawn("pixels", 2, 3, self.side * facts.latent_scale, self.side * facts.latent_scale).clamp(-1, 1)

        mean, std = family.encode_images(pixels)

        assert tuple(mean.shape) == tuple(std.shape) == (2, facts.latent_channels, self.side, self.side)
        assert str(mean.dtype) == str(std.dtype) == "torch.float32"
        assert bool((std >= 0).all())
        assert bool(mean.isfinite().all())
        alone = family.encode_images(pixels[1:])
        assert mean[1:].allclose(alone[0], rtol=1e-3, atol=1e-4)
        assert std[1:].allclose(alone[1], rtol=1e-3, atol=1e-4)

    def test_prompts_become_embeddings(self, family: Any, facts: ModelFacts) -> None:
        """Token ids are int64 ``[B, encoders, T]``; embeddings have the widths of the facts."""
        import torch

        tokens = family.tokenize(["a square", ""])

        assert tokens.dtype == np.int64
        assert tokens.shape[:2] == (2, len(facts.text_widths))
        encoded = family.encode_tokens(torch.from_numpy(tokens))
        assert encoded["embeds"].shape[0] == 2
        assert encoded["embeds"].shape[2] in (sum(facts.text_widths), *facts.text_widths)
        assert ("pooled" in encoded) == bool(facts.pooled_width)
        if facts.pooled_width:
            assert tuple(encoded["pooled"].shape) == (2, facts.pooled_width)
        assert family.count_tokens("one two three") > family.count_tokens("one") > family.count_tokens("") == 0

    def test_it_denoises(self, family: Any, facts: ModelFacts) -> None:
        """The prediction has the latents' shape, is finite, and depends on the prompt."""
        first = predict(family, channels=facts.latent_channels, side=self.side)
        other = predict(family, channels=facts.latent_channels, side=self.side, prompts=("two boats", "a man"))

        assert tuple(first.shape) == (2, facts.latent_channels, self.side, self.side)
        assert bool(first.isfinite().all())
        assert not first.equal(other)

    def test_content_is_hashed(self, family: Any) -> None:
        """Caches and the lock go by the sha256 of each part."""
        content = family.content()

        assert {"vae", "text_encoders", "denoiser"} <= set(content)
        assert all(re.fullmatch(r"[0-9a-f]{64}", value) for value in content.values())

    def test_pictures_follow_their_seeds(self, family: Any, facts: ModelFacts) -> None:
        """A picture depends on its own prompt and seed, not on its neighbours; the size is the one asked for."""
        size = self.side * facts.latent_scale
        sampling = Sampling("ddim", 2, 2.0, size, size)
        both = family.generate([Picture("a square", 1), Picture("a square", 2)], sampling=sampling)
        [alone] = family.generate([Picture("a square", 2)], sampling=sampling)

        assert [image.size for image in both] == [(size, size)] * 2
        assert all(image.mode == "RGB" for image in both)
        pixels = [np.asarray(image, dtype=int) for image in (*both, alone)]
        assert np.abs(pixels[0] - pixels[1]).max() > 0
        assert np.abs(pixels[1] - pixels[2]).max() <= 2
