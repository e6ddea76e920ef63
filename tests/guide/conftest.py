"""Tiny pipelines that many tests read: each folder is written once, each family loaded once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from loraspec.randomness import rng_of
from loraspec.testing.pipelines import build_tiny
from loraspec.values import Context


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Path]]:
    """``tiny_folder(shape, **settings)`` returns a diffusers folder that nobody may write into: copy it for that."""
    built: dict[tuple[Any, ...], Path] = {}

    def stamps() -> dict[Path, tuple[int, int]]:
        files = (file for folder in built.values() for file in folder.rglob("*") if file.is_file())
        return {file: (file.stat().st_size, file.stat().st_mtime_ns) for file in files}

    first: dict[Path, tuple[int, int]] = {}

    def folder(shape: str, **settings: Any) -> Path:
        key = (shape, *sorted(settings.items()))
        if key not in built:
            built[key] = build_tiny(tmp_path_factory.mktemp("pipeline") / shape, shape, **settings)  # type: ignore[arg-type]
            first.update({file: stamp for file, stamp in stamps().items() if file.is_relative_to(built[key])})
        return built[key]

    yield folder
    assert stamps() == first, "a test wrote into a shared folder"


@pytest.fixture(scope="session")
def tiny_family(tiny_folder: Callable[..., Path]) -> Callable[..., Any]:
    """``tiny_family(shape)`` returns the family of that folder, loaded on the CPU; tests that change it take ``own_family``."""
    import torch
    from loraspec_guide.models.registry import MODEL_FAMILIES

    from loraspec.values import Precision

    components = {component.name: component for component in MODEL_FAMILIES}
    loaded: dict[tuple[str, Any], Any] = {}

    def family(shape: str, dtype: Any = torch.float32) -> Any:
        if (shape, dtype) not in loaded:
            folder, component = tiny_folder(shape), components[shape.split("-")[0]]
            made = component.build(component.options(checkpoint=folder.name))
            made.load(Context(folder.parent, rng_of(0), lambda hook: []), precision=Precision(torch.device("cpu"), dtype, None))
            loaded[shape, dtype] = made
        return loaded[shape, dtype]

    return family


@pytest.fixture(scope="session")
def own_family(tiny_family: Callable[..., Any], tiny_folder: Callable[..., Path]) -> Callable[..., tuple[Any, Any]]:
    """``own_family(shape)`` returns a copy of the loaded family, to adapt and to train, and its facts."""
    from loraspec_guide.models.registry import MODEL_FAMILIES

    components = {component.name: component for component in MODEL_FAMILIES}

    def family(shape: str, *dtype: Any) -> tuple[Any, Any]:
        folder, component = tiny_folder(shape), components[shape.split("-")[0]]
        assert component.facts is not None
        facts = component.facts(component.options(checkpoint=folder.name), context=Context(folder.parent, rng_of(0), lambda hook: []))
        return copy.deepcopy(tiny_family(shape, *dtype)), facts

    return family
