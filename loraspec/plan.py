"""The plan: a spec with every choice resolved and checked, and exactly what will happen. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from loraspec.contracts import AdapterFacts, Context, ExportFacts, ModelFacts, Placement, Sample, Visit

if TYPE_CHECKING:
    from loraspec.catalog import Catalog, Entry
    from loraspec.spec.schema import Spec


@frozen(eq=False)
class ResolvedStage:
    """One component chosen by a spec: the catalog's entry and its checked options."""

    stage: str
    entry: Entry  # plugin, distribution, version, component
    options: Any  # instance of entry.component.options


@frozen(eq=False)
class PlacedSample:
    """A training image with its bucket and its caption as found (or drafted)."""

    sample: Sample
    placement: Placement


@frozen(eq=False)
class Step:
    """One optimizer step: its visits (one bucket), split into micro-batches of at most ``batch_size``."""

    epoch: int
    index: int  # global, from 1
    micro_batches: tuple[tuple[Visit, ...], ...]
