"""Exporters offered by the guide; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from attrs import frozen

from loraspec.components import Component, option
from loraspec.errors import EnvironmentMissing, Problem, SpecError
from loraspec.values import AdapterFacts, ExportFacts, ModelFacts
from loraspec_guide.exporters.header import diffusers_metadata, kohya_metadata
from loraspec_guide.exporters.names import DTYPES, FAMILIES, diffusers_keys, kohya_keys

if TYPE_CHECKING:
    from loraspec.contracts import Exporter
    from loraspec.plan import Plan

Keys = Callable[..., dict[str, tuple[str, tuple[int, ...]]]]


@frozen
class ExportOptions:
    """Options of both exporters."""

    dtype: Literal["fp16", "bf16", "fp32"] = option(default="fp16", help="dtype of the written weights; training keeps float32.")


def kohya_facts(options: ExportOptions, *, adapter: AdapterFacts, model: ModelFacts, header: Mapping[str, str], stem: str) -> ExportFacts:
    """Keys, shapes and header of a kohya file: ``<stem>.safetensors``."""
    kept = DTYPES[options.dtype]
    tensors = {key: (kept, adapter.tensors[name]) for name, key in kohya_keys(adapter.tensors, model).items()}
    tensors |= dict.fromkeys(kohya_keys((f"{module}.alpha" for module in adapter.alphas), model).values(), (kept, ()))
    return ExportFacts(f"{stem}.safetensors", dict(sorted(tensors.items())), kohya_metadata(header, model=model, rank=adapter.rank))


def diffusers_facts(
    options: ExportOptions, *, adapter: AdapterFacts, model: ModelFacts, header: Mapping[str, str], stem: str
) -> ExportFacts:
    """Keys, shapes and header of a diffusers file: ``diffusers/<stem>.safetensors``."""
    kept = DTYPES[options.dtype]
    tensors = {key: (kept, adapter.tensors[name]) for name, key in diffusers_keys(adapter.tensors).items()}
    metadata = diffusers_metadata(header, model=model, alphas=adapter.alphas, rank=adapter.rank)
    return ExportFacts(f"diffusers/{stem}.safetensors", dict(sorted(tensors.items())), metadata)


def build_kohya(options: ExportOptions) -> Exporter:
    """The form that A1111, ComfyUI and sd-scripts read: SAI block names for SDXL, diffusers block names for SD 1.5."""
    from loraspec_guide.exporters.files import Kohya

    return Kohya(options)


def build_diffusers(options: ExportOptions) -> Exporter:
    """The form that diffusers' save_lora_weights writes, with rank and alpha in its header."""
    from loraspec_guide.exporters.files import Diffusers

    return Diffusers(options)


EXPORTERS = [
    Component("kohya", ExportOptions, build_kohya, ("torch",), kohya_facts),
    Component("diffusers", ExportOptions, build_diffusers, ("torch",), diffusers_facts),
]


def check_plan(plan: Plan) -> Iterable[Problem]:
    """Refuse kinds of adapters and families that these exporters cannot name."""
    ours = [(number, stage) for number, stage in enumerate(plan.many("exporter")) if stage.entry.component in EXPORTERS]
    if not ours:
        return
    try:
        kind: Any = plan.adapter.kind
        family = plan.model.family
    except (EnvironmentMissing, SpecError):
        return  # told where the facts are needed
    for number, stage in ours:
        name = stage.entry.component.name
        if kind != "lora":
            yield Problem(f"exporters[{number}].use", f"{name!r} writes adapters of kind 'lora'; this one is a {kind!r}",
                          "choose an exporter that the adapter's plugin offers", code="E-SPEC-CONFLICT")
        elif family not in FAMILIES:
            message = f"{name!r} knows the families {', '.join(FAMILIES)}; the model is a {family!r}"
            yield Problem(f"exporters[{number}].use", message, code="E-SPEC-CONFLICT")
