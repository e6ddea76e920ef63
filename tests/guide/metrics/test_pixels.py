"""Metrics that look at pixels: a number for each picture, whatever stands beside it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from loraspec_guide.metrics.pixels import Artefacts, CopyRate, SeedVariety, TextureProgress
from loraspec_picturebook.truth import held_out, true_set
from PIL import Image

from loraspec.engine import altered
from loraspec.metrics import Shown

PICTURES = [Shown(Image.fromarray(picture), "", seed=n) for n, picture in enumerate(true_set(held_out(6, seed=78), "engraving"))]


@pytest.mark.parametrize("metric", [TextureProgress, CopyRate, SeedVariety])
def test_numbers_do_not_depend_on_neighbours(metric):
    """Alone, in another order, twice: the same to the bit."""
    made = metric()
    every = made.values(PICTURES)
    assert every.ndim == 2
    assert np.array_equal(every, made.values(PICTURES))
    assert np.array_equal(every[::-1], made.values(PICTURES[::-1]))
    assert np.array_equal(every[2:3], made.values(PICTURES[2:3]))


def test_a_training_picture_is_nearest_to_itself():
    """Also cut closer; by a wide margin."""
    metric = CopyRate()
    own = metric.values(PICTURES)
    copies = metric.values([shown for shown in altered.each(altered.shifted, PICTURES) if shown is not None])
    apart = np.linalg.norm(copies[:, None] - own[None], axis=-1)
    assert (apart.argmin(1) == np.arange(len(PICTURES))).all()
    others = apart[~np.eye(len(PICTURES), dtype=bool)]
    assert np.diag(apart).max() < others.min()


def test_artefacts_are_told_from_ink_on_paper():
    """Limits are those of known pictures: black and white drawings are sound, black, flat, burnt and noisy ones are not."""
    metric = Artefacts()
    metric.prepare(SimpleNamespace(training=PICTURES[:3], heldout=PICTURES[3:4], pictures=lambda epoch, weight: [PICTURES[4], None]))
    assert metric.values(PICTURES).tolist() == [1.0] * len(PICTURES)
    for change in (altered.black, altered.flat, altered.burnt, altered.noisy):
        broken = [shown for shown in altered.each(change, PICTURES) if shown is not None]
        assert metric.values(broken).mean() <= 0.2, change.__name__
