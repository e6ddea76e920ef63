"""What the caption experiment compares: four ways to caption the same pictures, and the run of each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import frozen

from loraspec_picturebook import vocabulary
from loraspec_picturebook.sets import png, set_picture, set_scenes, style_caption
from loraspec_picturebook.styles import STYLES, Style

if TYPE_CHECKING:
    from loraspec_picturebook.world import Scene

EPOCHS: Final = 8
IMAGES: Final = 36
STYLE_NAMES: Final = ("stained-glass", "lithograph")
SEEDS: Final = (1, 2, 3, 4, 5)


@frozen
class Arm:
    """One way to caption.

    Attributes:
        name: Names folders and rows.
        told: What the page says of it.
        caption: The caption of a training picture.
        shuffled: Whether descriptors behind the first change places.
    """

    name: str
    told: str
    caption: Callable[[Scene, Style], str]
    shuffled: bool = True


def bare(scene: Scene, style: Style) -> str:
    """The subject and the style, nothing else: "caricature of a man, lithography, by Honoré Daumier"."""
    article = "an" if scene.subject[0] in "aeiou" else "a"
    return ", ".join((" ".join((style.subject_prefix, article, scene.subject)).strip(), *style.descriptors))


def fused(scene: Scene, style: Style) -> str:
    """Every word of the full caption, told in one breath: nothing but the style is a descriptor of its own."""
    parts = style_caption(scene, style).split(", ")
    first, others = parts[0], parts[1 : -len(style.descriptors)]
    coat = [f"in a {others.pop(0)}"] if scene.subject in vocabulary.PEOPLE else []
    place = f"in a {others[0]}"
    beside = [f"with {' and '.join(others[1:])}"] if others[1:] else []
    return ", ".join((" ".join((first, *coat, place, *beside)), *style.descriptors))


ARMS: Final = (
    Arm("guide", "detailed captions, descriptors shuffled behind the first", style_caption),
    Arm("unshuffled", "the same captions, never shuffled", style_caption, shuffled=False),
    Arm("bare", "subject and style only", bare),
    Arm("fused", "all the words, without commas between the elements", fused),
)


def late(scene: Scene, style: Style) -> str:
    """The full caption as a prompt with the setting behind everything else, where training without shuffling never had it."""
    parts = style_caption(scene, style).split(", ")
    parts.remove(scene.setting)
    return ", ".join((*parts, scene.setting))


FORMS: Final[dict[str, Callable[[Scene, Style], str]]] = {"own": style_caption, "late": late}
"""How held-out scenes are asked for: as captions are written, and with the setting last."""


def spec_of(arm: Arm, style: Style, seed: int) -> str:
    """Return the spec of one run; its pictures lie beside it, in the folder ``pictures``."""
    transforms = '[[captions.transforms]]\nuse = "shuffle"\nkeep = 1\n' if arm.shuffled else ""
    return f"""loraspec = 1

[run]
name = "{arm.name}-{style.name}-{seed}"
seed = {seed}

[model]
use = "sdxl"
checkpoint = "package:loraspec_picturebook/base"

[data]
repeats = 10
resolution = 64
buckets = {{ step = 16, min = 64, max = 64 }}
expect = {{ min_side = 64 }}

[[data.sources]]
use = "folder"
path = "pictures"
rights = "own"

[captions]
style_tag = {json.dumps(style.descriptors[-1], ensure_ascii=False)}
first_prefix = {json.dumps(style.subject_prefix, ensure_ascii=False)}
{transforms}
[adapter]
use = "lora"
rank = 16
alpha = 16

[optimizer]
use = "dadapt-adamw"
growth_rate = 1.02

[lr_scheduler]
use = "cosine"
warmup = 0.05

[train]
epochs = {EPOCHS}
batch_size = 4
mixed_precision = "bf16"
threads = 1

[grid]
heldout = 0
prompts = ["one picture of {style.name}"]
"""


def written(arm: Arm, style_name: str, seed: int, folder: Path) -> Path:
    """Write spec, pictures and captions of one run into a folder, and return the spec's path."""
    style = STYLES[style_name]
    pictures = folder / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    for number, scene in enumerate(set_scenes(IMAGES, seed=seed), 1):
        (pictures / f"{number:02}.png").write_bytes(png(set_picture(scene, style)))
        (pictures / f"{number:02}.txt").write_text(arm.caption(scene, style) + "\n", encoding="utf-8")
    spec = folder / "spec.toml"
    spec.write_text(spec_of(arm, style, seed), encoding="utf-8")
    return spec
