"""Finding and loading plugins: entry points in sorted order, plugin files, and the rules that every plugin keeps.

pluggy's own loader is not used: it skips the second plugin of a name without a word, in the order of the path.
"""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.util
import inspect
import os
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy
from attrs import evolve, field, frozen

from loraspec.distributions import missing_requirements, normalized, origin_of, record_sha256
from loraspec.errors import PluginError, closest
from loraspec.hookspecs import API_VERSION, PROJECT, PlanHooks, RegistrationHooks, RunHooks

__all__ = ["DISABLED_VARIABLE", "GROUP", "LoadedPlugins", "Plugin", "load", "missing_requirements"]

GROUP = f"loraspec.v{API_VERSION}"
DISABLED_VARIABLE = "LORASPEC_DISABLED_PLUGINS"
_ANY_GROUP = re.compile(r"loraspec\.v(\d+)")
_EVENTS = frozenset(name for name in vars(RunHooks) if name.startswith("loraspec_"))


@frozen(eq=False)
class Plugin:
    """An importable module with components, found through an entry point or as a file.

    Attributes:
        name: Entry-point name, or the file's stem.
        distribution, version: Of the package it came in; "" for a file.
        origin: ``index``, ``vcs:<commit>``, ``path``, ``url``, ``editable`` (PEP 610), or ``file``.
        record_sha256: sha256 of the distribution's RECORD, or of the file; "" when there is none.
        target: What is imported: ``package.module``, or the file's name.
        file: The plugin file, or None.
        module: The imported object; None while it is not loaded.
        error: Why it is not usable, in one line; "" when it is.
        details: The traceback behind ``error``, or "".
    """

    name: str
    distribution: str = ""
    version: str = ""
    origin: str = ""
    record_sha256: str = ""
    target: str = ""
    file: Path | None = None
    module: Any = None
    error: str = ""
    details: str = field(default="", repr=False)

    @property
    def title(self) -> str:
        """The plugin with what a person installed: ``'prodigy' (loraspec-prodigy 0.3.0)``."""
        return f"{self.name!r} ({self.distribution} {self.version})" if self.distribution else f"{self.name!r} ({self.target})"

    def broken(self, error: str | BaseException) -> Plugin:
        """Return the plugin with the reason why it cannot be used."""
        if isinstance(error, str):
            return evolve(self, error=error, module=None)
        lines = str(error).strip().splitlines() or [""]
        reason = f"{type(error).__name__}: {lines[0]}".rstrip(": ")
        return evolve(self, error=reason, details="".join(traceback.format_exception(error)), module=None)


@frozen(eq=False)
class LoadedPlugins:
    """What ``load`` found.

    Attributes:
        manager: Holds every usable plugin; its hooks are those of loraspec and those that plugins define.
        plugins: Usable plugins: installed ones sorted by distribution and name, then files in the order given.
        broken: Plugins that cannot be used, with the reason.
        outdated: Plugins of another API version; never imported.
        disabled: Plugins that ``LORASPEC_DISABLED_PLUGINS`` leaves out; never imported.
        extension_hooks: Names of the hooks that plugins define.
    """

    manager: pluggy.PluginManager
    plugins: tuple[Plugin, ...]
    broken: tuple[Plugin, ...]
    outdated: tuple[Plugin, ...]
    disabled: tuple[Plugin, ...]
    extension_hooks: tuple[str, ...] = field(default=())


def load(files: Sequence[Path] = ()) -> LoadedPlugins:
    """Import every installed plugin and the given files, and check each against the rules.

    A plugin that breaks a rule is set aside in ``broken``: it is fatal only to a spec that needs it.

    Raises:
        PluginError: Two distributions claim one entry-point name.
    """
    found, outdated, disabled = _installed()
    _refuse_clashes([plugin for plugin, _ in found])
    candidates = [_import_entry_point(plugin, entry_point) for plugin, entry_point in found]
    for path in files:
        candidates.append(_import_file(path, taken=candidates))
    candidates, namespaces = _extension_namespaces(candidates)
    manager = _manager(namespaces)
    known = {name for namespace in (RegistrationHooks, PlanHooks, *namespaces) for name in _specs_of(namespace)}
    plugins: list[Plugin] = []
    broken: list[Plugin] = []
    for plugin in candidates:
        checked = plugin if plugin.error else _checked(plugin, namespaces, known)
        if not checked.error:
            manager.register(checked.module, name=checked.name)
        (broken if checked.error else plugins).append(checked)
    hooks = sorted(name for namespace in namespaces for name in _specs_of(namespace))
    return LoadedPlugins(manager, tuple(plugins), tuple(broken), tuple(outdated), tuple(disabled), tuple(hooks))


# -- finding -----------------------------------------------------------------------------------------------------------


def _installed() -> tuple[list[tuple[Plugin, metadata.EntryPoint]], list[Plugin], list[Plugin]]:
    off = {word.strip() for word in os.environ.get(DISABLED_VARIABLE, "").split(",") if word.strip()}
    off_distributions = {normalized(word) for word in off}
    found, outdated, disabled = [], [], []
    every = metadata.entry_points()
    for entry_point in (entry_point for group in every.groups for entry_point in every.select(group=group)):
        match = _ANY_GROUP.fullmatch(entry_point.group)
        if match is None or entry_point.dist is None:
            continue
        dist = entry_point.dist
        plugin = Plugin(entry_point.name, dist.name, dist.version, origin_of(dist), record_sha256(dist), entry_point.value)
        if plugin.name in off or normalized(plugin.distribution) in off_distributions:
            disabled.append(plugin)
        elif int(match[1]) != API_VERSION:
            outdated.append(plugin.broken(f"written for plugin API v{match[1]}; this loraspec offers v{API_VERSION}"))
        else:
            found.append((plugin, entry_point))

    def place(plugin: Plugin) -> tuple[str, str]:
        return normalized(plugin.distribution), plugin.name

    return sorted(found, key=lambda pair: place(pair[0])), sorted(outdated, key=place), sorted(disabled, key=place)


def _refuse_clashes(plugins: list[Plugin]) -> None:
    by_name: dict[str, list[Plugin]] = {}
    for plugin in plugins:
        by_name.setdefault(plugin.name, []).append(plugin)
    for name, claimants in by_name.items():
        if len(claimants) > 1:
            who = " and ".join(f"{plugin.distribution} {plugin.version}" for plugin in claimants)
            raise PluginError(
                f"plugin name {name!r} is claimed by {who}\n"
                f"    hint: uninstall one, or leave one out: {DISABLED_VARIABLE}={claimants[-1].distribution}"
            ).coded("E-PLUGIN-CLASH")


# -- importing ---------------------------------------------------------------------------------------------------------


def _import_entry_point(plugin: Plugin, entry_point: metadata.EntryPoint) -> Plugin:
    try:
        return evolve(plugin, module=entry_point.load())
    except (Exception, SystemExit) as error:  # whatever a stranger's module does at import must not stop the others
        return plugin.broken(error)


class _BytesLoader(importlib.abc.SourceLoader):
    """Loads a module from bytes already read, so that what was hashed is what runs, and no bytecode is left behind."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path, self.data = path, data

    def get_filename(self, fullname: str) -> str:
        return str(self.path)

    def get_data(self, path: object) -> bytes:
        return self.data


def _import_file(path: Path, *, taken: Sequence[Plugin]) -> Plugin:
    plugin = Plugin(path.stem, origin="file", target=path.name, file=path)
    if path.suffix != ".py" or not re.fullmatch(r"[a-z][a-z0-9_-]*", path.stem):
        return plugin.broken(f"{path.name!r} cannot be a plugin file: name it like halftone.py, in lower case letters, digits, '_' and '-'")
    for other in taken:
        if other.name == plugin.name:
            return plugin.broken(f"the name {plugin.name!r} is taken by plugin {other.title}; rename the file")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return plugin.broken("no such file")
    except OSError as error:
        return plugin.broken(f"cannot be read: {error.strerror}")
    plugin = evolve(plugin, record_sha256=hashlib.sha256(data).hexdigest())
    key = hashlib.sha256(str(path.resolve()).encode() + b"\0" + data).hexdigest()[:16]
    name = f"loraspec_file_{re.sub(r'[^a-z0-9]', '_', path.stem)}_{key}"
    if name in sys.modules:
        return evolve(plugin, module=sys.modules[name])
    spec = importlib.util.spec_from_loader(name, _BytesLoader(path, data), origin=str(path))
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # attrs resolves annotations through sys.modules
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        broken = plugin.broken(error)
        line = next((frame.lineno for frame in reversed(traceback.extract_tb(error.__traceback__)) if frame.filename == str(path)), None)
        return evolve(broken, error=f"{broken.error} (line {line})") if line else broken
    return evolve(plugin, module=module)


# -- checking ----------------------------------------------------------------------------------------------------------


def _manager(namespaces: Sequence[Any]) -> pluggy.PluginManager:
    manager = pluggy.PluginManager(PROJECT)
    for namespace in (RegistrationHooks, PlanHooks, *namespaces):
        manager.add_hookspecs(namespace)
    return manager


def _specs_of(namespace: Any) -> Iterator[str]:
    """Yield the names of the hookspecs in a class or module."""
    for name in dir(namespace):
        if getattr(getattr(namespace, name, None), f"{PROJECT}_spec", None) is not None:
            yield name


def _extension_namespaces(candidates: list[Plugin]) -> tuple[list[Plugin], list[Any]]:
    """Ask every plugin for further hookspecs, before any plugin is checked against the known ones."""
    checked: list[Plugin] = []
    namespaces: list[Any] = []
    for plugin in candidates:
        offered: list[Any] = []
        if not plugin.error:
            try:
                probe = _manager(())
                probe.register(plugin.module, name=plugin.name)
                for implementation in probe.hook.loraspec_register_hookspecs.get_hookimpls():
                    answer: Any = implementation.function()
                    offered += list(answer)
                for namespace in offered:
                    _check_namespace(plugin, namespace)
                _manager([*namespaces, *offered])
            except (PluginError, pluggy.PluginValidationError) as error:
                plugin, offered = plugin.broken(" ".join(str(error).split())), []
            except (Exception, SystemExit) as error:
                plugin, offered = plugin.broken(error), []
        checked.append(plugin)
        namespaces += offered
    return checked, namespaces


def _check_namespace(plugin: Plugin, namespace: Any) -> None:
    prefix = f"loraspec_{plugin.name.replace('-', '_')}_register_"
    names = list(_specs_of(namespace))
    if not names:
        raise PluginError(f"loraspec_register_hookspecs offers {namespace!r}, which holds no hookspec")
    for name in names:
        if not name.startswith(prefix):
            raise PluginError(f"hookspec {name!r}: the hooks of this plugin start with {prefix!r}")
        parameters = [p for p in inspect.signature(getattr(namespace, name)).parameters if p != "self"]
        if parameters:
            raise PluginError(f"hookspec {name!r}: registration hooks take no arguments, this takes {', '.join(parameters)}")


def _checked(plugin: Plugin, namespaces: Sequence[Any], known: set[str]) -> Plugin:
    """Register a plugin with a manager of its own, so that a broken one leaves nothing behind in the shared one."""
    probe = _manager(namespaces)
    try:
        probe.register(plugin.module, name=plugin.name)
    except (pluggy.PluginValidationError, ValueError) as error:
        return plugin.broken(" ".join(str(error).split()))
    for caller in probe.get_hookcallers(plugin.module) or ():
        for implementation in caller.get_hookimpls():
            if not caller.has_spec() and caller.name in _EVENTS:
                return plugin.broken(f"{caller.name} is an event of a run: implement it on the object that a callback or tracker builds")
            if not caller.has_spec() and not implementation.optionalhook:
                best = closest(caller.name, known)
                hint = f"did you mean {best!r}?" if best else "mark it optionalhook=True if another plugin may define it"
                return plugin.broken(f"no hook is named {caller.name!r}; {hint}")
            if implementation.wrapper or implementation.hookwrapper:
                return plugin.broken(f"{caller.name} is a hook wrapper; hooks of loraspec cannot be wrapped")
    return plugin
