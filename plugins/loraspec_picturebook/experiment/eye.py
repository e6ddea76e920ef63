"""The truth's eye: which subject a picture shows, or none.

A classifier of true pictures alone has to call a picture of bare lines something, and would count a lost subject as right wherever that
something was asked for; and it was shown sharp pictures only. So the eye knows a seventeenth answer, "nothing", from true pictures whose
subject was taken out, and half of what it learns from was gone over by the base. It is two networks; an answer is what they say together.
It learns the experiment's styles, which no metric does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import evolve

from loraspec_picturebook.styles import Style
from loraspec_picturebook.vocabulary import SUBJECTS
from loraspec_picturebook.world import Scene, caption, draw, generator, plain, sample_scene

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator
    from numpy.typing import NDArray
    from torch import Tensor, nn

    Picture = NDArray[np.uint8]

NOTHING: Final = "nothing"
ANSWERS: Final = (*SUBJECTS, NOTHING)
SCENES, ROUNDS, HELD_OUT = 701, 702, 703
"""Name the random streams; disjoint from those of the base, the style sets, the reader, the probe and the truth."""
EMPTY: Final = 1 / 8
"""Share of pictures without a subject."""
PLAIN: Final = 1 / 4
"""Share of pictures in a manner of the world; the others are in a style."""
CHANNELS: Final = (32, 64, 128, 192)
NETWORKS: Final = 2
BATCH: Final = 64


def network() -> nn.Module:
    """3 x 64 x 64 in 0..1 to 17 logits; 0.9 million parameters."""
    from torch import nn

    layers: list[nn.Module] = []
    before = 3
    for channels in CHANNELS:
        layers += [nn.Conv2d(before, channels, 3, 2, 1), nn.BatchNorm2d(channels), nn.ReLU()]
        layers += [nn.Conv2d(channels, channels, 3, 1, 1, groups=4), nn.BatchNorm2d(channels), nn.ReLU()]
        before = channels
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(before * 16, len(ANSWERS)))


def shown(styles: Sequence[Style], count: int, *, stream: int = SCENES) -> tuple[list[Picture], list[str]]:
    """So many pictures and what each shows: in a style or a manner, some without a subject, every other one gone over by the base.

    Args:
        styles: The styles.
        count: How many.
        stream: The random stream: training or held out.
    """
    pictures, answers, scenes = [], [], []
    for index in range(count):
        rng = generator(stream, index)
        scene = sample_scene(rng)
        empty = bool(rng.random() < EMPTY)
        pictures.append(_picture(evolve(scene, x=-9.0) if empty else scene, styles, rng))
        answers.append(NOTHING if empty else scene.subject)
        scenes.append(scene)
    texts = ["" if answers[i] == NOTHING else caption(scenes[i]) for i in range(0, count, 2)]
    pictures[::2] = _gone_over(pictures[::2], texts, stream)
    return pictures, answers


def _picture(scene: Scene, styles: Sequence[Style], rng: Generator) -> Picture:
    if rng.random() < PLAIN:
        return draw(scene)
    return styles[int(rng.integers(len(styles)))].apply(draw(plain(scene)), rng)


def _gone_over(pictures: list[Picture], texts: list[str], stream: int) -> list[Picture]:
    import numpy as np

    from loraspec_picturebook.redrawn import BATCH, gone_over

    unit = [picture / np.float32(255) for picture in pictures]
    seen = gone_over(
        (unit[start : start + BATCH], texts[start : start + BATCH], generator(stream, 1_000_000_007, start))
        for start in range(0, len(pictures), BATCH)
    )
    return [(picture.astype(np.float32) * 255).round().astype(np.uint8) for picture in seen]


def train(styles: Sequence[Style], path: Path, *, count: int = 16_384, rounds: int = 8) -> nn.ModuleList:
    """Train the networks on count pictures in the styles, each so many rounds, and write them to path (safetensors)."""
    import numpy as np
    import torch
    from safetensors.torch import save_file

    from loraspec_picturebook.models import fresh
    from loraspec_picturebook.training import learning_rate

    pictures, answers = shown(styles, count)
    pixels, labels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2), torch.tensor([ANSWERS.index(answer) for answer in answers])
    networks = torch.nn.ModuleList([fresh(number, network) for number in range(NETWORKS)])
    for number, one in enumerate(networks):
        optimizer = torch.optim.AdamW(one.parameters(), lr=1e-3, weight_decay=0.05)
        one.train()
        steps = count // BATCH
        for turn in range(rounds):
            rng = generator(ROUNDS, number, turn)
            order = torch.from_numpy(rng.permutation(count)[: steps * BATCH])
            for step, chosen in enumerate(order.view(-1, BATCH)):
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(turn * steps + step, rounds * steps, peak=2e-3)
                noise = torch.from_numpy(rng.standard_normal((len(chosen), 3, 64, 64), dtype=np.float32)) * float(rng.uniform(0, 0.06))
                moved = (pixels[chosen].float() / 255 + noise).roll([int(value) for value in rng.integers(-3, 4, 2)], (2, 3))
                loss = torch.nn.functional.cross_entropy(one(moved), labels[chosen], label_smoothing=0.05)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in networks.state_dict().items()}, path)
    return networks.eval()


def load(folder: Path, styles: Sequence[Style], *, say: Callable[[str], object] = sys.stderr.write) -> nn.ModuleList:
    """The eye for these styles, kept in folder as eye-NAME-NAME.safetensors; trained first (twenty minutes) when it is not there."""
    import torch
    from safetensors.torch import load_file

    path = folder / f"eye-{'-'.join(style.name for style in styles)}.safetensors"
    if not path.exists():
        say(f"training the truth's eye into {path}\n")
        right = accuracy(train(styles, path), styles)
        say(f"it names {right[1]:.1%} of held-out pictures, and {right[0]:.1%} of those gone over by the base\n")
    networks = torch.nn.ModuleList([network() for _ in range(NETWORKS)])
    networks.load_state_dict(load_file(path))
    return networks.eval()


def accuracy(eye: nn.ModuleList, styles: Sequence[Style], *, count: int = 600) -> tuple[float, float]:
    """The share of held-out pictures answered right: of those gone over by the base, every other one, and of the sharp ones."""
    pictures, answers = shown(styles, count, stream=HELD_OUT)
    right = [told == answer for told, answer in zip(named(eye, pictures), answers, strict=True)]
    return sum(right[::2]) / len(right[::2]), sum(right[1::2]) / len(right[1::2])


def named(eye: nn.ModuleList, pictures: Sequence[Picture]) -> list[str]:
    """The answer to each picture, uint8 64 x 64 x 3: a subject, or "nothing"."""
    import numpy as np
    import torch

    found: list[str] = []
    for start in range(0, len(pictures), 64):
        pixels = torch.from_numpy(np.stack(pictures[start : start + 64])).permute(0, 3, 1, 2).float() / 255
        with torch.inference_mode():
            together: Tensor = torch.stack([one(pixels).softmax(1) for one in eye]).mean(0)
        found += [ANSWERS[place] for place in together.argmax(1).tolist()]
    return found
