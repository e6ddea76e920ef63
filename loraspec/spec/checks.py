"""Contradictions between keys of the core tables; each problem names both keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from loraspec.errors import Problem
from loraspec.places import broken_place, is_absolute, leaves_folder
from loraspec.spec.overlay import DEFAULT, SET, Overlay
from loraspec.spec.rules import shown
from loraspec.spec.schema import Spec


def contradictions(spec: Spec, overlay: Overlay) -> list[Problem]:
    """Return what keys of a spec, each right by itself, have against each other."""
    return [*_output(spec, overlay), *_buckets(spec, overlay), *_expectations(spec), *_captions(spec), *_grid(spec, overlay),
            *_repeated(spec)]


def _named(overlay: Overlay, path: str, value: Any) -> str:
    """A key with its value, and whether anybody wrote it."""
    return f"{path} ({shown(value)}{', the default' if overlay.origin_of(path) == DEFAULT else ''})"


def _blamed(overlay: Overlay, *paths: str) -> str:
    """The first of some keys that somebody wrote: where the problem is shown."""
    return next((path for path in paths if overlay.origin_of(path) != DEFAULT), paths[0])


def _output(spec: Spec, overlay: Overlay) -> Iterator[Problem]:
    """A file from somebody else does not choose a place outside the folder one works in; the command line may."""
    output = spec.run.output
    if output is not None and overlay.origin_of("run.output") != SET:
        found = broken_place(output)
        if found is None and (is_absolute(output) or leaves_folder(output)):
            hint = "name a folder below it, or say it on the command line: --output DIR"
            found = ("E-PATH-ESCAPE", f"{shown(output)} is outside the working directory", hint)
        if found is not None:
            code, message, hint = found
            yield Problem("run.output", message, hint, code=code)


def _buckets(spec: Spec, overlay: Overlay) -> Iterator[Problem]:
    buckets, resolution = spec.data.buckets, spec.data.resolution
    sides = {"data.resolution": resolution, "data.buckets.min": buckets.min, "data.buckets.max": buckets.max}
    named = {path: _named(overlay, path, value) for path, value in sides.items()}
    for small, large in (
        ("data.buckets.min", "data.buckets.max"),
        ("data.buckets.min", "data.resolution"),
        ("data.resolution", "data.buckets.max"),
    ):
        if sides[small] > sides[large]:
            path = _blamed(overlay, small, large)
            hint = "data.buckets.min <= data.resolution <= data.buckets.max"
            yield Problem(path, f"{named[small]} is larger than {named[large]}", hint, code="E-SPEC-CONFLICT")
    step = buckets.step
    for path, side in sides.items():
        if side % step:
            below, above = side // step * step, (side // step + 1) * step
            message = f"{named[path]} is not a multiple of {_named(overlay, 'data.buckets.step', step)}"
            hint = f"{below} or {above}" if below else f"{above}"
            yield Problem(_blamed(overlay, path, "data.buckets.step"), message, hint, code="E-SPEC-RANGE")


def _expectations(spec: Spec) -> Iterator[Problem]:
    least, most = spec.data.expect.images
    if least > most or least < 0:
        yield Problem("data.expect.images", f"expected [least, most], got [{least}, {most}]", code="E-SPEC-RANGE")


def _captions(spec: Spec) -> Iterator[Problem]:
    captions = spec.captions
    for key in ("style_tag", "first_prefix"):
        text = getattr(captions, key)
        if captions.separator in text and captions.separator.strip():
            message = f"{shown(text)} holds captions.separator ({shown(captions.separator)}), but is one descriptor"
            yield Problem(f"captions.{key}", message, code="E-SPEC-CONFLICT")


def _grid(spec: Spec, overlay: Overlay) -> Iterator[Problem]:
    epochs = () if spec.grid.epochs == "all" else spec.grid.epochs
    for epoch in epochs:
        if isinstance(epoch, int) and not 1 <= epoch <= spec.train.epochs:
            message = f"epoch {epoch} is not trained: {_named(overlay, 'train.epochs', spec.train.epochs)}"
            yield Problem("grid.epochs", message, f"epochs are 1 to {spec.train.epochs}", code="E-SPEC-CONFLICT")
    for seed in spec.grid.seeds:
        if seed < 0:
            yield Problem("grid.seeds", f"every seed must be at least 0, got {seed}", code="E-SPEC-RANGE")


def _repeated(spec: Spec) -> Iterator[Problem]:
    grid = spec.grid
    lists: dict[str, Sequence[Any]] = {
        "grid.epochs": () if grid.epochs == "all" else grid.epochs,
        "grid.weights": grid.weights,
        "grid.seeds": grid.seeds,
        "grid.prompts": grid.prompts,
        "plugins": spec.plugins,
    }
    for path, values in lists.items():
        for value in dict.fromkeys(value for value in values if list(values).count(value) > 1):
            yield Problem(path, f"{shown(value)} is there twice", code="E-SPEC-DUP")
