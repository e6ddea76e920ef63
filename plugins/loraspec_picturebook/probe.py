"""A small classifier that reads subject, colour and setting from a picture, to judge what a base or a LoRA draws.

Two kinds are trained: ``plain`` on the world's own drawings in all manners, ``styled`` on drawings of which two thirds
went through a style set (a styled picture may have lost its colour, so only subject and setting count there).
The probe proves nothing until ``accuracy`` on held-out drawings is at least 0.97.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from loraspec_picturebook import vocabulary
from loraspec_picturebook.styles import STYLES
from loraspec_picturebook.world import Scene, draw, generator, plain, sample_scene

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator
    from numpy.typing import NDArray
    from torch import Tensor, nn

LABELS: Final[dict[str, tuple[str, ...]]] = {
    "subject": vocabulary.SUBJECTS,
    "colour": tuple(vocabulary.COLOURS),
    "setting": vocabulary.SETTINGS,
}
TRAINING, HELD_OUT = 301, 302
"""Name the random streams of the probe's own scenes; disjoint from the base's and from the ground truth's."""


def network() -> nn.Module:
    """3 x 64 x 64 in 0..1 to one row of logits: subjects, then colours, then settings; 0.3 million parameters."""
    from torch import nn

    layers: list[nn.Module] = []
    before = 3
    for channels in (24, 48, 96, 160):
        layers += [nn.Conv2d(before, channels, 3, stride=2, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
        before = channels
    layers += [nn.Flatten(), nn.Dropout(0.2), nn.Linear(before * 16, sum(len(names) for names in LABELS.values()))]
    return nn.Sequential(*layers)


def labels_of(scene: Scene) -> list[int]:
    """The scene's label indices in the order of LABELS."""
    return [names.index(getattr(scene, what)) for what, names in LABELS.items()]


def picture_of(scene: Scene, kind: str, rng: Generator) -> NDArray[np.uint8]:
    """The picture that a probe of this kind sees of a scene, in one of the built-in styles."""
    if kind == "plain" or rng.random() < 1 / 3:
        return draw(scene)
    names = sorted(STYLES)
    return STYLES[names[int(rng.integers(len(names)))]].apply(draw(plain(scene)), rng)


def tensor_of(pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
    """n x 3 x 64 x 64 float32 in 0..1 of uint8 pictures."""
    import numpy as np
    import torch

    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255


def train(kind: str, path: Path, *, count: int = 16_384, rounds: int = 10, seed: int = 3) -> nn.Module:
    """Trains a probe (kind ``plain`` or ``styled``) on count scenes and writes it to path (safetensors)."""
    import torch
    from safetensors.torch import save_file

    from loraspec_picturebook.models import fresh

    if kind not in ("plain", "styled"):
        raise ValueError(f"probe: kind is {kind!r}; 'plain' or 'styled'")
    probe = fresh(seed, network)
    scenes = [sample_scene(generator(seed, TRAINING, index)) for index in range(count)]
    pictures = torch.stack(
        [tensor_of([picture_of(scene, kind, generator(seed, TRAINING, index, 1))])[0] for index, scene in enumerate(scenes)]
    ).half()
    labels = torch.tensor([labels_of(scene) for scene in scenes])
    steps = rounds * (count // 64)
    optimizer = torch.optim.AdamW(probe.parameters(), lr=2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    probe.train()
    for turn in range(rounds):
        rng = generator(seed, TRAINING, 1_000_000_007, turn)
        order = torch.from_numpy(rng.permutation(count)[: count // 64 * 64])
        for chosen in order.view(-1, 64):
            noise = torch.from_numpy(rng.normal(0, 0.03, (len(chosen), 3, 64, 64)))
            shift = [int(value) for value in rng.integers(-2, 3, 2)]
            seen = (pictures[chosen].float() + noise.float()).roll(shift, (2, 3))
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int(rng.integers(2**31)))  # noqa: TID251  (dropout takes no generator)
                rows = probe(seen).split([len(names) for names in LABELS.values()], dim=1)
            loss = torch.stack([torch.nn.functional.cross_entropy(row, labels[chosen, i]) for i, row in enumerate(rows)]).sum()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in probe.state_dict().items()}, path)
    return probe.eval()


def load(kind: str, folder: Path, *, say: Callable[[str], object] = sys.stderr.write) -> nn.Module:
    """The probe kept in folder as probe-KIND.safetensors; trained first (a few minutes) when it is not there."""
    from safetensors.torch import load_file

    path = folder / f"probe-{kind}.safetensors"
    if not path.exists():
        say(f"training the {kind} probe into {path}\n")
        train(kind, path)
    probe = network()
    probe.load_state_dict(load_file(path))
    return probe.eval()


def read(probe: nn.Module, pictures: Sequence[NDArray[np.uint8]]) -> list[dict[str, str]]:
    """What the probe sees in each picture: {"subject": ..., "colour": ..., "setting": ...}."""
    import torch

    sizes = [len(names) for names in LABELS.values()]
    found: list[dict[str, str]] = []
    for start in range(0, len(pictures), 64):
        with torch.no_grad():
            rows = probe(tensor_of(pictures[start : start + 64])).split(sizes, dim=1)
        best = [row.argmax(1).tolist() for row in rows]
        for position in range(len(best[0])):
            found.append({what: names[best[i][position]] for i, (what, names) in enumerate(LABELS.items())})
    return found


def score(probe: nn.Module, pictures: Sequence[NDArray[np.uint8]], scenes: Sequence[Scene]) -> dict[str, float]:
    """The share of pictures whose subject, colour and setting the probe finds as the scene says, each in 0..1."""
    if len(pictures) != len(scenes) or not scenes:
        raise ValueError(f"score: {len(pictures)} pictures for {len(scenes)} scenes; equally many, and at least one")
    found = read(probe, pictures)
    return {
        what: sum(seen[what] == getattr(scene, what) for seen, scene in zip(found, scenes, strict=True)) / len(scenes) for what in LABELS
    }


def accuracy(probe: nn.Module, kind: str, *, count: int = 1000, seed: int = 3) -> dict[str, float]:
    """The probe's score on held-out drawings of its kind."""
    scenes = [sample_scene(generator(seed, HELD_OUT, index)) for index in range(count)]
    pictures = [picture_of(scene, kind, generator(seed, HELD_OUT, index, 1)) for index, scene in enumerate(scenes)]
    return score(probe, pictures, scenes)
