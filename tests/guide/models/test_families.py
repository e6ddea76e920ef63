"""Families on tiny pipelines: the same numbers as diffusers' own loading, and nothing that a folder could smuggle in."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from loraspec_guide.models import hub
from loraspec_guide.models.registry import MODEL_FAMILIES

from loraspec.errors import EnvironmentMissing, SpecError
from loraspec.randomness import generator, rng_of
from loraspec.testing import ModelFamilySuite
from loraspec.testing.pipelines import build_tiny
from loraspec.values import Context, Picture, Placement, Precision, Sampling

COMPONENTS = {component.name: component for component in MODEL_FAMILIES}
CPU = Precision(torch.device("cpu"), torch.float32, None)
SHAPES = ["sdxl-small", "sd15-small"]


def context_of(folder: Path) -> Context:
    return Context(folder, rng_of(0), lambda hook: [])


def made(folder: Path, shape: str, precision: Precision = CPU, **options: Any) -> Any:
    component = COMPONENTS[shape.split("-")[0]]
    family = component.build(component.options(**({"checkpoint": "tiny"} | options)))
    family.load(context_of(folder), precision=precision)
    return family


def fresh(folder: Path, shape: str, sampler: str = "EulerAncestralDiscreteScheduler") -> Any:
    import diffusers

    kind = diffusers.StableDiffusionPipeline if shape == "sd15-small" else diffusers.StableDiffusionXLPipeline
    pipeline = kind.from_pretrained(str(folder), local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder, getattr(pipeline, "text_encoder_2", None)):
        for parameter in part.parameters() if part else ():
            parameter.data = parameter.data.clone()  # out of the mapped file, where some CPUs (AVX2) sum in another order
    pipeline.scheduler = getattr(diffusers, sampler).from_config(pipeline.scheduler.config)
    return pipeline


def pixels(image: Any) -> np.ndarray[Any, Any]:
    return np.asarray(image, dtype=int)


class _Suite(ModelFamilySuite):
    shape: ClassVar[str]

    @pytest.fixture
    def raw_options(self, tiny_folder: Callable[..., Path], tmp_path: Path) -> dict[str, Any]:
        """The shared folder, copied."""
        shutil.copytree(tiny_folder(self.shape), tmp_path / "tiny")
        return {"checkpoint": "tiny"}


class TestSdxl(_Suite):
    use = "sdxl"
    shape = "sdxl-small"


class TestSd15(_Suite):
    use = "sd15"
    shape = "sd15-small"


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest, tmp_path: Path, tiny_folder: Callable[..., Path]) -> str:
    """A shape, with a pipeline of it in the folder ``tiny``: a copy that the test may change."""
    shutil.copytree(tiny_folder(request.param), tmp_path / "tiny")
    return str(request.param)


@pytest.fixture
def family(shape: str, tiny_family: Callable[..., Any]) -> Any:
    """The family of this shape, shared: for tests that change nothing in it."""
    return tiny_family(shape)


@pytest.mark.parametrize(("name", "scheduler"), [("euler", "EulerDiscreteScheduler"), ("euler-a", "EulerAncestralDiscreteScheduler"),
                                                 ("ddim", "DDIMScheduler"), ("dpmpp-2m", "DPMSolverMultistepScheduler")])  # fmt: skip
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_images_are_those_of_a_fresh_pipeline(shape: str, family: Any, tmp_path: Path, name: str, scheduler: str) -> None:
    """A picture equals, to the bit, what a person gets from diffusers with this seed, sampler and negative prompt."""
    pipeline = fresh(tmp_path / "tiny", shape, scheduler)

    for picture in (Picture("a red boat", 480187136), Picture("a cat", 7, "a dog")):
        [ours] = family.generate([picture], sampling=Sampling(name, 3, 5.0, 64, 48))
        theirs = pipeline(picture.prompt, negative_prompt=picture.negative or None, num_inference_steps=3, guidance_scale=5.0, width=64,
                          height=48, generator=torch.Generator("cpu").manual_seed(picture.seed)).images[0]  # fmt: skip
        assert pixels(ours).std() > 5
        assert np.array_equal(pixels(ours), pixels(theirs))


@pytest.mark.parametrize("options", [{"clip_skip": 1}, {"prediction": "v_prediction"}])
def test_options_reach_the_images(shape: str, family: Any, tmp_path: Path, options: dict[str, Any]) -> None:
    """clip_skip and prediction do in images what diffusers' own arguments do."""
    changed, pipeline = made(tmp_path, shape, **options), fresh(tmp_path / "tiny", shape, "DDIMScheduler")
    if "prediction" in options:
        pipeline.scheduler = type(pipeline.scheduler).from_config(pipeline.scheduler.config, prediction_type="v_prediction")
    if not hasattr(pipeline.text_encoder, "text_model"):  # where SD 1.5's pipeline looks for the last norm
        object.__setattr__(pipeline.text_encoder, "text_model", pipeline.text_encoder)

    sampling = Sampling("ddim", 3, 1.0, 64, 64)  # without guidance: the other branch of the pipeline
    [ours], [other] = (one.generate([Picture("a boat", 1)], sampling=sampling) for one in (changed, family))
    theirs = pipeline("a boat", num_inference_steps=3, guidance_scale=1.0, width=64, height=64, clip_skip=options.get("clip_skip"),
                      generator=torch.Generator("cpu").manual_seed(1)).images[0]  # fmt: skip
    assert np.array_equal(pixels(ours), pixels(theirs))
    assert not np.array_equal(pixels(ours), pixels(other))


def test_training_is_conditioned_as_the_pipeline_is(shape: str, family: Any, tmp_path: Path) -> None:
    """Tokens, embeddings, pooled embedding and time ids of training equal what the pipeline gives the U-Net."""
    pipeline = fresh(tmp_path / "tiny", shape, "DDIMScheduler")
    seen: list[dict[str, Any]] = []
    forward = pipeline.unet.forward

    def spy(sample: Any, timestep: Any, encoder_hidden_states: Any, added_cond_kwargs: Any = None, **rest: Any) -> Any:
        seen.append({"noisy": sample, "t": timestep, "embeds": encoder_hidden_states, **(added_cond_kwargs or {})})
        result = forward(sample, timestep, encoder_hidden_states=encoder_hidden_states, added_cond_kwargs=added_cond_kwargs, **rest)
        seen[-1]["out"] = result[0]
        return result

    pipeline.unet.forward = spy
    size = {"original_size": (70, 90), "crops_coords_top_left": (3, 5)} if shape != "sd15-small" else {}
    pipeline("a cat", num_inference_steps=1, guidance_scale=1.0, width=64, height=48, output_type="latent", **size)

    place = Placement(width=64, height=48, resize=(66, 51), crop=(5, 3), original=(90, 70))
    conditioning = family.condition(family.encode_tokens(torch.from_numpy(family.tokenize(["a cat"]))), placements=[place])
    assert conditioning["embeds"].equal(seen[0]["embeds"])
    if shape != "sd15-small":
        assert conditioning["pooled"].equal(seen[0]["text_embeds"])
        assert conditioning["time_ids"].equal(seen[0]["time_ids"])
    ours = family.denoise(seen[0]["noisy"], timesteps=seen[0]["t"].reshape(1), conditioning=conditioning)
    assert ours.allclose(seen[0]["out"], atol=1e-5)


def test_latents_are_scaled_for_the_denoiser(shape: str, family: Any, tmp_path: Path) -> None:
    """Mean and std are the VAE's own posterior times its scaling factor."""
    pipeline = fresh(tmp_path / "tiny", shape)
    image = torch.from_numpy(generator(0, "image").uniform(-1, 1, (2, 3, 64, 64))).float()

    mean, std = family.encode_images(image)
    with torch.no_grad():
        posterior = pipeline.vae.encode(image).latent_dist
    scale = pipeline.vae.config.scaling_factor
    assert mean.allclose(posterior.mean * scale, atol=1e-5)
    assert std.allclose(posterior.std * scale, atol=1e-5)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_latents_with_a_mean_of_their_own(tmp_path: Path, tiny_folder: Callable[..., Path]) -> None:
    """A VAE that states ``latents_mean`` and ``latents_std`` is read as SDXL's pipeline reads it, for training and for pictures."""
    shutil.copytree(tiny_folder("sdxl-small"), tmp_path / "tiny")
    centre, spread = [0.5, -0.25, 0.0, 1.0], [2.0, 0.5, 1.0, 1.5]
    edit(tmp_path / "tiny/vae/config.json", latents_mean=centre, latents_std=spread)
    family, pipeline = made(tmp_path, "sdxl-small"), fresh(tmp_path / "tiny", "sdxl-small", "DDIMScheduler")

    image = torch.from_numpy(generator(0, "image").uniform(-1, 1, (1, 3, 64, 64))).float()
    mean, std = family.encode_images(image)
    with torch.no_grad():
        posterior = pipeline.vae.encode(image).latent_dist
    scale = pipeline.vae.config.scaling_factor / torch.tensor(spread).view(1, 4, 1, 1)
    assert mean.allclose((posterior.mean - torch.tensor(centre).view(1, 4, 1, 1)) * scale, atol=1e-5)
    assert std.allclose(posterior.std * scale, atol=1e-5)
    [ours] = family.generate([Picture("a boat", 1)], sampling=Sampling("ddim", 2, 1.0, 64, 64))
    theirs = pipeline("a boat", num_inference_steps=2, guidance_scale=1.0, width=64, height=64,
                      generator=torch.Generator("cpu").manual_seed(1)).images[0]  # fmt: skip
    assert np.array_equal(pixels(ours), pixels(theirs))


def test_pictures_beyond_one_batch_are_made(tiny_family: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """More pictures than go through the denoiser at once come out all, in order."""
    family, sampling = tiny_family("sd15-small"), Sampling("ddim", 2, 3.0, 64, 64)
    wanted = [Picture("a boat", 1), Picture("a cat", 2), Picture("a dog", 3)]
    at_once = family.generate(wanted, sampling=sampling)
    monkeypatch.setattr("loraspec_guide.models.family.PICTURES_AT_ONCE", 2)
    parted = family.generate(wanted, sampling=sampling)

    assert len(at_once) == len(parted) == 3
    assert all(np.abs(pixels(one) - pixels(other)).max() <= 1 for one, other in zip(at_once, parted, strict=True))
    assert np.abs(pixels(at_once[0]) - pixels(at_once[2])).max() > 1


def test_prediction_comes_from_the_scheduler_config(tmp_path: Path) -> None:
    """A v-prediction base is known as one by the plan and by the run."""
    build_tiny(tmp_path / "tiny", "sd15-small", prediction="v_prediction")
    component = COMPONENTS["sd15"]

    facts = component.facts(component.options(checkpoint="tiny"), context=context_of(tmp_path))  # type: ignore[misc]
    family = made(tmp_path, "sd15-small")
    assert facts.prediction == family.schedule.prediction == "v_prediction"
    assert family.schedule.alphas_cumprod.shape == (1000,)
    assert family.schedule.alphas_cumprod[0] > 0.99 > 0.01 > family.schedule.alphas_cumprod[-1]


def test_bf16_base_keeps_its_vae_in_float32(shape: str, tmp_path: Path) -> None:
    """U-Net and text encoders take the run's dtype, the VAE its own; generation works across them."""
    family = made(tmp_path, shape, Precision(torch.device("cpu"), torch.bfloat16, torch.bfloat16))

    assert {weight.dtype for weight in family.denoiser.parameters()} == {torch.bfloat16}
    assert {weight.dtype for weight in family.vae.parameters()} == {torch.float32}
    [image] = family.generate([Picture("a boat", 1)], sampling=Sampling("euler", 2, 3.0, 64, 64))
    assert pixels(image).std() > 5


def test_generating_leaves_the_family_as_it_was(shape: str, own_family: Callable[..., Any]) -> None:
    """Training modes survive, and torch's global generator is not touched."""
    family, _ = own_family(shape)
    family.denoiser.train()
    before = torch.random.get_rng_state()

    family.generate([Picture("a boat", 1)], sampling=Sampling("euler-a", 2, 3.0, 64, 64))
    assert all(module.training for module in family.denoiser.modules())
    assert torch.random.get_rng_state().equal(before)


def test_gradient_checkpointing_gives_the_same_gradient(own_family: Callable[..., Any]) -> None:
    """Checkpointing changes memory only."""
    gradients = []
    for on in (False, True):
        family, _ = own_family("sdxl-small")
        family.denoiser.train()
        family.gradient_checkpointing(on)
        noisy = torch.from_numpy(generator(0, "noisy").standard_normal((1, 4, 8, 8))).float().requires_grad_()
        place = Placement(64, 64, (64, 64), (0, 0), (64, 64))
        conditioning = family.condition(family.encode_tokens(torch.from_numpy(family.tokenize(["x"]))), placements=[place])
        family.denoise(noisy, timesteps=torch.tensor([10]), conditioning=conditioning).square().sum().backward()
        gradients.append(noisy.grad)
    assert gradients[0].allclose(gradients[1])


# -- what folders may and may not do ---------------------------------------------------------------------------------------


def edit(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


CODE: list[tuple[str, dict[str, Any], str]] = [
    ("model_index.json", {"_class_name": ["evil", "Pipeline"]}, r"model_index.json asks for the pipeline ['evil', 'Pipeline']"),
    ("model_index.json", {"unet": ["evil", "Model"]}, "model_index.json asks for the class 'Model'"),
    ("model_index.json", {"_class_name": "../evil"}, "asks for the pipeline '../evil'"),
    ("unet/config.json", {"_class_name": "evil.Model"}, "unet/config.json asks for the class 'evil.Model'"),
    ("unet/config.json", {"_class_name": "../evil"}, "unet/config.json asks for the class '../evil'"),
    ("unet/config.json", {"_class_name": {"a": 1}}, "unet/config.json asks for the class {'a': 1}"),
    ("text_encoder/config.json", {"auto_map": {"AutoModel": "evil.Model"}}, "text_encoder/config.json has auto_map"),
    ("text_encoder/config.json", {"architectures": ["Evil"]}, "text_encoder/config.json asks for the class 'Evil'"),
    ("tokenizer/tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["evil.Tokenizer", None]}}, "tokenizer_config.json has auto_map"),
]


@pytest.mark.parametrize(("file", "values", "said"), CODE)
def test_folders_that_ask_for_code_are_refused(
    tmp_path: Path, tiny_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, file: str, values: dict[str, Any], said: str
) -> None:
    """Classes that a folder names are never imported: the folder is refused, by the plan and when it is loaded."""
    shutil.copytree(tiny_folder("sd15-small"), tmp_path / "tiny")
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    edit(tmp_path / "tiny" / file, **values)
    component = COMPONENTS["sd15"]

    for look in (lambda: component.facts(component.options(checkpoint="tiny"), context=context_of(tmp_path)),  # type: ignore[misc]
                 lambda: made(tmp_path, "sd15-small")):  # fmt: skip
        with pytest.raises(SpecError, match=re.escape(said)) as caught:
            look()
        assert [problem.code for problem in caught.value.problems] == ["E-MODEL-CODE"]
    assert "evil" not in sys.modules


@pytest.mark.parametrize("place", ["pipeline.py", "unet/modeling.py"])
def test_folders_with_python_files_are_refused(tmp_path: Path, tiny_folder: Callable[..., Path], place: str) -> None:
    """A model that brings code may mean something else by its weights."""
    shutil.copytree(tiny_folder("sd15-small"), tmp_path / "tiny")
    (tmp_path / "tiny" / place).write_text("raise SystemExit('imported')")

    with pytest.raises(SpecError, match=f"{place} is code"):
        made(tmp_path, "sd15-small")


def test_keys_that_fetch_code_are_left_out(shape: str, family: Any, tmp_path: Path) -> None:
    """Settings that make a library download kernels or quantizers do not reach it; the weights load as ever."""
    plain = family.content()
    edit(tmp_path / "tiny/unet/config.json", quantization_config={"quant_method": "bitsandbytes"})
    edit(tmp_path / "tiny/text_encoder/config.json", _attn_implementation="evil/kernels", torch_dtype="float64")

    assert made(tmp_path, shape).content() == plain


def test_vocabularies_are_capped(tmp_path: Path, tiny_folder: Callable[..., Path]) -> None:
    """A tokenizer file of 500 MB (sparse here) is refused by its size."""
    shutil.copytree(tiny_folder("sd15-small"), tmp_path / "tiny")
    with (tmp_path / "tiny/tokenizer/tokenizer.json").open("wb") as file:
        file.truncate(500_000_000)

    with pytest.raises(SpecError, match="500000000 bytes") as caught:
        made(tmp_path, "sd15-small")
    assert caught.value.problems[0].code == "E-TOK-SIZE"


def test_bin_only_folder_is_refused(shape: str, tmp_path: Path) -> None:
    """A folder without .safetensors is refused with the reason; the pickle is not opened."""
    weights = tmp_path / "tiny/unet/diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))

    with pytest.raises(SpecError, match=r"\.bin files can run code"):
        made(tmp_path, shape)


def test_pickle_checkpoint_is_refused(tmp_path: Path) -> None:
    """So is a single .ckpt file, when the plan is made."""
    (tmp_path / "model.ckpt").write_bytes(b"x")
    component = COMPONENTS["sdxl"]

    with pytest.raises(SpecError, match=r"not a \.safetensors file"):
        component.facts(component.options(checkpoint="model.ckpt"), context=context_of(tmp_path))  # type: ignore[misc]


def test_shards_and_variants_load(shape: str, family: Any, tmp_path: Path) -> None:
    """Sharded weights and a variant give the same content as the plain file; a missing variant names what is there."""
    from safetensors.torch import load_file, save_file

    plain = family.content()
    unet = tmp_path / "tiny/unet"
    whole = load_file(unet / "diffusion_pytorch_model.safetensors")
    names = sorted(whole)
    shards = {"diffusion_pytorch_model-1-of-2.safetensors": names[::2], "diffusion_pytorch_model-2-of-2.safetensors": names[1::2]}
    for shard, held in shards.items():
        save_file({name: whole[name] for name in held}, unet / shard)
    index = {"weight_map": {name: shard for shard, held in shards.items() for name in held}}
    (unet / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    (unet / "diffusion_pytorch_model.safetensors").unlink()
    assert made(tmp_path, shape).content() == plain

    for part in ("unet", "vae", "text_encoder", "text_encoder_2"):
        for path in (tmp_path / "tiny" / part).glob("*.safetensors"):
            path.rename(path.with_name(path.name.replace(".safetensors", ".fp16.safetensors")))
    (unet / "diffusion_pytorch_model.safetensors.index.json").unlink()
    save_file(whole, unet / "diffusion_pytorch_model.fp16.safetensors")
    assert made(tmp_path, shape, variant="fp16").content() == plain
    with pytest.raises(SpecError, match=r"set model\.variant"):
        made(tmp_path, shape)


def test_shard_index_cannot_leave_its_folder(tmp_path: Path, tiny_folder: Callable[..., Path]) -> None:
    """A shard outside the part's folder is refused."""
    shutil.copytree(tiny_folder("sd15-small"), tmp_path / "tiny")
    unet = tmp_path / "tiny/unet"
    (unet / "diffusion_pytorch_model.safetensors").rename(tmp_path / "secret.safetensors")
    index = {"weight_map": {"conv_in.weight": "../../secret.safetensors"}}
    (unet / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))

    with pytest.raises(SpecError, match="beside it"):
        made(tmp_path, "sd15-small")


def test_old_vae_names_load(tmp_path: Path, tiny_folder: Callable[..., Path]) -> None:
    """VAEs saved before diffusers 0.17 name their attention differently."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(tiny_folder("sd15-small"), tmp_path / "tiny")
    path = tmp_path / "tiny/vae/diffusion_pytorch_model.safetensors"
    plain = made(tmp_path, "sd15-small").content()
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    values = load_file(path)
    renamed = {}
    for name, value in values.items():
        for new, older in old.items():
            name = name.replace(f".{new}.", f".{older}.")
        renamed[name] = value
    assert set(renamed) != set(values)
    save_file(renamed, path)

    assert made(tmp_path, "sd15-small").content() == plain


def test_another_vae_replaces_the_bases_own(shape: str, family: Any, tmp_path: Path, tiny_folder: Callable[..., Path]) -> None:
    """A VAE folder, a whole pipeline and a single file serve as ``vae``; only the VAE's content changes."""
    shutil.copytree(tiny_folder(shape, seed=5), tmp_path / "other")
    shutil.copy(tmp_path / "other/vae/diffusion_pytorch_model.safetensors", tmp_path / "vae.safetensors")
    plain = family.content()

    for place in ("other", "other/vae", "vae.safetensors"):
        content = made(tmp_path, shape, vae=place).content()
        assert content["vae"] != plain["vae"], place
        assert {**content, "vae": ""} == {**plain, "vae": ""}
    edit(tmp_path / "other/vae/config.json", latent_channels=16)
    with pytest.raises(SpecError, match=r"model\.vae.*latent_channels"):
        made(tmp_path, shape, vae="other")


def test_content_tells_parts_apart(shape: str, family: Any, tmp_path: Path) -> None:
    """Another value, dtype or clip_skip gives another hash for that part, and the same bytes the same hash."""
    from safetensors.torch import load_file, save_file

    plain = family.content()
    assert made(tmp_path, shape).content() == plain
    assert made(tmp_path, shape, vae_dtype="bfloat16").content()["vae"] != plain["vae"]
    assert made(tmp_path, shape, clip_skip=1).content()["text_encoders"] != plain["text_encoders"]
    path = tmp_path / "tiny/unet/diffusion_pytorch_model.safetensors"
    values = load_file(path)
    values["conv_in.weight"][0, 0, 0, 0] += 1
    save_file(values, path)
    changed = made(tmp_path, shape).content()
    assert changed["denoiser"] != plain["denoiser"]
    assert changed["vae"] == plain["vae"]


def test_wrong_family_names_the_right_one(tmp_path: Path, tiny_folder: Callable[..., Path]) -> None:
    """An SD 1.5 folder as sdxl is refused when the plan is made, with the repair."""
    shutil.copytree(tiny_folder("sd15-small"), tmp_path / "tiny")
    component = COMPONENTS["sdxl"]

    with pytest.raises(SpecError, match="use = 'sd15'"):
        component.facts(component.options(checkpoint="tiny"), context=context_of(tmp_path))  # type: ignore[misc]


def test_missing_tensor_is_named(tmp_path: Path, tiny_folder: Callable[..., Path]) -> None:
    """A folder that is not whole names the first tensor that is missing."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(tiny_folder("sd15-small"), tmp_path / "tiny")
    path = tmp_path / "tiny/unet/diffusion_pytorch_model.safetensors"
    save_file({name: value for name, value in load_file(path).items() if name != "conv_out.bias"}, path)

    with pytest.raises(SpecError, match=r"no tensor for conv_out\.bias") as caught:
        made(tmp_path, "sd15-small")
    assert caught.value.problems[0].code == "E-MODEL-KEYS"


def rewrite(path: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    """Change the tensors of a file."""
    from safetensors.torch import load_file, save_file

    values = {name: value.clone() for name, value in load_file(path).items()}
    change(values)
    save_file(values, path)


def test_odd_keys_are_told_together(tmp_path: Path, tiny_folder: Callable[..., Path]) -> None:
    """Missing, misshapen and extra tensors of a part: the first ten, and how many more."""
    shutil.copytree(tiny_folder("sd15-small"), tmp_path / "tiny")

    def change(values: dict[str, torch.Tensor]) -> None:
        values["conv_in.bias"] = torch.zeros(3)
        values |= {f"extra.{number:02}": torch.zeros(1) for number in range(12)}
        del values["conv_out.bias"]

    rewrite(tmp_path / "tiny/unet/diffusion_pytorch_model.safetensors", change)

    with pytest.raises(SpecError) as caught:
        made(tmp_path, "sd15-small")
    [problem] = caught.value.problems
    assert problem.code == "E-MODEL-KEYS"
    for said in ("conv_in.bias of shape [3]", "no tensor for conv_out.bias", "extra.00, which belongs to nothing", "and 4 more"):
        assert said in problem.message
    assert "extra.11" not in problem.message


@pytest.mark.parametrize(("part", "value"), [("unet", float("nan")), ("vae", float("-inf")), ("text_encoder", float("inf"))])
def test_weights_that_are_not_finite_are_named(tmp_path: Path, tiny_folder: Callable[..., Path], part: str, value: float) -> None:
    """One NaN among the weights is refused, with the name of its tensor."""
    shutil.copytree(tiny_folder("sd15-small"), tmp_path / "tiny")
    [path] = (tmp_path / "tiny" / part).glob("*.safetensors")
    name = ""

    def change(values: dict[str, torch.Tensor]) -> None:
        nonlocal name
        name = sorted(values)[-1]
        values[name].view(-1)[-1] = value

    rewrite(path, change)

    with pytest.raises(SpecError, match=re.escape(name)) as caught:
        made(tmp_path, "sd15-small")
    assert caught.value.problems[0].code == "E-ST-NONFINITE"


def test_weights_of_a_strange_dtype_are_refused(tmp_path: Path, tiny_folder: Callable[..., Path]) -> None:
    """float64 weights are no published model; what they would become is not guessed."""
    shutil.copytree(tiny_folder("sd15-small"), tmp_path / "tiny")
    path = tmp_path / "tiny/unet/diffusion_pytorch_model.safetensors"
    rewrite(path, lambda values: values.update({"conv_in.bias": values["conv_in.bias"].double()}))

    with pytest.raises(SpecError, match=r"conv_in\.bias is float64") as caught:
        made(tmp_path, "sd15-small")
    assert caught.value.problems[0].code == "E-ST-DTYPE"


def test_vae_in_place_of_the_unet_is_told(tmp_path: Path, tiny_folder: Callable[..., Path]) -> None:
    """A file of another kind is named as what it is, not by 500 missing tensors."""
    shutil.copytree(tiny_folder("sd15-small"), tmp_path / "tiny")
    shutil.copy(tmp_path / "tiny/vae/diffusion_pytorch_model.safetensors", tmp_path / "tiny/unet/diffusion_pytorch_model.safetensors")

    with pytest.raises(SpecError, match="the file of its unet is a VAE") as caught:
        made(tmp_path, "sd15-small")
    assert caught.value.problems[0].code == "E-MODEL-KIND"


@pytest.mark.parametrize("text", ["models/sdxl", "Checkpoints/base", "here/sdxl", "someone/model.safetensors", "./a/b", "~/a", "/a/b"])
def test_path_that_leads_nowhere_is_no_hub_id(tmp_path: Path, text: str) -> None:
    """What a person means as a path is never looked up on the hub, where anybody may own that name."""
    (tmp_path / "here").mkdir()
    component = COMPONENTS["sdxl"]

    with pytest.raises(EnvironmentMissing, match="nothing is at") as caught:
        component.facts(component.options(checkpoint=text), context=context_of(tmp_path))  # type: ignore[misc]
    assert caught.value.code == "E-MODEL-PATH"


# -- the hub -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An offline hub cache of our own."""
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def put(cache: Path, repo: str) -> Path:
    """Make an empty cached snapshot and return its folder."""
    commit = "0" * 40
    entry = cache / f"models--{repo.replace('/', '--')}"
    (entry / "refs").mkdir(parents=True)
    (entry / "refs/main").write_text(commit)
    (entry / "snapshots" / commit).mkdir(parents=True)
    return entry / "snapshots" / commit


def test_uncached_hub_id_says_what_to_run(tmp_path: Path, cache: Path) -> None:
    """Offline without a cached copy: exit 3 and the command that fetches it; the plan's facts are there all the same."""
    component = COMPONENTS["sdxl"]
    options = component.options()
    facts = component.facts(options, context=context_of(tmp_path))  # type: ignore[misc]
    assert facts.base == "stabilityai/stable-diffusion-xl-base-1.0"
    assert sum(target.component == "unet" for target in facts.targets) == 722

    with pytest.raises(EnvironmentMissing, match=r"hf download stabilityai/stable-diffusion-xl-base-1\.0 --revision main"):
        component.build(options).load(context_of(tmp_path), precision=CPU)


def test_cached_hub_id_is_found_and_checked(tmp_path: Path, cache: Path, tiny_folder: Callable[..., Path]) -> None:
    """A cached copy is used without a network; a model of other blocks than the family's is refused, as the plan assumed them."""
    folder = put(cache, "somebody/small")
    shutil.copytree(tiny_folder("sdxl-small"), folder, dirs_exist_ok=True)

    assert hub.download("somebody/small", "main", variant=None) == folder
    with pytest.raises(SpecError, match="standard architecture"):
        made(tmp_path, "sdxl", checkpoint="somebody/small")


def test_missing_path_is_told(tmp_path: Path) -> None:
    """What is neither a path nor a hub id is missing, not wrong."""
    component = COMPONENTS["sdxl"]
    with pytest.raises(EnvironmentMissing, match=r"nothing is at './models/base'"):
        component.facts(component.options(checkpoint="./models/base"), context=context_of(tmp_path))  # type: ignore[misc]
