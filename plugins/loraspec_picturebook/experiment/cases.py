"""Which LoRAs the experiment trains: styles, numbers of pictures, strengths and training seeds, and the spec of each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from loraspec.stages import METRICS as EMBEDDED

if TYPE_CHECKING:
    from loraspec_picturebook.styles import Style
    from loraspec_picturebook.world import Scene

EPOCHS: Final = 20
WEIGHTS: Final = (0.8, 0.9, 1.0, 1.15)
SEEDS: Final = (31, 32)
TRUTH_SEEDS: Final = (41, 42, 43, 44, 45, 46, 47, 48)  # that no metric sees
PROMPTS: Final = 8
FULL: Final = 34
METRICS: Final = (*EMBEDDED, "picturebook-margin")
STYLE_FILE: Final = "docs/experiments/styles.py"
"""Below the project's folder: the plugin file that two of the styles come from."""

LOOKED_AT: Final = frozenset((
    "blackboard-16-guide-1", "blackboard-16-guide-2", "blackboard-4-memorise-1", "blackboard-8-strong-1", "engraving-16-guide-1",
    "engraving-34-guide-1", "engraving-4-memorise-1", "engraving-8-strong-1", "engraving-8-strong-2", "lithograph-16-weak-1",
    "lithograph-34-guide-1", "lithograph-4-memorise-1", "lithograph-4-memorise-2", "lithograph-8-strong-1", "lithograph-8-strong-2",
    "riso-34-strong-1", "riso-4-memorise-1", "stained-glass-16-strong-1", "stained-glass-4-memorise-2", "stained-glass-8-guide-1",
))  # fmt: skip
"""Runs whose truth was known when metrics and rule were last changed (a list, and no property: it is history). The others are a test."""


@frozen
class Strength:
    """How hard a case trains.

    Attributes:
        optimizer: The spec's ``[optimizer]``.
        rank: Rank and alpha.
        steps: Optimizer steps an epoch at batch 4, reached by repeats; 0: 10 repeats, whatever that makes.
        memorises: Whether the case is there to memorise.
    """

    optimizer: str
    rank: int
    steps: int = 0
    memorises: bool = False


STRENGTHS: Final = {
    "weak": Strength('{ use = "adamw", lr = 1e-4 }', 4),
    "guide": Strength('{ use = "dadapt-adamw", growth_rate = 1.02 }', 16),
    "strong": Strength('{ use = "adamw", lr = 1e-3 }', 32),
    "memorise": Strength('{ use = "adamw", lr = 2e-3 }', 64, steps=60, memorises=True),
}


@frozen
class Case:
    """One LoRA of the experiment.

    Attributes:
        style: Name of the style.
        images: Training pictures; three more, or 15 %, are held out.
        strength: A key of ``STRENGTHS``.
        seed: Seed of the run.
    """

    style: str
    images: int
    strength: str
    seed: int

    @property
    def name(self) -> str:
        """``lithograph-16-guide-1``: names the folder and the row."""
        return f"{self.style}-{self.images}-{self.strength}-{self.seed}"

    @property
    def heldout(self) -> int:
        """Pictures that are held out."""
        return max(3, -(-self.images * 15 // 85))

    @property
    def repeats(self) -> int:
        """Repeats of each picture in an epoch."""
        steps = STRENGTHS[self.strength].steps
        return -(-steps * 4 // self.images) if steps else 10


def cases() -> Iterator[Case]:
    """Yield the cases, so that every prefix is balanced: each style soon, each size and strength soon.

    The design is fractional: each style meets each size once and each strength at two sizes; two training seeds where it says so.
    """
    first = [("lithograph", FULL, "guide"), ("blackboard", 16, "guide"), ("stained-glass", 4, "memorise"), ("engraving", 8, "strong"),
             ("riso", 4, "memorise"), ("lithograph", 16, "weak"), ("stained-glass", 16, "strong"),
             ("engraving", FULL, "guide")]  # fmt: skip
    second = [("riso", 8, "guide"), ("blackboard", 4, "memorise"), ("lithograph", 8, "strong"), ("stained-glass", 8, "guide"),
              ("riso", FULL, "strong"), ("engraving", 16, "guide"), ("blackboard", 8, "strong"), ("lithograph", 4, "memorise"),
              ("stained-glass", FULL, "guide"), ("riso", 16, "weak"), ("engraving", 4, "memorise"),
              ("blackboard", FULL, "guide")]  # fmt: skip
    yield from (Case(*row, seed=1) for row in first)
    yield from (Case(*row, seed=2) for row in first[:4])
    yield from (Case(*row, seed=1) for row in second)
    yield from (Case(*row, seed=2) for row in [*first[4:], *second])


def cases_of(styles: Iterable[str]) -> Iterator[Case]:
    """Yield cases for styles of one's own: each style as soon as may be, then what differs most from what there was."""
    every = list(styles)
    for seed in (1, 2):
        for images, strength in ((16, "guide"), (8, "strong"), (4, "memorise"), (FULL, "guide"), (16, "weak")):
            yield from (Case(style, images, strength, seed=seed) for style in every)


def style_of(name: str, style_file: Path) -> Style:
    """Return a style by name, built in or from the plugin file.

    Raises:
        KeyError: There is none of this name.
    """
    from loraspec_picturebook.styles import STYLES

    if name in STYLES:
        return STYLES[name]
    return {style.name: style for style in plugin_styles(style_file)}[name]


def plugin_styles(style_file: Path) -> list[Style]:
    """Return the styles of a plugin file.

    Raises:
        OSError: It cannot be read.
        KeyError: It offers none.
    """
    import runpy

    found: list[Style] = runpy.run_path(str(style_file))["loraspec_picturebook_register_style"]()
    return found


def prompts_of(case: Case, style_file: Path) -> list[str]:
    """Return the judged prompts of a case: captions, in its style, of scenes that no training set holds."""
    from loraspec_picturebook.sets import style_caption

    style = style_of(case.style, style_file)
    return [style_caption(scene, style) for scene in scenes_of(case)]


def scenes_of(case: Case) -> list[Scene]:
    """Return the scenes of the judged prompts: new ones.

    Where a case is there to memorise, half of them are training scenes with another colour and layout: a prompt has to be near to
    training to wake a memory, and half of what loraspec judges by is that near.
    """
    from attrs import evolve

    from loraspec_picturebook.truth import held_out, same_words
    from loraspec_picturebook.vocabulary import COLOURS

    new = held_out(PROMPTS, seed=case.seed + 100)
    if not STRENGTHS[case.strength].memorises:
        return new
    colours = list(COLOURS)
    near = [
        same_words(evolve(scene, colour=colours[(colours.index(scene.colour) + 1 + number) % len(colours)]), 1000)
        for number, scene in enumerate(training_scenes(case).values())
    ]
    return [*near[: PROMPTS // 2], *new[: PROMPTS - len(near[: PROMPTS // 2])]]


def training_scenes(case: Case) -> dict[str, Scene]:
    """Return the scenes that a case trains on, by key; what is held out is drawn as a run draws it."""
    from loraspec.dataplan import draw_heldout
    from loraspec_picturebook.sets import set_scenes

    scenes = set_scenes(case.images + case.heldout, seed=case.seed)
    every = {f"{case.style}-{number:04d}.png": scene for number, scene in enumerate(scenes, 1)}
    held = draw_heldout([frozenset([key]) for key in every], case.heldout, case.seed)
    return {key: scene for key, scene in every.items() if key not in held}


def spec_of(case: Case, style_file: Path, *, judged: bool) -> str:
    """Return the text of the case's spec, beside which the style file has to lie.

    float32, because a CPU without bf16 units takes twelve times as long in bf16. Without ``judged`` it only trains and draws: the longest
    part, which no change of a metric or of the rule touches.
    """
    strength, style = STRENGTHS[case.strength], style_of(case.style, style_file)
    from loraspec_picturebook.styles import STYLES

    plugin = "" if case.style in STYLES else f'plugins = ["./{style_file.name}"]\n'
    lines: dict[str, Any] = {
        "run": f'name = "{case.name}"\nseed = {case.seed}',
        "model": 'use = "sdxl"\ncheckpoint = "package:loraspec_picturebook/base"',
        "data": f"repeats = {case.repeats}\nresolution = 64\nbuckets = {{ step = 16, min = 64, max = 64 }}",
        "[data.sources]": f'use = "picturebook"\nstyle = "{case.style}"\nimages = {case.images + case.heldout}\nseed = {case.seed}',
        "captions": f"style_tag = {json.dumps(style.descriptors[-1])}\nfirst_prefix = {json.dumps(style.subject_prefix)}",
        "[captions.transforms]": 'use = "shuffle"\nkeep = 1',
        "adapter": f'use = "lora"\nrank = {strength.rank}\nalpha = {strength.rank}',
        "optimizer": "\n".join(strength.optimizer.strip("{} ").split(", ")),
        "lr_scheduler": 'use = "cosine"\nwarmup = 0.05',
        "train": f'epochs = {EPOCHS}\nbatch_size = 4\nmixed_precision = "no"\nthreads = 1',
        "grid": f"heldout = {case.heldout}\nweights = {list(WEIGHTS)}\nseeds = {list(SEEDS)}\njudged_seeds = {list(SEEDS)}\n"
        'sampler = "ddim"\nsteps = 8\nguidance = 2.5\n'
        f"prompts = {json.dumps(prompts_of(case, style_file), ensure_ascii=False)}",
        "[evaluators]": "\n[[evaluators]]\n".join(
            ['use = "grid"\nbatch_size = 16', *(f'use = "{name}"' for name in (METRICS if judged else ()))]
        ),
    }  # fmt: skip
    return f"loraspec = 1\n{plugin}\n" + "\n".join(f"[{table}]\n{text}\n" for table, text in lines.items())
