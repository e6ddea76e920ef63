"""What every component keeps, whatever its stage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

from loraspec.catalog import Catalog, Entry, discover
from loraspec.components import Component
from loraspec.randomness import rng_of
from loraspec.stages import STAGE
from loraspec.testing.isolation import offered_without_torch, run_without_torch
from loraspec.values import Context

SEED = 1808

_BUILD = """
import json, pathlib, sys
from loraspec.catalog import discover
from loraspec.spec.convert import options_of
stage, use, files, options = json.loads(sys.argv[1])
component = discover([pathlib.Path(file) for file in files]).find(stage, use).component
made, problems = options_of(component.options, options, stage)
assert made is not None, problems
component.build(made)
"""


class ComponentSuite:
    """Checks that hold in every stage; subclass the suite of your stage instead.

    Attributes:
        use: What a spec writes after ``use =``; ``plugin:name`` when another plugin has the name too.
        options: The options to test with, as a spec writes them; override ``prepare`` when they name files.
        plugin_files: Plugin files to load, for plugins that are not installed.
    """

    stage: ClassVar[str] = ""
    use: ClassVar[str] = ""
    options: ClassVar[dict[str, Any]] = {}
    plugin_files: ClassVar[tuple[Path, ...]] = ()

    def prepare(self, folder: Path) -> dict[str, Any]:
        """Write what the options name under ``folder`` (the spec's folder) and return the options."""
        return dict(self.options)

    @pytest.fixture
    def catalog(self) -> Catalog:
        """The installed components."""
        return discover(self.plugin_files)

    @pytest.fixture
    def entry(self, catalog: Catalog) -> Entry:
        """The component under test, with its plugin."""
        return catalog.find(self.stage, self.use)

    @pytest.fixture
    def component(self, entry: Entry) -> Component:
        """The component under test."""
        return entry.component

    @pytest.fixture
    def context(self, tmp_path: Path, catalog: Catalog) -> Context:
        """The surroundings of a spec in ``tmp_path``."""
        return Context(folder=tmp_path, rng=rng_of(SEED), extensions=catalog.extensions)

    @pytest.fixture
    def raw_options(self, tmp_path: Path) -> dict[str, Any]:
        """The options as a spec writes them."""
        return self.prepare(tmp_path)

    @pytest.fixture
    def made_options(self, component: Component, raw_options: dict[str, Any]) -> Any:
        """An instance of the options class, converted as strictly as a spec is."""
        from loraspec.spec.convert import options_of

        made, problems = options_of(component.options, raw_options, STAGE[self.stage].table)
        assert made is not None, "\n".join(map(str, problems))
        return made

    @pytest.fixture
    def built(self, component: Component, made_options: Any) -> Any:
        """What ``build`` makes of the options."""
        return component.build(made_options)

    # -- checks --------------------------------------------------------------------------------------------------------

    def test_every_option_has_help(self, component: Component) -> None:
        """``loraspec plugins show`` and the docs have a sentence for each option, nested ones included."""
        assert _without_help(component.options) == []

    def test_component_has_a_summary(self, component: Component) -> None:
        """The first docstring line of ``build`` is what listings show."""
        assert component.summary

    def test_options_are_frozen(self, component: Component, made_options: Any) -> None:
        """Options are facts of the plan: nothing may change them later."""
        fields = attrs.fields(component.options)
        if fields:
            with pytest.raises(attrs.exceptions.FrozenInstanceError):
                setattr(made_options, fields[0].name, None)

    def test_plan_needs_no_torch(self, entry: Entry, raw_options: dict[str, Any]) -> None:
        """The plugin is imported, and what serves ``plan`` is built, where torch cannot be imported."""
        if not STAGE[self.stage].torch_free:
            offered, broken = offered_without_torch(self.plugin_files)
            assert f"{self.stage} {entry.qualified}" in offered, broken
            return
        words = [self.stage, self.use, [str(file) for file in self.plugin_files], raw_options]
        done = run_without_torch(_BUILD, json.dumps(words))
        assert done.returncode == 0, done.stderr

    def test_building_twice_gives_two_objects(self, component: Component, made_options: Any) -> None:
        """Two runs in one process share nothing."""
        first, second = component.build(made_options), component.build(made_options)

        assert first is not second or not hasattr(first, "__dict__") or not vars(first)


def _without_help(cls: type[Any], prefix: str = "") -> list[str]:
    missing = []
    for field in attrs.fields(cls):
        if isinstance(field.type, type) and attrs.has(field.type):
            missing += _without_help(field.type, f"{prefix}{field.name}.")
        elif not field.metadata.get("help"):
            missing.append(prefix + field.name)
    return missing
