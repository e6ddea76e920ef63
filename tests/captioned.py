"""A folder of pictures, some with captions, and its spec: what captions are drafted and reviewed on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from corpus.specs import noise

from loraspec.testing import TINY_SPEC

TAG = "by Honoré Daumier"
JUDGE = f"a judge with a wig, black robe, open book, wooden courtroom, lithography, {TAG}"
NURSE = f"a nurse in a hurry, white apron, brown bag, empty street, lithography, {TAG}"


def write_spec(folder: Path, *, captions: str = "", source: str = 'use = "folder"\npath = "images"', name: str = "spec.toml") -> Path:
    """Write a spec over ``images`` beside it; ``captions`` are further lines of ``[captions]``."""
    text = TINY_SPEC.replace('use = "tiny:tiny"\nrights = "own"', f'{source}\nrights = "own"')
    text = text.replace("buckets = {", "expect = { images = [1, 9999] }\nbuckets = {")
    text = text.replace("[adapter]", f'[captions]\nstyle_tag = "{TAG}"\n{captions}\n\n[adapter]')
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def write_images(folder: Path, captions: Mapping[str, str | None]) -> None:
    """Write a picture for each name, and its caption where it has one."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for number, (name, text) in enumerate(captions.items()):
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise(seed=number).save(path)
        if text is not None:
            path.with_suffix(".txt").write_text(text, encoding="utf-8")


def items(plan: Any) -> dict[str, Any]:
    """Return the items of a plan by key."""
    from loraspec.captioning.items import items_of

    return {item.key: item for item in items_of(plan)[0]}
