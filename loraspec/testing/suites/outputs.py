"""Suites for ``exporter``, ``evaluator``, ``tracker``, ``callback`` and ``launcher``."""

from __future__ import annotations

import getpass
import math
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pluggy
import pytest

from loraspec.contracts import Tracker
from loraspec.hookspecs import PROJECT, RunHooks
from loraspec.stages import STAGE
from loraspec.testing.fixtures import RunOutcome
from loraspec.testing.suites.base import ComponentSuite
from loraspec.testing.suites.models import drawn
from loraspec.testing.tiny import GRID_ONLY, TINY_SPEC, TinyOptions, tiny_facts
from loraspec.values import AdapterFacts, AdapterState, Context, ModelFacts

HEADER = {"ss_output_name": "suite", "loraspec_spec": "0" * 64}


def spec_with(table: str, use: str, options: dict[str, Any]) -> str:
    """Return the tiny spec with one component more in a ``[[table]]``; grid and epochs as small as they get."""
    from loraspec.cli.describe import toml_value

    silent = "" if table == "evaluators" else "evaluators = []\n"
    head = TINY_SPEC.replace(GRID_ONLY, "").replace("loraspec = 1\n", f"loraspec = 1\n{silent}", 1)
    lines = [f"{key} = {toml_value(value)}" for key, value in options.items()]
    return "\n".join([head, f"[[{table}]]", f'use = "{use}"', *lines, ""])


def listens(listener: object) -> list[str]:
    """Return the events that an object listens to, after checking that each exists and takes known arguments."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(RunHooks)
    manager.register(listener, name="listener")
    manager.check_pending()
    return [caller.name for caller in manager.get_hookcallers(listener) or ()]


def unet_lora(model: ModelFacts, rank: int) -> AdapterFacts:
    """Return the facts of a LoRA on every U-Net target of a model, with alpha 1."""
    tensors: dict[str, tuple[int, ...]] = {}
    alphas: dict[str, float] = {}
    for target in model.targets:
        if target.component == "unet":
            module = f"{target.component}.{target.name}"
            ones = (1, 1) if target.conv else ()
            tensors[f"{module}.lora_down.weight"] = (rank, target.in_features, *ones)
            tensors[f"{module}.lora_up.weight"] = (target.out_features, rank, *ones)
            alphas[module] = 1.0
    return AdapterFacts("lora", dict(sorted(tensors.items())), alphas, rank)


def drawn_weights(adapter: AdapterFacts) -> AdapterState:
    """Return normal weights of an adapter."""
    return AdapterState(adapter.kind, {name: drawn(name, *shape) for name, shape in adapter.tensors.items()}, adapter.alphas, adapter.rank)


class _RunsSuite(ComponentSuite):
    """What is checked in a whole run of the tiny pipeline."""

    @pytest.fixture
    def outcome(
        self, entry: Any, raw_options: dict[str, Any], run_spec: Callable[..., RunOutcome], tiny_plugin: None
    ) -> RunOutcome:
        """A finished run of two epochs with the component."""
        outcome = run_spec(spec_with(STAGE[self.stage].table, entry.qualified, raw_options))
        outcome.assert_success()
        return outcome

    def test_a_run_with_it_succeeds(self, outcome: RunOutcome) -> None:
        """Two epochs leave two weight files, and nothing was muted."""
        assert len(outcome.epoch_files) == 2
        assert not [event for event in outcome.events if "muted" in str(event.get("text", ""))]


class EvaluatorSuite(_RunsSuite):
    """``build(options)`` gives an ``Evaluator``; it judges a finished run of the tiny pipeline."""

    stage: ClassVar[str] = "evaluator"

    def test_metrics_are_finite_numbers(self, component: Any, made_options: Any, outcome: RunOutcome) -> None:
        """The run recorded what the evaluator returned."""
        judged = [event for event in outcome.events if event.get("kind") == "evaluation" or "evaluator" in event]
        numbers = [value for event in judged for value in event.get("metrics", {}).values()]

        assert judged, [event.get("kind") for event in outcome.events]
        assert all(isinstance(value, int | float) and math.isfinite(value) for value in numbers)

    def test_it_can_evaluate(self, built: Any) -> None:
        """It has ``evaluate(run)``."""
        assert callable(built.evaluate)


class TrackerSuite(_RunsSuite):
    """``build(options)`` gives a ``Tracker``, which may listen to events."""

    stage: ClassVar[str] = "tracker"

    def test_it_keeps_the_contract(self, built: Any) -> None:
        """It logs, and the events it listens to exist."""
        assert isinstance(built, Tracker)
        listens(built)


class CallbackSuite(_RunsSuite):
    """``build(options)`` gives any object with event methods."""

    stage: ClassVar[str] = "callback"

    def test_it_listens(self, built: Any) -> None:
        """At least one event, and each exists."""
        assert listens(built)


class ExporterSuite(ComponentSuite):
    """``build(options)`` gives an ``Exporter``, ``facts(options, adapter=, model=, header=, stem=)`` the files' shapes."""

    stage: ClassVar[str] = "exporter"
    rank: ClassVar[int] = 2

    @pytest.fixture
    def model(self, context: Context) -> ModelFacts:
        """The model whose adapter is exported: the tiny one, with the block names of SD 1.5; override for another family."""
        return tiny_facts(TinyOptions(), context=context)

    @pytest.fixture
    def adapter(self, model: ModelFacts) -> AdapterFacts:
        """A LoRA on every U-Net target."""
        return unet_lora(model, self.rank)

    @pytest.fixture
    def state(self, adapter: AdapterFacts) -> AdapterState:
        """Weights for it."""
        return drawn_weights(adapter)

    @pytest.fixture
    def files(self, built: Any, state: AdapterState, model: ModelFacts) -> list[Any]:
        """What the exporter writes."""
        return list(built.files(state, model=model, header=HEADER, stem="suite-000001"))

    def test_files_are_those_that_plan_promised(
        self, component: Any, made_options: Any, files: list[Any], adapter: AdapterFacts, model: ModelFacts
    ) -> None:
        """Path, keys, dtypes, shapes and header agree, so sizes that ``plan`` prints are exact."""
        promised = component.facts(made_options, adapter=adapter, model=model, header=HEADER, stem="suite-000001")
        promised = [promised] if hasattr(promised, "path") else list(promised)
        dtypes = {"torch.float32": "F32", "torch.float16": "F16", "torch.bfloat16": "BF16"}

        assert [file.path for file in files] == [facts.path for facts in promised]
        for file, facts in zip(files, promised, strict=True):
            written = {name: (dtypes[str(tensor.dtype)], tuple(tensor.shape)) for name, tensor in file.tensors.items()}
            assert written == {name: (dtype, tuple(shape)) for name, (dtype, shape) in facts.tensors.items()}
            assert dict(file.metadata) == dict(facts.metadata)

    def test_paths_stay_inside_the_folder(self, files: list[Any]) -> None:
        """Relative, with the stem, and different for each file."""
        paths = [file.path for file in files]

        assert paths
        assert len(set(paths)) == len(paths)
        assert all("suite-000001" in path and not Path(path).is_absolute() and ".." not in Path(path).parts for path in paths)

    def test_headers_say_nothing_of_the_machine(self, files: list[Any]) -> None:
        """Strings only; no path, user or host; what the run says of itself is there."""
        text = "\n".join(value for file in files for value in file.metadata.values())

        assert all(isinstance(value, str) for file in files for value in file.metadata.values())
        for private in (str(Path.home()), str(Path.cwd()), socket.gethostname(), f"/{getpass.getuser()}/"):
            assert private not in text

    def test_what_is_written_can_be_read(
        self, built: Any, files: list[Any], state: AdapterState, model: ModelFacts, adapter: AdapterFacts
    ) -> None:
        """The inverse gives the weights back, to the precision of the file's dtype."""
        tensors = {name: tensor for file in files for name, tensor in file.tensors.items()}
        read = built.read(tensors, model=model, adapter=adapter)

        assert set(read.tensors) == set(state.tensors)
        assert all(read.tensors[name].allclose(state.tensors[name], rtol=1e-2, atol=1e-3) for name in state.tensors)
        assert dict(read.alphas) == dict(state.alphas)

    def test_exporting_changes_nothing(self, built: Any, state: AdapterState, model: ModelFacts, files: list[Any]) -> None:
        """The same weights give the same files, and the adapter's own tensors are not written into."""
        before = {name: tensor.clone() for name, tensor in state.tensors.items()}
        again = list(built.files(state, model=model, header=HEADER, stem="suite-000001"))

        assert all(state.tensors[name].equal(before[name]) for name in before)
        for first, second in zip(files, again, strict=True):
            assert all(first.tensors[name].equal(second.tensors[name]) for name in first.tensors)


class LauncherSuite(ComponentSuite):
    """``build(options)`` gives a ``Launcher``."""

    stage: ClassVar[str] = "launcher"

    @pytest.mark.parametrize("code", [0, 3])
    def test_it_returns_the_exit_code(self, built: Any, code: int) -> None:
        """Of the work, or of the command that does the same elsewhere."""
        command = [sys.executable, "-c", f"raise SystemExit({code})"]

        assert built.launch(lambda: code, command=command) == code
