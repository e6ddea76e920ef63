"""The plan: a spec with every choice resolved and checked, and exactly what will happen. Needs no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from attrs import field, frozen

from loraspec.catalog import discover
from loraspec.choices import ResolvedStage, bad_export, broken_files, choose, plugin_files, requirements, spec_warnings
from loraspec.contracts import AdapterFacts, Context, ExportFacts, ModelFacts, Placement, Sample, Visit
from loraspec.dataplan import Bucket, DataPlan, PlacedSample, Step
from loraspec.errors import EnvironmentMissing, Problem, SpecError, by_position
from loraspec.gridplan import GridPlan, grid_of
from loraspec.randomness import rng_of
from loraspec.scan import gather
from loraspec.spec.load import load, place
from loraspec.spec.resolved import spec_hash
from loraspec.stages import STAGE, STAGES

if TYPE_CHECKING:
    from loraspec.catalog import Catalog
    from loraspec.spec.document import SpecDocument
    from loraspec.spec.overlay import Overlay
    from loraspec.spec.schema import Spec

__all__ = [
    "Bucket",
    "DataPlan",
    "GridPlan",
    "PlacedSample",
    "Placement",
    "Plan",
    "ResolvedStage",
    "Sample",
    "Step",
    "Visit",
    "canonical",
    "resolve",
]


def canonical(value: Any) -> bytes:
    """Return the one JSON text of a plain value: sorted keys, compact, ASCII. Hashes are taken of this."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def plain(value: Any) -> Any:
    """Return an options instance (or anything inside one) as tables, lists and scalars; absent (None) keys are left out."""
    if attrs.has(type(value)):
        value = {name: getattr(value, name) for name in attrs.fields_dict(type(value))}
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value


@frozen(eq=False)
class Plan:
    """A spec with every choice resolved and every option checked.

    Attributes:
        document, overlay, spec: The text, its layers, the core's tables.
        catalog, context: Where the components came from, and what they may know of their surroundings.
        stages: The chosen components of each stage, by stage name, in spec order.
        profiles, sets: Profiles and ``--set`` values that were applied, in order.
        warnings: What was found when the spec was checked; the data's warnings are in ``data.problems``.
    """

    document: SpecDocument
    overlay: Overlay
    spec: Spec
    catalog: Catalog
    context: Context
    stages: Mapping[str, tuple[ResolvedStage, ...]]
    profiles: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    warnings: tuple[Problem, ...] = ()
    _built: dict[str, tuple[Any, ...]] = field(init=False, factory=dict)
    _exports: dict[int, tuple[ExportFacts, ...]] = field(init=False, factory=dict)

    # -- what was chosen -----------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The run's name."""
        return self.spec.run.name

    def one(self, stage: str) -> ResolvedStage | None:
        """Return the chosen component of a stage that takes one, or None."""
        return next(iter(self.stages[stage]), None)

    def many(self, stage: str) -> tuple[ResolvedStage, ...]:
        """Return the chosen components of a stage, in spec order."""
        return self.stages[stage]

    def built(self, stage: str) -> tuple[Any, ...]:
        """Return the objects of a torch-free stage, built once, in spec order.

        Raises:
            SpecError: A component refuses its options.
        """
        if not STAGE[stage].torch_free:
            raise ValueError(f"{stage} is built by the run, not by the plan")
        if stage not in self._built:
            made: list[Any] = []
            for choice in self.many(stage):
                try:
                    made.append(choice.entry.component.build(choice.options))
                except ValueError as error:
                    raise SpecError([self.placed(Problem(choice.path, str(error), code="E-SPEC-CONFLICT"))]) from error
            self._built[stage] = tuple(made)
        return self._built[stage]

    @cached_property
    def resolved(self) -> dict[str, Any]:
        """The spec with every default written out and every ``use`` in full, as plain tables: itself a valid spec."""
        tables: dict[str, Any] = plain(self.spec)
        for stage in STAGES:
            *above, last = stage.table.split(".")
            table = tables
            for key in above:
                table = table[key]
            made = [{"use": choice.entry.qualified, **plain(choice.options)} for choice in self.many(stage.name)]
            table.pop(last, None)
            if stage.count == "many":
                table[last] = made
            elif made:
                table[last] = made[0]
        return tables

    @cached_property
    def spec_hash(self) -> str:
        """sha256 of the resolved spec; where the run's folder lies is not part of it."""
        return spec_hash(self.resolved_without_place)

    @property
    def resolved_without_place(self) -> dict[str, Any]:
        """The resolved spec without ``run.output``."""
        run = {key: value for key, value in self.resolved["run"].items() if key != "output"}
        return {**self.resolved, "run": run}

    @property
    def run_folder(self) -> Path:
        """Where the run goes, relative to the working directory: ``run.output``, or ``runs/<name>-<first 8 of the hash>``."""
        return Path(self.spec.run.output) if self.spec.run.output else Path("runs") / f"{self.name}-{self.spec_hash[:8]}"

    def placed(self, problem: Problem, where: str | None = None) -> Problem:
        """Return a problem with its position in the spec: of its own path, or of ``where`` (for an image: its source)."""
        return _placed(self.document, self.overlay, problem, where)

    @contextmanager
    def _placing(self) -> Iterator[None]:
        """Give the problems of a component that refuses its options their position in the spec."""
        try:
            yield
        except SpecError as error:
            raise SpecError(map(self.placed, error.problems)) from error

    @property
    def meanwhile(self) -> str:
        """What can be looked at while data or weights are missing: ``SPEC --profile NAME`` of a profile with data of its own, or ""."""
        profiles = self.document.tables.get("profiles", {})
        own = [name for name, layer in profiles.items() if name not in self.profiles and "sources" in layer.get("data", {})]
        return f"{self.document.name} --profile {own[-1]}" if own else ""

    # -- what will happen ----------------------------------------------------------------------------------------------

    @cached_property
    def model(self) -> ModelFacts:
        """What the base model is. Raises EnvironmentMissing when its files are needed and not there."""
        choice = self.stages["model_family"][0]
        assert choice.entry.component.facts is not None  # the catalog refuses model families without
        with self._placing():
            facts: ModelFacts = choice.entry.component.facts(choice.options, context=self.context)
        return facts

    @cached_property
    def adapter(self) -> AdapterFacts:
        """What will be trained."""
        choice = self.stages["adapter"][0]
        assert choice.entry.component.facts is not None
        with self._placing():
            facts: AdapterFacts = choice.entry.component.facts(choice.options, model=self.model)
        return facts

    @cached_property
    def data(self) -> DataPlan:
        """Images, buckets, steps and captions. Raises SpecError naming every bad image, EnvironmentMissing without the data."""
        return gather(self)

    @cached_property
    def grid(self) -> GridPlan:
        """What the grid will show."""
        return grid_of(self)

    def stem(self, epoch: int) -> str:
        """Return the name of an epoch's files, without extension."""
        return f"{self.name}-{epoch:06d}"

    def exports(self, epoch: int) -> tuple[ExportFacts, ...]:
        """Return the files of an epoch (from 1), in the order of the exporters.

        Raises:
            SpecError: Two exporters write one file, or one writes outside the folder of the epochs.
        """
        if epoch in self._exports:
            return self._exports[epoch]
        found: list[ExportFacts] = []
        for choice in self.many("exporter"):
            facts = choice.entry.component.facts
            assert facts is not None
            made = facts(choice.options, adapter=self.adapter, model=self.model, header=self.header(epoch), stem=self.stem(epoch))
            wrong = bad_export(choice.path, made.path, [other.path for other in found])
            if wrong is not None:
                raise SpecError([self.placed(wrong)])
            found.append(made)
        return self._exports.setdefault(epoch, tuple(found))

    def header(self, epoch: int) -> dict[str, str]:
        """Return what a weight file of this epoch may say of its run: no path, user, host or time."""
        from loraspec.header import header_of

        return header_of(self, epoch)

    def summary(self) -> dict[str, Any]:
        """Return what ``loraspec plan --json`` prints."""
        from loraspec.forecast import summary_of

        return summary_of(self)


def resolve(
    path: Path | str, *, profiles: Sequence[str] = (), sets: Sequence[str] = (), catalog: Catalog | None = None
) -> Plan:
    """Make the plan of a spec.

    Args:
        path: The spec, as the user named it.
        profiles: Profiles to apply, in order.
        sets: ``a.b=VALUE`` settings, the last layer.
        catalog: Components to choose from; None discovers the installed ones and the spec's plugin files.

    Raises:
        SpecError: Everything that is wrong, placed and sorted.
    """
    loaded, found = load(path, profiles=profiles, sets=sets, strict=False)
    if loaded is None:
        raise SpecError(found)
    document, overlay, folder = loaded.document, loaded.overlay, Path(path).resolve().parent
    files, problems = plugin_files(overlay.tables.get("plugins"), folder)
    problems += requirements(overlay.tables.get("requires"))
    known = catalog if catalog is not None else discover(files)
    problems += broken_files(overlay.tables.get("plugins"), folder, known)
    stages, wrong = choose(loaded.choices, known)
    spec = loaded.checked
    problems += [*wrong, *(spec_warnings(spec, stages) if spec is not None else ())]
    problems = [*found, *(_placed(document, overlay, problem) for problem in problems)]
    if spec is None or _errors(problems):
        raise SpecError(_errors(problems))
    context = Context(folder=folder, rng=rng_of(spec.run.seed), extensions=known.extensions)
    plan = Plan(document, overlay, spec, known, context, stages, tuple(profiles), tuple(sets), tuple(by_position(problems)))
    checked = [plan.placed(problem) for problem in _check_plan(plan)]
    if _errors(checked):
        raise SpecError(_errors(checked))
    return attrs.evolve(plan, warnings=tuple(by_position([*plan.warnings, *checked])))


def _check_plan(plan: Plan) -> list[Problem]:
    """Ask the plugins that own a chosen component; a check that needs files that are not here waits until they are."""
    problems: list[Problem] = []
    for owner in sorted({choice.entry.plugin for choices in plan.stages.values() for choice in choices}):
        try:
            problems += plan.catalog.check_plan(plan, [owner])
        except EnvironmentMissing:
            continue
        except SpecError as error:
            problems += error.problems
    return problems


def _errors(problems: Sequence[Problem]) -> list[Problem]:
    return [problem for problem in problems if problem.severity == "error"]


def _placed(document: SpecDocument, overlay: Overlay, problem: Problem, where: str | None = None) -> Problem:
    if problem.file:
        return problem
    try:
        at = place(document, overlay, attrs.evolve(problem, path=problem.path if where is None else where))
    except ValueError:  # not a path of a spec: a plugin named something else
        return attrs.evolve(problem, file=document.name)
    return attrs.evolve(problem, file=at.file, line=at.line, column=at.column)
