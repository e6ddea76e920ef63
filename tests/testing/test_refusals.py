"""The suites of model families, data sources, exporters, callbacks and evaluators refuse what does not keep the contract."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import numpy as np
import pytest
import torch

from loraspec import hookimpl
from loraspec.errors import Problem
from loraspec.randomness import rng_of
from loraspec.testing import CallbackSuite, DataSourceSuite, EvaluatorSuite, ExporterSuite, ModelFamilySuite, TrackerSuite
from loraspec.testing.fixtures import RunOutcome
from loraspec.testing.suites.models import on_cpu, tiny_base
from loraspec.testing.suites.outputs import HEADER, drawn_weights, spec_with, unet_lora
from loraspec.testing.tiny import TinyOptions, tiny_facts
from loraspec.testing.tiny_model import TinyFamily
from loraspec.values import AdapterState, Context, ExportFacts, ExportFile, ModelFacts, Sample, Scan


def refused(check: Callable[..., None], *values: Any, **names: Any) -> None:
    """A check fails; anything but a failed check is an error of this test."""
    with pytest.raises(AssertionError):
        check(*values, **names)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(tmp_path, rng_of(1), lambda hook: ())


# -- model families ------------------------------------------------------------------------------------------------------


class Coupled(TinyFamily):
    """Its posterior depends on batch mates."""

    def encode_images(self, pixels: Any) -> Any:
        mean, std = super().encode_images(pixels)
        return mean - mean.mean(0, keepdim=True), std


class Negative(TinyFamily):
    """A std below zero."""

    def encode_images(self, pixels: Any) -> Any:
        mean, std = super().encode_images(pixels)
        return mean, -std


class Halves(TinyFamily):
    """Latents in half precision."""

    def encode_images(self, pixels: Any) -> Any:
        mean, std = super().encode_images(pixels)
        return mean.half(), std.half()


class Coarse(TinyFamily):
    """Latents of another size than the facts say."""

    def encode_images(self, pixels: Any) -> Any:
        return tuple(torch.nn.functional.avg_pool2d(part, 2) for part in super().encode_images(pixels))


class Narrow(TinyFamily):
    """Token ids in 32 bits."""

    def tokenize(self, prompts: Any) -> Any:
        return super().tokenize(prompts).astype(np.int32)


class Miscounts(TinyFamily):
    """Counts the marks at both ends as well."""

    def count_tokens(self, prompt: str) -> int:
        return super().count_tokens(prompt) + 2


class Thin(TinyFamily):
    """Embeddings narrower than the facts say."""

    def encode_tokens(self, tokens: Any) -> Any:
        return {"embeds": super().encode_tokens(tokens)["embeds"][..., :-1]}


class Deaf(TinyFamily):
    """Does not look at the prompt."""

    def denoise(self, noisy: Any, *, timesteps: Any, conditioning: Any) -> Any:
        return super().denoise(noisy, timesteps=timesteps, conditioning={"embeds": conditioning["embeds"] * 0})


class Infinite(TinyFamily):
    """Predicts infinities."""

    def denoise(self, noisy: Any, *, timesteps: Any, conditioning: Any) -> Any:
        return super().denoise(noisy, timesteps=timesteps, conditioning=conditioning) / 0


class Warm(TinyFamily):
    """Leaves its base trainable."""

    def load(self, context: Context, *, precision: Any) -> None:
        super().load(context, precision=precision)
        self.denoiser.requires_grad_(True)


class Nameless(TinyFamily):
    """Content without a hash of the VAE."""

    def content(self) -> Any:
        return {part: value for part, value in super().content().items() if part != "vae"}


class Unhashed(TinyFamily):
    """Content that is no hash."""

    def content(self) -> Any:
        return dict.fromkeys(super().content(), "version 1")


class Neighbourly(TinyFamily):
    """Pictures go by their place in the batch, not by their seed."""

    def generate(self, pictures: Any, *, sampling: Any) -> Any:
        return super().generate([attrs.evolve(picture, seed=place) for place, picture in enumerate(pictures)], sampling=sampling)


class Seedless(TinyFamily):
    """One picture, whatever the seed."""

    def generate(self, pictures: Any, *, sampling: Any) -> Any:
        return super().generate([attrs.evolve(picture, seed=0) for picture in pictures], sampling=sampling)


class Sized(TinyFamily):
    """Pictures of its own size."""

    def generate(self, pictures: Any, *, sampling: Any) -> Any:
        return [image.resize((16, 16)) for image in super().generate(pictures, sampling=sampling)]


FAMILIES = {
    "test_images_become_latents": (Coupled, Negative, Halves, Coarse),
    "test_prompts_become_embeddings": (Narrow, Miscounts, Thin),
    "test_it_denoises": (Deaf, Infinite),
    "test_content_is_hashed": (Nameless, Unhashed),
    "test_pictures_follow_their_seeds": (Neighbourly, Seedless, Sized),
    "test_the_base_is_frozen": (Warm,),
}


def pairs(table: dict[str, tuple[type, ...]]) -> list[Any]:
    """One parameter set for each check and fault."""
    return [pytest.param(check, kind, id=f"{check}-{kind.__name__}") for check, kinds in table.items() for kind in kinds]


@pytest.mark.parametrize(("check", "kind"), pairs(FAMILIES))
def test_model_family_suite_refuses(check: str, kind: type[TinyFamily], context: Context) -> None:
    """Each fault is found by the check that looks for it, which the family without the fault passes."""
    facts = tiny_facts(TinyOptions(), context=context)
    names = {"facts": facts} if check not in ("test_the_base_is_frozen", "test_content_is_hashed") else {}
    family = kind(TinyOptions())
    family.load(context, precision=on_cpu())

    getattr(ModelFamilySuite(), check)(family=tiny_base(context), **names)
    refused(getattr(ModelFamilySuite(), check), family=family, **names)


@pytest.mark.parametrize("change", [{"name": "down_blocks.0.missing"}, {"in_features": 3}, {"conv": True}])
def test_model_family_suite_refuses_wrong_facts(change: dict[str, Any], context: Context) -> None:
    """A target that the model does not have, or has in another width or kind."""
    facts = tiny_facts(TinyOptions(), context=context)
    wrong = attrs.evolve(facts, targets=(attrs.evolve(facts.targets[1], **change), *facts.targets))

    ModelFamilySuite().test_facts_name_real_modules(tiny_base(context), facts)
    with pytest.raises((AssertionError, AttributeError)):
        ModelFamilySuite().test_facts_name_real_modules(tiny_base(context), wrong)


def test_model_family_suite_knows_both_names_of_a_text_encoder() -> None:
    """Targets keep ``text_model.``, whether the installed transformers has that level or not; nothing else is made up."""
    layer = torch.nn.ModuleDict({"q_proj": torch.nn.Linear(2, 2)})
    good, bad = (SimpleNamespace(component="text_encoder", name=f"text_model.{name}", in_features=2, out_features=2, conv=False)
                 for name in ("q_proj", "k_proj"))  # fmt: skip
    check: Any = ModelFamilySuite().test_facts_name_real_modules
    for part in (layer, torch.nn.ModuleDict({"text_model": layer})):
        family = SimpleNamespace(denoiser=torch.nn.Identity(), text_encoders={"text_encoder": part})
        check(family, SimpleNamespace(targets=[good]))
        with pytest.raises(AttributeError):
            check(family, SimpleNamespace(targets=[bad]))


# -- data sources --------------------------------------------------------------------------------------------------------


def png(width: int = 40, height: int = 32) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def sample(key: str, **changes: Any) -> Sample:
    return attrs.evolve(Sample(key=key, width=40, height=32, caption="a", rights="own", credits="", read=png), **changes)


class Listed:
    """A source of given samples."""

    def __init__(self, *samples: Sample, problems: tuple[Problem, ...] = ()) -> None:
        self.found = Scan(samples, problems)

    def scan(self, context: Context) -> Scan:
        return self.found


class UsedUp(Listed):
    """Finds everything once."""

    def scan(self, context: Context) -> Scan:
        found, self.found = self.found, Scan(self.found.samples[:1])
        return found


class Restless(Listed):
    """Other bytes at each reading."""

    def scan(self, context: Context) -> Scan:
        count = iter(range(9))
        return Scan((sample("a.png", read=lambda: png(40 + next(count))),))


GOOD = Listed(sample("a.png"), sample("b.png"))
SOURCES = [
    ("test_samples_are_sorted_by_unique_keys", Listed(sample("b.png"), sample("a.png"))),
    ("test_samples_are_sorted_by_unique_keys", Listed(sample("a.png"), sample("a.png"))),
    ("test_samples_are_sorted_by_unique_keys", Listed(sample("/data/a.png"))),
    ("test_samples_are_sorted_by_unique_keys", Listed(sample("sub\\a.png"))),
    ("test_samples_are_sorted_by_unique_keys", Listed(sample("../a.png"))),
    ("test_samples_are_sorted_by_unique_keys", Listed()),
    ("test_samples_are_sorted_by_unique_keys", Listed(sample("a.png"), problems=(Problem("data", "bad"),))),
    ("test_sizes_are_those_of_the_pictures", Listed(sample("a.png", width=32, height=40))),
    ("test_scanning_again_finds_the_same", UsedUp(sample("a.png"), sample("b.png"))),
    ("test_scanning_again_finds_the_same", Restless()),
    ("test_captions_and_rights_are_declared", Listed(sample("a.png", caption=" "))),
    ("test_captions_and_rights_are_declared", Listed(sample("a.png", rights="mine"))),
    ("test_captions_and_rights_are_declared", Listed(sample("a.png", credits=None))),
]


@pytest.mark.parametrize(("check", "source"), SOURCES, ids=range(len(SOURCES)))
def test_data_source_suite_refuses(check: str, source: Listed, context: Context) -> None:
    """Each fault is found by the check that looks for it, which a good source passes."""
    getattr(DataSourceSuite(), check)(GOOD, context)
    refused(getattr(DataSourceSuite(), check), source, context)


def test_data_source_suite_refuses_what_cannot_scan() -> None:
    """A source has ``scan(context)``."""
    refused(DataSourceSuite().test_it_keeps_the_contract, object())


# -- exporters -----------------------------------------------------------------------------------------------------------


class Plain:
    """Keeps the contract: one file with the neutral names in float32."""

    path = "{stem}.safetensors"

    def header(self, header: Any) -> dict[str, str]:
        return dict(header)

    def tensors(self, state: AdapterState) -> dict[str, Any]:
        return {name: tensor.clone() for name, tensor in state.tensors.items()}

    def files(self, state: AdapterState, *, model: ModelFacts, header: Any, stem: str) -> list[ExportFile]:
        return [ExportFile(self.path.format(stem=stem), self.tensors(state), self.header(header))]

    def read(self, tensors: Any, *, model: ModelFacts, adapter: Any) -> AdapterState:
        return AdapterState(adapter.kind, dict(tensors), adapter.alphas, adapter.rank)


def promise(options: Any, *, adapter: Any, model: Any, header: Any, stem: str) -> ExportFacts:
    """What ``Plain`` writes."""
    return ExportFacts(f"{stem}.safetensors", {name: ("F32", tuple(shape)) for name, shape in adapter.tensors.items()}, dict(header))


class Away(Plain):
    """Writes outside the folder."""

    path = "../{stem}.safetensors"


class Rooted(Plain):
    """Writes to a place of its own."""

    path = "/tmp/{stem}.safetensors"


class Stemless(Plain):
    """Every epoch the same name."""

    path = "style.safetensors"


class Twice(Plain):
    """Two files of one name."""

    def files(self, state: AdapterState, **rest: Any) -> list[ExportFile]:
        return [*super().files(state, **rest), *super().files(state, **rest)]


class Telling(Plain):
    """Tells where it was written."""

    def header(self, header: Any) -> dict[str, str]:
        return {**header, "where": f"{Path.cwd()}/out"}


class Rounding(Plain):
    """Other dtypes than promised."""

    def tensors(self, state: AdapterState) -> dict[str, Any]:
        return {name: tensor.half() for name, tensor in super().tensors(state).items()}


class Losing(Plain):
    """Leaves a tensor out."""

    def tensors(self, state: AdapterState) -> dict[str, Any]:
        return dict(list(super().tensors(state).items())[1:])


class Turning(Plain):
    """Reads something else than it wrote."""

    def read(self, tensors: Any, **rest: Any) -> AdapterState:
        return super().read({name: -tensor for name, tensor in tensors.items()}, **rest)


class Alphaless(Plain):
    """Forgets the alphas."""

    def read(self, tensors: Any, **rest: Any) -> AdapterState:
        return attrs.evolve(super().read(tensors, **rest), alphas={})


class Growing(Plain):
    """Writes into the adapter's own tensors."""

    def tensors(self, state: AdapterState) -> dict[str, Any]:
        return {name: tensor.mul_(1.01) for name, tensor in state.tensors.items()}


class Counting(Plain):
    """Another file each time."""

    calls = 0

    def tensors(self, state: AdapterState) -> dict[str, Any]:
        self.calls += 1
        return {name: tensor + self.calls for name, tensor in state.tensors.items()}


EXPORTERS = {
    "test_paths_stay_inside_the_folder": (Away, Rooted, Stemless, Twice),
    "test_headers_say_nothing_of_the_machine": (Telling,),
    "test_files_are_those_that_plan_promised": (Rounding, Losing, Telling, Stemless),
    "test_what_is_written_can_be_read": (Losing, Turning, Alphaless),
    "test_exporting_changes_nothing": (Growing, Counting),
}


@pytest.mark.parametrize(("check", "kind"), pairs(EXPORTERS))
def test_exporter_suite_refuses(check: str, kind: type[Plain], context: Context) -> None:
    """Each fault is found by the check that looks for it, which a good exporter passes."""
    model = tiny_facts(TinyOptions(), context=context)
    for exporter in (Plain(), kind()):
        adapter = unet_lora(model, 2)
        state = drawn_weights(adapter)
        given = {"built": exporter, "component": SimpleNamespace(facts=promise), "made_options": None, "adapter": adapter, "model": model,
                 "state": state, "files": exporter.files(state, model=model, header=HEADER, stem="suite-000001")}  # fmt: skip
        method = getattr(ExporterSuite, check)
        wanted = method.__code__.co_varnames[1 : method.__code__.co_argcount]
        names = {name: given[name] for name in wanted}
        if type(exporter) is Plain:
            method(ExporterSuite(), **names)
        else:
            refused(method, ExporterSuite(), **names)


# -- what runs ---------------------------------------------------------------------------------------------------------------


class Misheard:
    """Listens to an event with an argument that it does not have."""

    @hookimpl
    def loraspec_after_step(self, run: Any, loss: Any) -> None:
        """Never called."""


class Quiet:
    """Listens to nothing."""

    def after_step(self) -> None:
        """No event."""


def test_callback_suite_refuses_what_hears_nothing() -> None:
    """No event at all, or one with arguments that it does not have."""
    import pluggy

    class Heard:
        @hookimpl
        def loraspec_after_step(self, step: int) -> None:
            """Called."""

    CallbackSuite().test_it_listens(Heard())
    refused(CallbackSuite().test_it_listens, Quiet())
    with pytest.raises(pluggy.PluginValidationError):
        CallbackSuite().test_it_listens(Misheard())


BROKEN = """
from attrs import frozen
from loraspec import Component, hookimpl

@frozen
class Options:
    pass

class Judge:
    def evaluate(self, run):
        return {"distance": float("nan")}

class Diary:
    def log(self, metrics, *, step):
        raise OSError("no space")

class Trip:
    @hookimpl
    def loraspec_after_step(self, step):
        raise ValueError("tripped")

def judge(options):
    "A judge without an opinion."
    return Judge()

def diary(options):
    "A diary that cannot be written."
    return Diary()

def trip(options):
    "A callback that fails."
    return Trip()

@hookimpl
def loraspec_register_evaluator():
    return [Component("judge", Options, judge)]

@hookimpl
def loraspec_register_tracker():
    return [Component("diary", Options, diary)]

@hookimpl
def loraspec_register_callback():
    return [Component("trip", Options, trip)]
"""


def test_runs_with_broken_components_are_refused(
    install_plugin: Callable[..., Any], run_spec: Callable[..., RunOutcome], tiny_plugin: None
) -> None:
    """A metric that is no number and a muted tracker are found in what a real run leaves; a failing callback fails the run."""
    install_plugin("broken", BROKEN)
    outcome = run_spec(spec_with("evaluators", "broken:judge", {}) + '\n[[trackers]]\nuse = "broken:diary"\n')
    outcome.assert_success()

    refused(EvaluatorSuite().test_metrics_are_finite_numbers, None, None, outcome)
    refused(TrackerSuite().test_a_run_with_it_succeeds, outcome)
    failed = run_spec(spec_with("callbacks", "broken:trip", {}), folder="failed")
    with pytest.raises(AssertionError, match="tripped"):
        failed.assert_success()


def test_evaluator_suite_refuses_silence(tmp_path: Path) -> None:
    """A run in which no evaluator spoke, and a component without ``evaluate``."""
    (tmp_path / "events.jsonl").write_text('{"kind": "log"}\n', encoding="utf-8")

    refused(EvaluatorSuite().test_metrics_are_finite_numbers, None, None, RunOutcome(0, "", "", tmp_path))
    with pytest.raises(AttributeError):
        EvaluatorSuite().test_it_can_evaluate(object())
