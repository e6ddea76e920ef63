"""What numbers mean on each axis, and that each gate is failed by a metric that must fail it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from loraspec.engine import altered
from loraspec.engine.readings import Unreadable, unread
from loraspec.engine.scales import READINGS
from loraspec.metrics import Metric, Shown
from loraspec.randomness import generator
from loraspec.sweetspot.measured import GATES, Axis

SIDE = 32
PROMPTS = tuple(f"prompt {number}" for number in range(4))


def drawn(*index: int | str, lines: bool = False) -> Image.Image:
    """A smooth picture; with ``lines`` in the artist's technique: warm, and with fine stripes."""
    rng = generator(3, "scales", *index)
    coarse = rng.integers(60, 200, (4, 4, 3)).astype(np.uint8)
    pixels = np.asarray(Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)).astype(int)
    if lines:
        pixels[::2] -= 40
        pixels[..., 0] += 40
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


class Wall:
    """A gallery of the base's pictures and the artist's."""

    run = None
    epochs, weights, prompts, seeds = (1,), (1.0,), PROMPTS, (1, 2)

    def __init__(self, training: int = 10, heldout: int = 5) -> None:
        self.training = [Shown(drawn("t", n, lines=True), f"caption {n}", key=f"{n}.png") for n in range(training)]
        self.heldout = [Shown(drawn("h", n, lines=True), f"held {n}", key=f"h{n}.png") for n in range(heldout)]

    def pictures(self, epoch: int, weight: float, *, prompts: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[Shown | None]:
        return [Shown(drawn(prompt, seed), prompt, seed) for prompt in prompts or self.prompts for seed in seeds or self.seeds]


def metric(axis: Axis, values: Callable[[Shown], Any]) -> Metric:
    """A metric of one function of a picture."""

    class Made(Metric):
        cost = validity = ""

        def values(self, pictures: Sequence[Shown]) -> Any:
            return np.array([values(shown) for shown in pictures], float)

    Made.axis = axis  # type: ignore[misc]
    return Made()


def pixels(shown: Shown) -> Any:
    return np.asarray(shown.image, float)


def texture(shown: Shown) -> list[float]:
    found = pixels(shown)
    return [np.abs(np.diff(found, axis=0)).mean(), np.abs(np.diff(found, axis=1)).mean(), *(found - found.mean()).mean((0, 1)), found.std()]


def layout(shown: Shown) -> Any:
    small = np.asarray(shown.image.resize((8, 8), Image.Resampling.BOX), float)
    return (small - small.mean()).ravel() / 50


def obeys(shown: Shown) -> list[float]:
    """High where a picture is one that its prompt gave: by the base's own drawing of it."""
    return [*(-np.abs(layout(shown) - _mean(prompt)).mean() for prompt in PROMPTS), -np.abs(layout(shown) - _mean(shown.prompt)).mean()]


def _mean(prompt: str) -> Any:
    if prompt in PROMPTS:
        return np.mean([layout(Shown(drawn(prompt, seed), prompt)) for seed in (1, 2, 5, 6)], axis=0)
    kind, number = prompt.split()
    return layout(Shown(drawn(kind[0] if kind == "held" else "t", int(number), lines=True), prompt))


def sound(shown: Shown) -> float:
    found = pixels(shown)
    return float(found.std() > 8 and np.abs(np.diff(found, axis=1)).mean() < 40 and ((found == 0) | (found == 255)).mean() < 0.5)


GOOD: dict[Axis, Callable[[Shown], Any]] = {"style": texture, "prompt": obeys, "originality": layout, "variety": layout, "health": sound}


def reading(axis: Axis, values: Callable[[Shown], Any], wall: Wall | None = None) -> Any:
    return READINGS[axis](axis, metric(axis, values), wall or Wall(), again=(5, 6))


@pytest.mark.parametrize("axis", sorted(GOOD))
def test_a_good_metric_passes_its_gates(axis: Axis) -> None:
    """On every axis."""
    found = reading(axis, GOOD[axis]).gates()
    assert [gate.name for gate in found] == list(GATES)
    assert all(gate.passed for gate in found), [(gate.name, gate.value, gate.words) for gate in found if not gate.passed]


def nothing(shown: Shown) -> list[float]:
    """Noise by the picture's bytes: says nothing of anything."""
    return list(generator(1, "noise", shown.image.tobytes().hex()[:400]).normal(size=5))


def shaky(shown: Shown) -> list[float]:
    """Texture, thrown off by the last bit of a pixel."""
    return [
        value + 60 * float(generator(1, "shaky", shown.image.tobytes().hex()[:400], n).normal()) for n, value in enumerate(texture(shown))
    ]


def light(shown: Shown) -> list[float]:
    """The mean of the red channel, which the artist's pictures have a little more of."""
    return [float(pixels(shown)[..., 0].mean())]


def moody(shown: Shown) -> list[float]:
    """Texture, but another thing at other seeds of the base."""
    first, *rest = texture(shown)
    return [first + (20 if shown.seed in (5, 6) else 0), *rest]


def base_alone(shown: Shown) -> list[float]:
    """Knows the base's pictures by their prompt, and is blind to what a picture looks like."""
    return [float(shown.prompt in PROMPTS)]


@pytest.mark.parametrize(
    ("values", "gate"),
    [(nothing, "alive"), (moody, "null"), (base_alone, "known-difference"), (shaky, "quantisation"), (light, "tone")],
)
def test_a_bad_metric_fails_its_gate(values: Callable[[Shown], Any], gate: str) -> None:
    """One that says nothing, that is moody, blind to the picture, shaken by a round trip, or a light meter; each loses its vote."""
    try:
        found = {one.name: one.passed for one in reading("style", values).gates()}
    except Unreadable as why:
        found = {one.name: one.passed for one in unread(str(why))}
    assert found[gate] is False, found


def test_style_is_nought_for_the_base_and_one_for_the_artist() -> None:
    """Held-out pictures define 1, left out one by one; the base's mean is 0."""
    made = reading("style", texture)
    assert made.base.mean() == pytest.approx(0, abs=1e-9)
    assert made.references.mean() == pytest.approx(1)
    unseen = [Shown(drawn("new", n, lines=True), "") for n in range(12)]
    assert made.numbers(unseen).mean() == pytest.approx(1, abs=0.2)


def test_a_copy_lies_below_the_threshold_and_says_of_what() -> None:
    """A training picture after JPEG is near its original; an unseen picture is not."""
    made = reading("originality", layout)
    copy, other = Shown(altered.jpeg(made.gallery.training[3].image), ""), Shown(drawn("new", 1, lines=True), "")
    apart, keys = made.nearest(made.features(shown := [copy, other, None]), shown)
    assert apart[0] < made.scale < apart[1]
    assert keys[0] == "3.png"
    assert np.isnan(apart[2])
    assert keys[2] == ""


def test_a_prompt_with_a_caption_s_words_may_come_nearer() -> None:
    """The same picture counts as further away where the base draws the prompt near to a training caption; one's own pictures do not."""
    wall = Wall()
    wall.prompts = ("caption 3", *PROMPTS[1:])

    def pictures(epoch: int, weight: float, *, prompts: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[Shown | None]:
        wanted = [(prompt, seed) for prompt in prompts or wall.prompts for seed in seeds or wall.seeds]
        return [Shown(drawn(prompt, seed if prompt in PROMPTS else 0), prompt, seed) for prompt, seed in wanted]  # one layout a caption

    wall.pictures = pictures  # type: ignore[method-assign]
    made = reading("originality", layout, wall)
    image = altered.jpeg(wall.training[3].image)
    near, far, own = made.numbers([Shown(image, "caption 3"), Shown(image, "prompt 1"), Shown(image, "caption 3", key="3.png")])
    assert near == pytest.approx(4 * far)
    assert own == pytest.approx(far)


def test_variety_needs_two_seeds() -> None:
    """The same picture twice has none; one seed says nothing, and fails the gates rather than to vote."""
    made = reading("variety", layout)
    same = Shown(drawn("x", 1), "prompt 0", 1)
    assert made.numbers([same, same], 2).tolist() == pytest.approx([0, 0], abs=1e-6)
    assert np.isnan(made.numbers([same], 1)).all()


@pytest.mark.parametrize(("faded", "scale"), [(1.0, 1.0), (0.7, 0.7), (0.2, 0.5)])
def test_a_style_that_makes_everything_more_alike_has_not_collapsed(faded: float, scale: float) -> None:
    """rho is what the artist's pictures keep of the differences between the base's pictures of different prompts, at least a half."""
    wall = Wall()

    def seen(shown: Shown) -> Any:
        return layout(shown) * (faded if shown.key else 1)

    def twins(shown: Shown) -> Any:  # seeds of a prompt differ a tenth as much as prompts do
        return seen(Shown(drawn(shown.prompt, 1), shown.prompt)) + 0.1 * seen(shown) if not shown.key else seen(shown)

    assert reading("variety", seen, wall).scale == pytest.approx(scale, rel=0.15)
    assert reading("variety", twins, wall).scale == pytest.approx(scale, rel=0.15)


def test_a_picture_with_another_prompt_loses_its_margin() -> None:
    """The margin of the right prompt is above that of a wrong one, and kappa is what the artist's pictures keep, at least 0.3."""
    made = reading("prompt", obeys)
    right = made.gallery.pictures(0, 0.0)
    assert made.numbers(right).mean() > 0 > made.numbers(altered.other_prompts(right)).mean()
    assert 0.3 <= made.scale <= 1


def test_without_two_captions_the_swap_does_not_apply() -> None:
    """The gate says so and does not cost the vote."""
    wall = Wall()
    wall.heldout = [Shown(shown.image, "", key=shown.key) for shown in wall.heldout]
    gate = reading("prompt", lambda shown: obeys(shown) if shown.prompt else [0.0] * 5, wall).gates()[2]
    assert gate.passed is None
    assert "no two captions" in gate.words


@pytest.mark.parametrize(("axis", "words"), [("style", "needs 2 pictures"), ("originality", "needs 2 training pictures")])
def test_one_picture_is_no_scale(axis: Axis, words: str) -> None:
    """It is said, and the metric does not vote."""
    with pytest.raises(Unreadable, match=words):
        reading(axis, GOOD[axis], Wall(1, 0))
    assert [gate.passed for gate in unread("why")] == [False, None, None, None, None]


def test_pictures_with_the_next_ones_prompt() -> None:
    """Each gets another prompt than its own, and stays away where there is none; what is not there stays away."""
    shown = [Shown(drawn(n), prompt) for n, prompt in enumerate("aab")]
    assert [one.prompt if one else None for one in altered.other_prompts([*shown, None])] == ["b", "b", "a", None]
    assert altered.other_prompts(shown[:2]) == [None, None]
