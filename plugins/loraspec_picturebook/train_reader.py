"""The training step ``reader``: the two towers, on the world's drawings and captions, in any look but that of a style set.

Half of what it sees was gone over by the base (``redrawn``): what it will read is drawn by a model, softly and with mistakes. It learns
two things at once: which caption of a batch is a picture's (Radford et al. 2021), and which of the world's subjects it shows, as it will be
asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from loraspec_picturebook import world
from loraspec_picturebook.manners import MANNERS
from loraspec_picturebook.models import fresh
from loraspec_picturebook.reader import SIDE, TOKENIZER, Reader, towers
from loraspec_picturebook.redrawn import BATCH as BATCH_OVER
from loraspec_picturebook.redrawn import gone_over
from loraspec_picturebook.textures import recoloured, restyled
from loraspec_picturebook.training import learning_rate
from loraspec_picturebook.vocabulary import SUBJECTS
from loraspec_picturebook.words import STYLE_WORDS, load_tokenizer

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Log = Callable[[int, float, float], object]

SCENES, STEP, REDRAWN = 601, 602, 603
"""Name the random streams; disjoint from those of the base, the style sets, the probe and the truth."""
BATCH: Final = 128
STEPS: Final = 6000
POOL: Final = 40_000
GONE_OVER: Final = 16_000
"""How many of the pool's scenes the base goes over."""
OWN: Final = 0.2
"""Share of drawings in a manner of the world; the others are under generic textures."""
NEGATIVE: Final = 0.25
"""Share of those that are negatives before the texture comes: ink where there is light, as chalk has it."""
TINTED: Final = 0.3
"""Share of those whose colours change once more after it."""


def scenes_of(count: int, *, seed: int = 1) -> list[world.Scene]:
    """The first ``count`` scenes that the reader learns from."""
    return [world.sample_scene(world.generator(seed, SCENES, index)) for index in range(count)]


def written(scene: world.Scene, rng: Generator) -> str:
    """A caption as somebody might write it: with words that say nothing of the scene, in front and behind."""
    words = STYLE_WORDS.split()

    def some(most: int) -> str:
        return " ".join(words[int(rng.integers(len(words)))] for _ in range(int(rng.integers(0, most + 1))))

    text = world.caption(scene, manner="", size=bool(rng.random() < 0.7), coat=("in", "apart")[int(rng.integers(2))])
    return ", ".join(part for part in (f"{some(3)} {text}".strip(), some(2), some(3)) if part)


def look(plain: NDArray[np.uint8], rng: Generator) -> Floats:
    """A plain drawing in a manner of the world, or under a generic texture, as a model might draw it: a little soft, moved, noisy."""
    from loraspec_picturebook.manners import blur

    picture = textured(plain, rng)
    return disturbed(blur(picture) if rng.random() < 0.4 else picture, rng)


def textured(plain: NDArray[np.uint8], rng: Generator) -> Floats:
    """A plain drawing in a manner of the world, or under a generic texture."""
    import numpy as np

    picture = plain.astype(np.float32) / 255
    if rng.random() < OWN:
        names = sorted(MANNERS)
        return MANNERS[names[int(rng.integers(len(names)))]](picture, rng)
    finished = restyled(1 - picture if rng.random() < NEGATIVE else picture, rng)
    return recoloured(finished, rng).clip(0, 1) if rng.random() < TINTED else finished


def disturbed(picture: Floats, rng: Generator) -> Floats:
    """A picture moved a little, with another contrast, noise, and sometimes a piece missing."""
    import numpy as np

    picture = np.roll(picture, tuple(int(v) for v in rng.integers(-3, 4, 2)), (0, 1))
    gain, lift = float(rng.uniform(0.7, 1.2)), float(rng.uniform(-0.1, 0.1))
    picture = (picture - 0.5) * gain + 0.5 + lift + rng.normal(0, float(rng.uniform(0, 0.05)), picture.shape)
    if rng.random() < 0.3:
        top, left = (int(v) for v in rng.integers(0, SIDE - 12, 2))
        picture[top : top + 12, left : left + 12] = picture.mean((0, 1))
    seen: Floats = picture.clip(0, 1).astype(np.float32)
    return seen


def parts(
    scenes: Sequence[world.Scene], drawn: Sequence[NDArray[np.uint8]], *, seed: int = 1
) -> Iterator[tuple[list[Floats], list[str], Generator]]:
    """Every scene textured, with a caption, for the base to go over; batch by batch, each with a random stream of its own."""
    for start in range(0, len(scenes), BATCH_OVER):
        rng, part = world.generator(seed, REDRAWN, start), slice(start, start + BATCH_OVER)
        yield [textured(picture, rng) for picture in drawn[part]], [written(scene, rng) for scene in scenes[part]], rng


def train(
    target: Path,
    *,
    steps: int = STEPS,
    pool: int = POOL,
    over: int = GONE_OVER,
    batch: int = BATCH,
    seed: int = 1,
    log: Log | None = None,
    every: int = 50,
) -> Reader:
    """Train the towers for ``steps`` batches on ``pool`` scenes and write them to ``target`` (safetensors, float16).

    Args:
        target: The file.
        steps, pool, over, batch, seed: How many batches, scenes, scenes that the base goes over (the first), and scenes in a batch; the
            same numbers give the same weights.
        log: Called with the step, the loss and the share of a batch's pictures that found their caption, ``every`` so many steps.
        every: See ``log``.
    """
    import numpy as np
    import torch
    from safetensors.torch import save_file

    scenes = scenes_of(pool, seed=seed)
    drawn = [world.draw(world.plain(scene), size=SIDE) for scene in scenes]
    soft = gone_over(parts(scenes[:over], drawn[:over], seed=seed))
    tokenizer = load_tokenizer(TOKENIZER)
    model = fresh(seed, lambda: towers(len(tokenizer)))
    reader = Reader(model, tokenizer)
    warmth = torch.nn.Parameter(torch.tensor(2.3))
    cross_entropy = torch.nn.functional.cross_entropy
    names, subjects = [f"a {subject}" for subject in SUBJECTS], torch.tensor([SUBJECTS.index(scene.subject) for scene in scenes])
    optimizer = torch.optim.AdamW([*model.parameters(), warmth], lr=1e-3, weight_decay=0.02)
    model.train()
    for step in range(steps):
        rng = world.generator(seed, STEP, step)
        chosen = np.concatenate([rng.integers(over, size=batch // 2), rng.integers(pool, size=batch - batch // 2)])
        seen = [disturbed(soft[i], rng) for i in chosen[: batch // 2]] + [look(drawn[i], rng) for i in chosen[batch // 2 :]]
        pixels = torch.from_numpy(np.stack(seen)).permute(0, 3, 1, 2)
        texts = [written(scenes[i], rng) for i in chosen]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, peak=2e-3)
        towards = reader.pictures(pixels) * warmth.exp()
        fits, named = towards @ reader.texts(texts).T, towards @ reader.texts(names).T
        right = torch.arange(batch)
        loss = (cross_entropy(fits, right) + cross_entropy(fits.T, right)) / 2 + cross_entropy(named, subjects[chosen])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if log is not None and (step + 1) % every == 0:
            log(step + 1, float(loss.detach()), float((fits.argmax(1) == right).float().mean()))
    save_file({key: value.half() if value.is_floating_point() else value for key, value in model.state_dict().items()}, target)
    model.eval()
    return reader
