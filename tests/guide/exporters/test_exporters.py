"""Exported files in a fresh diffusers pipeline against the adapter in memory, and the published key names."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from loraspec_guide.adapters.registry import ADAPTERS, LoraOptions, lora_facts
from loraspec_guide.exporters import registry
from loraspec_guide.exporters.names import kohya_keys, uses_sai_names
from loraspec_guide.exporters.registry import EXPORTERS, ExportOptions
from loraspec_guide.models.facts import facts_of
from loraspec_guide.models.standard import SD15, SDXL, Architecture

from loraspec.errors import RunError
from loraspec.randomness import generator, rng_of
from loraspec.testing import ExporterSuite
from loraspec.values import AdapterFacts, AdapterState, ModelFacts, Picture, Sampling
from loraspec.weights import file_size, header_bytes

COMPONENTS = {component.name: component for component in EXPORTERS}
HEADER = {"name": "daumier", "epoch": "3", "epochs": "20", "base": "tiny", "resolution": "1024", "style_tag": "by Honoré Daumier",
          "loraspec": "1.2", "spec_hash": "ab" * 32, "alpha": "2", "output": "/mnt/somebody/runs", "host": "box"}
SHAPES = ["sdxl", "sdxl-small", "sd15-small"]


class TestKohya(ExporterSuite):
    use = "kohya"


class TestDiffusers(ExporterSuite):
    use = "diffusers"


class Trained:
    """A tiny family with an adapter that does something, its facts and its files."""

    def __init__(self, folder: Path, family: Any, model: ModelFacts, *, alpha: float = 2.0, text_encoder: bool = False) -> None:
        self.folder, self.family, self.model = folder, family, model
        self.options = LoraOptions(rank=4, alpha=alpha, text_encoder=text_encoder)
        self.adapter = ADAPTERS[0].build(self.options)
        self.adapter.inject(self.family, rng=rng_of(1))
        state = self.adapter.state()
        for name, tensor in state.tensors.items():
            if ".lora_up." in name:
                tensor.copy_(torch.from_numpy(generator(2, "up", name).standard_normal(tuple(tensor.shape))) * 0.3)
        self.adapter.load_state(state)
        self.state: AdapterState = self.adapter.state()

    @property
    def kind(self) -> Any:
        """The class of diffusers' pipeline."""
        import diffusers

        return diffusers.StableDiffusionPipeline if self.model.family == "sd15" else diffusers.StableDiffusionXLPipeline

    def write(self, exporter: str, folder: Path, dtype: Any = "fp32") -> Path:
        """Write the file as the engine does: canonical header, tensors in key order; its size is what the plan says."""
        component, options = COMPONENTS[exporter], ExportOptions(dtype=dtype)
        [file] = component.build(options).files(self.state, model=self.model, header=HEADER, stem="x-000003")
        facts = component.facts(options, adapter=lora_facts(self.options, model=self.model), model=self.model, header=HEADER,  # type: ignore[misc]
                                stem="x-000003")  # fmt: skip
        path = folder / Path(file.path).name
        data = b"".join(file.tensors[key].reshape(-1).view(torch.uint8).numpy().tobytes() for key in sorted(file.tensors))
        path.write_bytes(header_bytes(facts.tensors, facts.metadata) + data)
        assert path.stat().st_size == file_size(facts.tensors, facts.metadata)
        return path

    def image(self, weight: float) -> np.ndarray[Any, Any]:
        """One picture with the adapter in memory."""
        self.adapter.set_weight(weight)
        [image] = self.family.generate([Picture("a cat", 11)], sampling=Sampling("euler-a", 2, 4.0, 64, 64))
        return np.asarray(image, dtype=int)

    def loaded(self, path: Path | None, weights: Sequence[float]) -> list[np.ndarray[Any, Any]]:
        """The same picture from a fresh diffusers pipeline that loads the file, at each weight."""
        import diffusers

        pipeline = self.kind.from_pretrained(str(self.folder), local_files_only=True)
        pipeline.set_progress_bar_config(disable=True)
        pipeline.scheduler = diffusers.EulerAncestralDiscreteScheduler.from_config(pipeline.scheduler.config)
        if path is not None:
            pipeline.load_lora_weights(str(path.parent), weight_name=path.name, adapter_name="style")
        pictures = []
        for weight in weights:
            if path is not None:
                pipeline.set_adapters(["style"], [weight])
            made = pipeline("a cat", num_inference_steps=2, guidance_scale=4.0, width=64, height=64,
                            generator=torch.Generator("cpu").manual_seed(11)).images[0]  # fmt: skip
            pictures.append(np.asarray(made, dtype=int))
        return pictures


@pytest.fixture(scope="module", params=SHAPES)
def trained(request: pytest.FixtureRequest, tiny_folder: Callable[..., Path], own_family: Callable[..., Any]) -> Trained:
    return Trained(tiny_folder(request.param), *own_family(request.param), text_encoder=request.param != "sdxl")


def same_images(trained: Trained, folder: Path) -> None:
    """Compare to the bit without a file; with one, the last bit of a sum may fall otherwise (weights lie elsewhere in memory) and turn
    a pixel value by one."""
    [plain] = trained.loaded(None, [0])
    assert np.array_equal(trained.image(0.0), plain)
    weights = (0.8, 1.0)
    ours = [trained.image(weight) for weight in weights]
    assert all(np.abs(image - plain).mean() > 2 for image in ours)
    for exporter in ("kohya", "diffusers"):
        apart = np.abs(np.asarray(trained.loaded(trained.write(exporter, folder), weights)) - np.asarray(ours))
        assert apart.max() <= 1, exporter
        assert apart.mean() < 0.01, exporter


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_files_load_to_the_same_images(trained: Trained, tmp_path: Path) -> None:
    """Both files, in a fresh pipeline at 0.8 and 1.0, give the pictures of the adapter in memory; so does no file at 0."""
    same_images(trained, tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize(("shape", "modules"), [("sdxl-deep", 722), ("sd15", 192)])
def test_files_of_all_modules_load_to_the_same_images(
    shape: str, modules: int, tmp_path: Path, tiny_folder: Callable[..., Path], own_family: Callable[..., Any]
) -> None:
    """The same with every module of SDXL and of SD 1.5."""
    trained = Trained(tiny_folder(shape), *own_family(shape))
    assert len(trained.state.alphas) == modules
    same_images(trained, tmp_path)


def deltas(path: Path, trained: Trained) -> dict[str, torch.Tensor]:
    """Load a file into a fresh U-Net through diffusers' loader and return what it adds to each weight."""
    import diffusers

    kind = trained.kind
    unet = diffusers.UNet2DConditionModel.from_pretrained(str(trained.folder / "unet"), local_files_only=True)
    read, alphas, config = kind.lora_state_dict(str(path.parent), weight_name=path.name, unet_config=unet.config, return_lora_metadata=True)
    kind.load_lora_into_unet(read, network_alphas=alphas, unet=unet, adapter_name="style", metadata=config)
    return {name: layer.get_delta_weight("style").detach() for name, layer in unet.named_modules() if hasattr(layer, "get_delta_weight")}


@pytest.mark.parametrize("exporter", ["kohya", "diffusers"])
def test_doubling_alpha_doubles_the_effect(trained: Trained, exporter: str, tmp_path: Path) -> None:
    """What a loaded file adds to every weight of the U-Net is alpha / rank times up x down: twice as much with twice the alpha."""
    added, before = [], (trained.options, trained.state)
    for alpha in (2.0, 4.0):
        trained.options = LoraOptions(rank=4, alpha=alpha, text_encoder=before[0].text_encoder)
        trained.state = AdapterState("lora", before[1].tensors, dict.fromkeys(before[1].alphas, alpha), 4)
        added.append(deltas(trained.write(exporter, tmp_path), trained))
        targets = [one for one in trained.model.targets if one.component == "unet"]
        for target in targets:
            down, up = (trained.state.tensors[f"unet.{target.name}.lora_{side}.weight"].flatten(1) for side in ("down", "up"))
            assert added[-1][target.name].flatten(1).allclose(up @ down * (alpha / 4), rtol=1e-4, atol=1e-6), target.name
        assert len(added[-1]) == len(targets)
    trained.options, trained.state = before
    assert all(added[1][name].equal(2 * delta) for name, delta in added[0].items())
    assert any(bool(delta.any()) for delta in added[0].values())


def test_doubling_alpha_doubles_the_prediction(tiny_folder: Callable[..., Path], own_family: Callable[..., Any]) -> None:
    """To first order the U-Net's output moves twice as far."""
    noisy = torch.from_numpy(generator(0, "noisy").standard_normal((1, 4, 8, 8))).float()
    moved = []
    for alpha in (2.0, 4.0):
        trained = Trained(tiny_folder("sd15-small"), *own_family("sd15-small"), alpha=alpha)
        conditioning = trained.family.encode_tokens(torch.from_numpy(trained.family.tokenize(["a cat"])))
        predictions = []
        for weight in (0.0, 1e-3):
            trained.adapter.set_weight(weight)
            predictions.append(trained.family.denoise(noisy, timesteps=torch.tensor([400]), conditioning=conditioning).detach().double())
        moved.append(predictions[1] - predictions[0])
    ratio = float((moved[1] * moved[0]).sum() / (moved[0] * moved[0]).sum())
    assert ratio == pytest.approx(2, rel=0.02)


# -- names and headers -------------------------------------------------------------------------------------------------------


def facts(base: Architecture, **options: Any) -> tuple[ModelFacts, AdapterFacts]:
    model = facts_of(base, public="base", prediction="epsilon")
    return model, lora_facts(LoraOptions(**options), model=model)


def tensors(exporter: str, base: Architecture, **options: Any) -> Mapping[str, tuple[str, tuple[int, ...]]]:
    model, adapter = facts(base, **options)
    made = COMPONENTS[exporter].facts(ExportOptions(), adapter=adapter, model=model, header=HEADER, stem="x")  # type: ignore[misc]
    assert isinstance(made.tensors, dict)
    return made.tensors


def test_sdxl_keys_are_the_published_ones() -> None:
    """722 modules, three keys each, in SAI block names with the shapes of published files."""
    made = tensors("kohya", SDXL)

    assert len(made) == 722 * 3
    modules = {key.split(".")[0] for key in made}
    blocks = {"_".join(module.removeprefix("lora_unet_").split("_")[:4 if "middle" not in module else 3]) for module in modules}
    assert blocks == {*(f"input_blocks_{n}_1" for n in (4, 5, 7, 8)), "middle_block_1", *(f"output_blocks_{n}_1" for n in range(6))}
    assert made["lora_unet_input_blocks_4_1_proj_in.lora_down.weight"] == ("F16", (64, 640))
    assert made["lora_unet_input_blocks_8_1_transformer_blocks_9_attn2_to_k.lora_down.weight"] == ("F16", (64, 2048))
    assert made["lora_unet_output_blocks_0_1_transformer_blocks_9_ff_net_0_proj.lora_up.weight"] == ("F16", (10240, 64))
    assert made["lora_unet_middle_block_1_transformer_blocks_0_attn1_to_out_0.alpha"] == ("F16", ())


def test_sd15_keys_are_the_published_ones() -> None:
    """192 modules in diffusers block names; 1x1 convolutions keep four sides."""
    made = tensors("kohya", SD15, text_encoder=True)

    assert sum(key.startswith("lora_unet_") for key in made) == 192 * 3
    assert sum(key.startswith("lora_te_text_model_encoder_layers_") for key in made) == 72 * 3
    assert len(made) == (192 + 72) * 3
    assert made["lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight"] == ("F16", (64, 320, 1, 1))
    assert made["lora_unet_down_blocks_0_attentions_0_proj_in.lora_up.weight"] == ("F16", (320, 64, 1, 1))
    assert "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q.alpha" in made
    assert "lora_te_text_model_encoder_layers_11_self_attn_out_proj.lora_up.weight" in made


def test_sdxl_text_encoders_have_their_own_prefixes() -> None:
    """te1 has 72 modules and te2 192."""
    made = tensors("kohya", SDXL, text_encoder=True)

    assert sum(key.startswith("lora_te1_") for key in made) == 72 * 3
    assert sum(key.startswith("lora_te2_") for key in made) == 192 * 3
    assert len(tensors("diffusers", SDXL)) == 722 * 2


def test_published_file_size_is_matched() -> None:
    """Rank 128 in 16 bit is the 681 MB of the published SDXL files."""
    assert round(file_size(tensors("kohya", SDXL, rank=128), {}) / 1e6) == 681


def test_ambiguous_block_numbers_fall_back_to_diffusers_names() -> None:
    """Where a reader that looks for ``input_blocks_1`` would find ``input_blocks_10`` too, SAI names are not written."""
    deep = {"block_out_channels": [320] * 5, "down_block_types": ["CrossAttnDownBlock2D"] * 5, "up_block_types": ["CrossAttnUpBlock2D"] * 5,
            "attention_head_dim": 8, "transformer_layers_per_block": 1}  # fmt: skip
    base = Architecture("sdxl", SDXL.unet | deep, SDXL.vae, SDXL.text, SDXL.scheduler)
    model, adapter = facts(base)

    assert not uses_sai_names(model)
    keys = kohya_keys(adapter.tensors, model).values()
    assert all(key.startswith(("lora_unet_down_blocks_", "lora_unet_mid_block_", "lora_unet_up_blocks_")) for key in keys)
    assert uses_sai_names(facts(SDXL)[0])


@pytest.mark.parametrize("exporter", ["kohya", "diffusers"])
def test_header_is_an_allow_list(exporter: str) -> None:
    """Only known strings get in, whatever the run says; rank, alpha and the base's kind are told."""
    model, adapter = facts(SDXL)
    made = COMPONENTS[exporter].facts(ExportOptions(), adapter=adapter, model=model, header=HEADER, stem="x")  # type: ignore[misc]
    said = made.metadata

    assert "/mnt/somebody" not in json.dumps(said)
    assert "box" not in said.values()
    assert said["modelspec.architecture"] == "stable-diffusion-xl-v1-base/lora"
    assert said["modelspec.trigger_phrase"] == "by Honoré Daumier"
    assert (said["loraspec.spec_hash"], said["loraspec.version"]) == ("ab" * 32, "1.2")
    if exporter == "kohya":
        assert (said["ss_network_dim"], said["ss_base_model_version"], said["ss_epoch"]) == ("64", "sdxl_base_v1-0", "3")
    else:
        config = json.loads(said["lora_adapter_metadata"])
        assert (config["unet.r"], config["unet.lora_alpha"], len(config["unet.target_modules"])) == (64, 32, 722)


def test_each_module_keeps_its_own_alpha() -> None:
    """Alphas that differ are written module by module, and what is read is what the file states, not what was planned."""
    model, adapter = facts(SD15, rank=1, alpha=2.0)
    odd = sorted(adapter.alphas)[::7]
    alphas = dict(adapter.alphas) | dict.fromkeys(odd, 5.0)
    state = AdapterState("lora", {name: torch.zeros(shape) for name, shape in adapter.tensors.items()}, alphas, 1)

    [kohya] = (exporter := COMPONENTS["kohya"].build(ExportOptions())).files(state, model=model, header=HEADER, stem="x")
    assert exporter.read(kohya.tensors, model=model, adapter=adapter).alphas == alphas
    [diffusers] = COMPONENTS["diffusers"].build(ExportOptions()).files(state, model=model, header=HEADER, stem="x")
    config = json.loads(diffusers.metadata["lora_adapter_metadata"])
    assert config["unet.lora_alpha"] == 2
    assert config["unet.alpha_pattern"] == {name.removeprefix("unet."): 5 for name in odd}


@pytest.mark.parametrize("exporter", ["kohya", "diffusers"])
def test_files_of_another_adapter_are_not_read_half(exporter: str) -> None:
    """A key too many is an error that names it, as is a key too few, or another rank."""
    model, adapter = facts(SD15, rank=1)
    state = AdapterState("lora", {name: torch.zeros(shape) for name, shape in adapter.tensors.items()}, adapter.alphas, 1)
    made = COMPONENTS[exporter].build(ExportOptions())
    [file] = made.files(state, model=model, header=HEADER, stem="x")

    lost = min(file.tensors)
    for tensors, odd in (({**file.tensors, "lora_unet_extra": torch.zeros(1)}, "lora_unet_extra"),
                         ({key: value for key, value in file.tensors.items() if key != lost}, lost)):  # fmt: skip
        with pytest.raises(RunError, match=odd) as caught:
            made.read(tensors, model=model, adapter=adapter)
        assert caught.value.code == "E-ADAPTER-SHAPE"
    _, other = facts(SD15, rank=2)
    with pytest.raises(RunError, match=r"another rank .* is \[1, 320") as caught:
        made.read(file.tensors, model=model, adapter=other)
    assert caught.value.code == "E-ADAPTER-SHAPE"


def test_weights_that_do_not_fit_are_refused() -> None:
    """A value beyond float16 is an error with its name, not an infinity in a file."""
    model, adapter = facts(SD15, rank=1)
    made = {name: torch.zeros(shape) for name, shape in adapter.tensors.items()}
    name = next(iter(made))
    made[name].flatten()[0] = 1e6
    state = AdapterState("lora", made, adapter.alphas, 1)

    with pytest.raises(RunError, match=name):
        list(COMPONENTS["kohya"].build(ExportOptions()).files(state, model=model, header=HEADER, stem="x"))


def test_unknown_adapters_are_refused_by_the_plan() -> None:
    """Kinds that have no key names are told before anything runs, at the exporter's own place in the spec."""
    model, adapter = facts(SDXL)
    stages = [SimpleNamespace(entry=SimpleNamespace(component=component)) for component in EXPORTERS]
    plan: Any = SimpleNamespace(many=lambda stage: stages, adapter=SimpleNamespace(kind="lokr"), model=model)

    problems = list(registry.check_plan(plan))
    assert [problem.path for problem in problems] == ["exporters[0].use", "exporters[1].use"]
    assert all("lokr" in problem.message for problem in problems)
    plan.adapter = adapter
    assert list(registry.check_plan(plan)) == []
