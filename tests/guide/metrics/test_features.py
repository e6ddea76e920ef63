"""Features of pictures: what they see, and what they must not mind."""

from __future__ import annotations

import numpy as np
import pytest
from loraspec_guide.metrics.features import layout, texture
from loraspec_picturebook.styles import STYLES
from loraspec_picturebook.truth import held_out, same_words, true_picture
from PIL import Image

SCENES = held_out(4, seed=77)
DRAWN = [true_picture(scene, "lithograph") for scene in SCENES]


def far(one: np.ndarray, other: np.ndarray) -> float:
    """Euclidean distance."""
    return float(np.linalg.norm(one - other))


def test_texture_does_not_mind_where_things_stand():
    """Rolled by a third it is nearly the same; a blur, another style or exchanged colours are far."""
    one = texture(DRAWN[0])
    rolled = far(one, texture(np.roll(DRAWN[0], 21, axis=1)))
    small = Image.fromarray(DRAWN[0]).resize((16, 16), Image.Resampling.BOX)
    blurred = np.asarray(small.resize((64, 64), Image.Resampling.BICUBIC))
    for changed in (blurred, true_picture(SCENES[0], "stained-glass"), np.ascontiguousarray(DRAWN[0][..., ::-1])):
        assert far(one, texture(changed)) > 2 * rolled


@pytest.mark.parametrize("style", sorted(STYLES))
def test_texture_knows_a_style_in_other_scenes(style):
    """On average pictures of one style are nearer to each other than to another style's."""
    ours = [texture(true_picture(scene, style)) for scene in SCENES]
    others = [texture(true_picture(scene, name)) for name in STYLES if name != style for scene in SCENES]
    within = np.mean([far(one, other) for one in ours for other in ours if one is not other])
    assert within < np.mean([far(one, other) for one in ours for other in others])


def test_layout_does_not_mind_tone():
    """Paler and darker it is nearly the same; mirrored, or the same words at other places, it is another."""
    one = layout(DRAWN[0])
    pale = (DRAWN[0].astype(float) * 0.6 + 60).round().astype(np.uint8)
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-6)
    assert far(one, layout(pale)) < 0.08
    assert far(one, layout(np.ascontiguousarray(DRAWN[0][:, ::-1]))) > 0.3
    assert far(one, layout(true_picture(same_words(SCENES[0], 9), "lithograph"))) > 0.2


@pytest.mark.parametrize("shape", [(64, 64), (48, 96), (8, 8), (9, 700), (600, 640)])
@pytest.mark.parametrize("features", [texture, layout])
def test_any_size_has_features(features, shape):
    """As many for every size of one function's own, finite also for a flat picture."""
    rng = np.random.Generator(np.random.Philox(1))
    noisy = rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
    for picture in (noisy, np.zeros((*shape, 3), np.uint8), np.full((*shape, 3), 200, np.uint8)):
        found = features(picture)
        assert found.shape == features(DRAWN[0]).shape
        assert np.isfinite(found).all()
