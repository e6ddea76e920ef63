"""The gallery of a real run of the tiny family."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from loraspec.engine.cells import Cell
from loraspec.engine.gallery import covered
from loraspec.engine.reopen import opened
from loraspec.engine.store import tensors_sha256
from loraspec.errors import RunError
from loraspec.testing import TINY_SPEC

pytestmark = pytest.mark.usefixtures("tiny_plugin")
SPEC = TINY_SPEC.replace(
    "[grid]\n",
    '[grid]\nheldout = 1\njudged_prompts = ["square, by Tiny", "star, by Tiny"]\njudged_seeds = [4, 5]\nprobe = 1.5\nwidth = 24\n',
)


@pytest.fixture
def run(run_spec: Callable[..., Any]) -> Iterator[Any]:
    """A finished run, opened."""
    outcome = run_spec(SPEC)
    outcome.assert_success()
    with opened(outcome.folder) as found:
        yield found


def test_pictures_come_prompt_by_prompt_and_are_drawn_once(run: Any) -> None:
    """In the order that is promised, of the size of a cell; a second look draws nothing and sees the same."""
    wall = run.gallery
    assert (wall.epochs, wall.weights, wall.seeds) == ((1, 2), (0.8, 0.9, 1.0, 1.5), (4, 5))
    first = wall.pictures(2, 1.0)
    assert [(one.prompt, one.seed) for one in first] == [(prompt, seed) for prompt in wall.prompts for seed in (4, 5)]
    assert {one.image.size for one in first} == {(24, 32)}
    run.family.generate = None  # a second drawing would fail
    again = wall.pictures(2, 1.0)
    assert all(np.array_equal(one.image, other.image) for one, other in zip(first, again, strict=True))


def test_other_prompts_and_seeds_may_be_asked_for(run: Any) -> None:
    """As many as were asked for; epoch 0 and weight 0 are the base, the same cell."""
    wall = run.gallery
    assert [one.prompt for one in wall.pictures(1, 0.8, prompts=["moon"], seeds=[1, 2, 3])] == ["moon"] * 3
    assert wall.block(0, 1.0) == wall.block(2, 0.0) == wall.block(0, 0.0)
    with pytest.raises(RunError, match="epoch 9 is not committed"):
        wall.pictures(9, 1.0)


def test_an_epoch_shows_its_own_weights(run: Any) -> None:
    """Whatever was loaded before: epoch 1 after epoch 2 is drawn with the weights of epoch 1, at the weight asked for."""
    used = []
    draw = run.family.generate

    def watched(*asked: Any, **names: Any) -> Any:
        used.append(tensors_sha256(run.adapter.state().tensors))
        return draw(*asked, **names)

    run.family.generate = watched
    known = []
    for epoch in (1, 2):
        run.use_epoch(epoch)
        known.append(tensors_sha256(run.adapter.state().tensors))
    run.gallery.pictures(1, 1.5)
    run.use_epoch(1)
    run.gallery.pictures(2, 0.8)
    assert used == known
    assert known[0] != known[1]


def test_the_users_own_pictures_have_a_cells_size(run: Any) -> None:
    """Training and held-out apart, with key and caption."""
    wall = run.gallery
    assert (len(wall.training), len(wall.heldout)) == (3, 1)
    assert {one.image.size for one in (*wall.training, *wall.heldout)} == {(24, 32)}
    assert all(one.prompt.startswith("square, ground") and one.key.endswith(".png") for one in wall.training)
    assert not {one.key for one in wall.training} & {one.key for one in wall.heldout}


def test_what_cannot_be_drawn_is_none_and_is_not_tried_again(run: Any) -> None:
    """The others of the block are there."""
    wall = run.gallery
    wall.failed[Cell(1, 1.0, "star, by Tiny", 4)] = "out of memory"
    assert [one is None for one in wall.pictures(1, 1.0)] == [False, False, True, False]
    rows = [row for row in wall.plain()["cells"] if "failed" in row]
    assert [(row["epoch"], row["prompt"], row["seed"], row["failed"]) for row in rows] == [(1, 1, 0, "out of memory")]
    assert json.loads(json.dumps(wall.plain()))["prompts"] == ["square, by Tiny", "star, by Tiny"]


@pytest.mark.parametrize("size", [(100, 40), (40, 100), (30, 20), (15, 10), (31, 21)])
def test_covering_crops_the_middle(size: tuple[int, int]) -> None:
    """The middle pixel stays in the middle, nothing is padded, nothing is stretched."""
    image = Image.new("RGB", size, (255, 255, 255))
    image.paste((255, 0, 0), (size[0] // 2 - 3, size[1] // 2 - 3, size[0] // 2 + 3, size[1] // 2 + 3))
    found = covered(image, 30, 20)
    red = np.argwhere(np.asarray(found)[..., 1] < 128)
    assert found.size == (30, 20)
    assert red.mean(0).tolist() == pytest.approx([9.5, 14.5], abs=1.1)
    high, wide = np.ptp(red, axis=0) + 1
    assert abs(int(high) - int(wide)) <= 1
