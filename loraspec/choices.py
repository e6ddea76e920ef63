"""From stage tables to checked components: look each ``use`` up in the catalog, read its options, say all that is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from attrs import frozen

from loraspec.catalog import ComponentError
from loraspec.errors import PluginError, Problem
from loraspec.places import broken_place, is_absolute, leaves_folder
from loraspec.plugins import missing_requirements
from loraspec.spec.convert import options_of
from loraspec.stages import STAGES, Stage

if TYPE_CHECKING:
    from loraspec.catalog import Catalog, Entry
    from loraspec.spec.schema import Choice, Spec


@frozen(eq=False)
class ResolvedStage:
    """One component chosen by a spec: the catalog's entry and its checked options.

    ``path`` is its place in the spec (``optimizer``, ``captions.transforms[1]``), for problems of ``check_plan``.
    """

    stage: str
    entry: Entry  # plugin, distribution, version, component
    options: Any  # instance of entry.component.options
    path: str = ""


def choose(
    choices: Sequence[tuple[Stage, str, Choice]], catalog: Catalog
) -> tuple[dict[str, tuple[ResolvedStage, ...]], list[Problem]]:
    """Resolve (stage, path, choice) triples; every stage is a key of the result, in pipeline order."""
    chosen: dict[str, tuple[ResolvedStage, ...]] = {stage.name: () for stage in STAGES}
    problems: list[Problem] = []
    for stage, path, choice in choices:
        try:
            entry = catalog.find(stage.name, choice.use)
            options, wrong = options_of(entry.component.options, choice.options, path)
        except ComponentError as error:
            problems.append(Problem(f"{path}.use", error.message, error.hint, code=error.code or "E-PLUGIN-MISSING"))
            continue
        except PluginError as error:
            problems.append(Problem(f"{path}.use", f"component {choice.use!r} is broken: {error}", code="E-PLUGIN-CONTRACT"))
            continue
        problems += wrong
        if options is not None:
            problems += _places(options, path)
            chosen[stage.name] += (ResolvedStage(stage.name, entry, options, path),)
    return chosen, problems


def requirements(value: Any) -> Iterator[Problem]:
    """Yield a problem for each requirement of the key ``requires`` that is not met; its hint is the ``pip install`` line."""
    texts = _texts(value)
    for text, message, hint in missing_requirements(texts):
        code = "E-PLUGIN-MISSING" if message.endswith("is not installed") else "E-PLUGIN-DRIFT" if hint else "E-SPEC-PATTERN"
        yield Problem(f"requires[{texts.index(text)}]", message, hint, code=code)


def _places(options: Any, path: str) -> Iterator[Problem]:
    """Yield what is wrong with the options that name places for files."""
    for attribute in attrs.fields(type(options)):
        text = getattr(options, attribute.name)
        if not attribute.metadata.get("place") or not isinstance(text, str):
            continue
        where = f"{path}.{attribute.name}"
        found = broken_place(text)
        if found is not None:
            code, message, hint = found
            yield Problem(where, message, hint, code=code)
        elif is_absolute(text):
            hint = "a path relative to the spec works wherever both are copied"
            yield Problem(where, f"{text!r} is a path of this machine", hint, severity="warning", code="W-PATH-ABSOLUTE")


def plugin_files(value: Any, folder: Path) -> tuple[list[Path], list[Problem]]:
    """Return the files that the key ``plugins`` names (relative to the spec's folder), and a problem for each that is not there."""
    found: list[Path] = []
    problems: list[Problem] = []
    for number, name in enumerate(_texts(value)):
        where, path = f"plugins[{number}]", (folder / name).resolve()
        broken = broken_place(name)
        if broken is not None:
            problems.append(Problem(where, broken[1], broken[2], code=broken[0]))
        elif is_absolute(name) or leaves_folder(name):
            hint = "copy it beside the spec; a plugin that several specs share is an installed package"
            problems.append(Problem(where, f"{name!r} is outside the spec's folder", hint, code="E-PATH-ESCAPE"))
        elif path.suffix == ".py" and path.is_file():
            found.append(path)
        else:
            problems.append(Problem(where, f"no Python file {name!r} beside the spec", code="E-PLUGIN-MISSING"))
    return found, problems


def broken_files(value: Any, folder: Path, catalog: Catalog) -> Iterator[Problem]:
    """Yield a problem for each file of the key ``plugins`` that is no usable plugin: whoever names a file needs it."""
    reasons = {plugin.file: plugin.error for plugin in catalog.broken if plugin.file is not None}
    for number, name in enumerate(_texts(value)):
        reason = reasons.get((folder / name).resolve())
        if reason is not None:
            yield Problem(f"plugins[{number}]", f"{name!r} cannot be used: {reason}", code="E-PLUGIN-IMPORT")


def bad_export(where: str, path: str, others: Sequence[str]) -> Problem | None:
    """Return what is wrong with the path of a file that an exporter wants to write, or None."""
    if is_absolute(path) or leaves_folder(path) or broken_place(path) is not None:
        return Problem(where, f"wants to write {path!r}, outside the folder of the epochs", "tell its author", code="E-PATH-ESCAPE")
    if path in others:
        return Problem(where, f"writes {path!r}, as another exporter does", code="E-SPEC-CONFLICT")
    return None


def spec_warnings(spec: Spec, stages: Mapping[str, Sequence[ResolvedStage]]) -> Iterator[Problem]:
    """Yield what is allowed and rarely meant."""
    for stage in stages["data_source"]:
        if not getattr(stage.options, "rights", "declared"):
            hint = 'rights = "own", "licensed" or "public-domain"; and credits = "who is to be named"'
            message = "does not say with which right these images are used"
            yield Problem(f"{stage.path}.rights", message, hint, code="E-DATA-RIGHTS")
    tag, prompts = spec.captions.style_tag, spec.grid.prompts
    if tag and prompts and not any(tag.casefold() in prompt.casefold() for prompt in prompts):
        hint = "the style is learnt together with its tag"
        yield Problem("grid.prompts", f"no prompt holds the style tag {tag!r}", hint, severity="warning", code="W-GRID-TAG")


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, (list, tuple)) else []
