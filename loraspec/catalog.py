"""The catalog: every component that the installed plugins (and a spec's plugin files) offer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

from loraspec.components import Component
from loraspec.errors import EXIT_SPEC, LoraspecError, PluginError, Problem, closest, did_you_mean
from loraspec.plugins import LoadedPlugins, Plugin, load
from loraspec.stages import STAGE, STAGES, Stage

NEEDS_FACTS = ("model_family", "adapter", "exporter")


class ComponentError(LoraspecError):
    """A spec names a component that the catalog cannot give; ``message`` says what, ``hint`` how to go on."""

    exit_code = EXIT_SPEC

    def __init__(self, message: str, hint: str = "") -> None:
        self.message, self.hint = message, hint
        super().__init__(message + (f"\n    hint: {hint}" if hint else ""))


@frozen(eq=False)
class Entry:
    """A component and where it came from.

    Attributes:
        stage: Name of the stage.
        plugin: Name of the plugin.
        distribution, version, origin, record_sha256: As in ``loraspec.plugins.Plugin``.
        component: What the plugin offered.
    """

    stage: str
    plugin: str
    distribution: str
    version: str
    origin: str
    record_sha256: str
    component: Component

    @property
    def qualified(self) -> str:
        """The name that is never ambiguous: ``guide:dadapt-adamw``."""
        return f"{self.plugin}:{self.component.name}"


@frozen(eq=False)
class Catalog:
    """All components, sorted by stage (in pipeline order), name, plugin.

    Attributes:
        plugins: Usable plugins.
        broken: Plugins that cannot be used, each with ``error``; plugin files among them have ``file``.
        outdated: Plugins of another API version; never imported.
        disabled: Plugins that were left out by name.
    """

    plugins: tuple[Plugin, ...]
    broken: tuple[Plugin, ...]
    outdated: tuple[Plugin, ...]
    disabled: tuple[Plugin, ...]
    _entries: tuple[Entry, ...] = field(alias="entries")
    _checks: tuple[tuple[str, Any], ...] = field(alias="checks", default=())
    _extensions: Mapping[str, tuple[tuple[str, Any], ...]] = field(alias="extensions", factory=dict)

    def entries(self, stage: str | None = None) -> tuple[Entry, ...]:
        """Return the components of one stage, or of all."""
        return tuple(entry for entry in self._entries if stage is None or entry.stage == stage)

    def extensions(self, hook: str) -> Sequence[tuple[str, Any]]:
        """Return what plugins answered to a plugin-defined hook: ``(plugin name, returned value)``, in plugin order.

        Raises:
            PluginError: No plugin defines the hook.
        """
        if hook not in self._extensions:
            raise PluginError(f"no plugin defines a hook named {hook!r}")
        return self._extensions[hook]

    def check_plan(self, plan: Any, owners: Iterable[str]) -> list[Problem]:
        """Let the plugins that own a chosen component object to a plan; a check that crashes is a problem of its own."""
        chosen, problems = set(owners), []
        for plugin, check in self._checks:
            if plugin not in chosen:
                continue
            try:
                problems += list(check(plan) or ())
            except LoraspecError:
                raise
            except Exception as error:
                message = f"plugin {plugin!r} failed to check the plan: {type(error).__name__}: {error}"
                problems.append(Problem("", message, code="E-PLUGIN-CONTRACT"))
        return problems

    def find(self, stage: str, use: str) -> Entry:
        """Return the component that ``use`` names: ``name``, or ``plugin:name``.

        Raises:
            ComponentError: Unknown, ambiguous, of another stage, or offered by a plugin that is broken.
        """
        plugin, colon, name = use.rpartition(":")
        if colon and not any(known.name == plugin for known in self.plugins):
            raise self._no_such_plugin(plugin)
        offered = [e for e in self.entries(stage) if not colon or e.plugin == plugin]
        found = [entry for entry in offered if entry.component.name == name]
        if len(found) > 1:
            raise ComponentError(
                f"{name!r} is offered by {len(found)} plugins", "write " + " or ".join(repr(entry.qualified) for entry in found)
            ).coded("E-PLUGIN-CLASH")
        if not found:
            raise self._no_such_component(STAGE[stage], plugin, name, [entry.component.name for entry in offered])
        return found[0]

    def _no_such_plugin(self, name: str) -> ComponentError:
        for plugin in self.broken + self.outdated:
            if plugin.name == name:
                code = "E-PLUGIN-API" if plugin in self.outdated else "E-PLUGIN-IMPORT"
                return ComponentError(f"plugin {plugin.title} cannot be used: {plugin.error}", f"loraspec plugins show {name}").coded(code)
        for plugin in self.disabled:
            if plugin.name == name:
                return ComponentError(f"plugin {plugin.title} is disabled", "take it out of LORASPEC_DISABLED_PLUGINS")
        return ComponentError(f"no plugin is named {name!r}", did_you_mean(name, [plugin.name for plugin in self.plugins]))

    def _no_such_component(self, stage: Stage, plugin: str, name: str, offered: list[str]) -> ComponentError:
        elsewhere = [e for e in self._entries if e.component.name == name and e.stage != stage.name]
        hints = [f"{name!r} is {_article(STAGE[e.stage].title)} {STAGE[e.stage].title}: [{STAGE[e.stage].table}]" for e in elsewhere[:1]]
        if closest(name, offered) is not None or not hints:
            hints.append(did_you_mean(name, offered) or f"no plugin offers {_article(stage.title)} {stage.title}")
        if not plugin:
            hints += [f"plugin {broken.title} cannot be used: {broken.error}" for broken in self.broken]
            hints += [f"plugin {old.title} is {old.error}" for old in self.outdated]
        who = f"plugin {plugin!r} has no {stage.title} named" if plugin else f"no {stage.title} is named"
        return ComponentError(f"{who} {name!r}", "; ".join(hints))


def discover(files: Sequence[Path] = ()) -> Catalog:
    """Load the installed plugins and the given plugin files, and collect what they offer.

    Raises:
        PluginError: Two distributions claim one entry-point name, or a plugin offers a name twice in a stage.
    """
    loaded = load(files)
    usable: list[Plugin] = []
    broken = list(loaded.broken)
    entries: list[Entry] = []
    answers: dict[str, list[tuple[str, Any]]] = {hook: [] for hook in loaded.extension_hooks}
    checks: list[tuple[str, Any]] = []
    for plugin in loaded.plugins:
        try:
            offered = list(_components(loaded, plugin))
            own = [(hook, value) for hook in answers for value in _answers(loaded, plugin, hook)]
        except (Exception, SystemExit) as error:
            broken.append(plugin.broken(str(error) if isinstance(error, _RejectedError) else error))
            continue
        _refuse_twice(plugin, offered)
        usable.append(plugin)
        entries += [
            Entry(stage, plugin.name, plugin.distribution, plugin.version, plugin.origin, plugin.record_sha256, component)
            for stage, component in offered
        ]
        for hook, value in own:
            answers[hook].append((plugin.name, value))
        checks += [(plugin.name, function) for function in _functions(loaded, plugin, "loraspec_check_plan")]
    order = {stage.name: number for number, stage in enumerate(STAGES)}
    return Catalog(
        plugins=tuple(usable),
        broken=tuple(broken),
        outdated=loaded.outdated,
        disabled=loaded.disabled,
        entries=tuple(sorted(entries, key=lambda e: (order[e.stage], e.component.name, e.plugin))),
        checks=tuple(checks),
        extensions={hook: tuple(pairs) for hook, pairs in answers.items()},
    )


class _RejectedError(Exception):
    """A plugin's answer is not what the hook asks for."""


def _functions(loaded: LoadedPlugins, plugin: Plugin, hook: str) -> Iterator[Any]:
    # One implementation at a time, so that every answer keeps the name of its plugin.
    for implementation in getattr(loaded.manager.hook, hook).get_hookimpls():
        if implementation.plugin_name != plugin.name:
            continue
        function, taken = implementation.function, implementation.argnames
        yield (lambda *args, function=function, taken=taken: function(*args[: len(taken)]))


def _components(loaded: LoadedPlugins, plugin: Plugin) -> Iterator[tuple[str, Component]]:
    for stage in STAGES:
        for function in _functions(loaded, plugin, stage.hook):
            answer = function()
            if not isinstance(answer, Iterable) or isinstance(answer, str | bytes):
                raise _RejectedError(f"{stage.hook} returned {answer!r}, not a list of components")
            for component in answer:
                if not isinstance(component, Component):
                    raise _RejectedError(f"{stage.hook} offers {component!r}, which is not a Component")
                if component.facts is None and stage.name in NEEDS_FACTS:
                    raise _RejectedError(f"{stage.hook}: component {component.name!r} has no facts, which a {stage.title} must give")
                yield stage.name, component


def _answers(loaded: LoadedPlugins, plugin: Plugin, hook: str) -> Iterator[Any]:
    for function in _functions(loaded, plugin, hook):
        answer = function()
        if answer is not None:
            yield tuple(answer) if isinstance(answer, Iterator) else answer


def _refuse_twice(plugin: Plugin, offered: list[tuple[str, Component]]) -> None:
    seen: set[tuple[str, str]] = set()
    for stage, component in offered:
        if (stage, component.name) in seen:
            raise PluginError(f"plugin {plugin.title} offers the {STAGE[stage].title} {component.name!r} twice")
        seen.add((stage, component.name))


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" or noun.startswith("lr ") else "a"
