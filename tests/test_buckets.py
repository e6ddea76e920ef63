"""Aspect buckets: the table, and how an image gets into it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from loraspec.buckets import BucketRule, TooSmallError, cover, nearest, place
from loraspec.randomness import generator

SDXL = BucketRule(1024, 64, 512, 2048)
RULES = [
    SDXL,
    BucketRule(512, 64, 256, 1024),
    BucketRule(64, 16, 64, 64),
    BucketRule(768, 8, 100, 1500),
    BucketRule(1024, 64, 512, 2048, upscale=True),
]


def drawn(count: int = 1500) -> list[tuple[int, int]]:
    """Sizes of images: from a few pixels to far beyond the largest bucket, all aspect ratios."""
    rng = generator(1808, "sizes")
    return [tuple(int(side) for side in 2 ** rng.uniform(6, 13, 2)) for _ in range(count)]  # type: ignore[misc]


@pytest.mark.parametrize("rule", RULES)
def test_table_keeps_area_step_and_sides(rule: BucketRule) -> None:
    """Every bucket is within the area and the sides, a multiple of the step, and has its turned twin."""
    sizes = rule.sizes()

    assert sizes
    for width, height in sizes:
        assert width * height <= rule.resolution**2
        assert width % rule.step == height % rule.step == 0
        assert rule.min <= min(width, height) <= max(width, height) <= rule.max
        assert (height, width) in sizes


def test_table_of_sdxl_is_the_known_one() -> None:
    """The sizes that SDXL was trained at, as kohya's arithmetic gives them for 1024, 64, 512 to 2048."""
    sizes = SDXL.sizes()

    for size in [(1024, 1024), (1152, 896), (1216, 832), (1344, 768), (1536, 640), (2048, 512), (960, 1088)]:
        assert size in sizes
    for width, height in sizes:
        if height < SDXL.max and width >= height:  # no bucket could be one step higher
            assert width * (height + 64) > 1024**2 or (width, height + 64) in sizes


@pytest.mark.parametrize("rule", RULES)
def test_placement_covers_and_crops_inside(rule: BucketRule) -> None:
    """The resized image covers its bucket on both sides, meets it on one, keeps its shape, and is cropped in the middle."""
    for width, height in drawn():
        try:
            found = place(width, height, rule)
        except TooSmallError:
            assert not rule.upscale
            continue
        bucket = (found.width, found.height)
        assert all(side % rule.step == 0 and 0 < side <= rule.max for side in bucket)
        assert found.width * found.height <= rule.resolution**2
        assert all(resized >= side for resized, side in zip(found.resize, bucket, strict=True))
        assert any(resized == side for resized, side in zip(found.resize, bucket, strict=True))
        assert found.crop == tuple((resized - side) // 2 for resized, side in zip(found.resize, bucket, strict=True))
        scale = max(found.width / width, found.height / height)
        assert abs(found.resize[0] - width * scale) <= 1
        assert abs(found.resize[1] - height * scale) <= 1


def test_nothing_is_enlarged_without_upscale() -> None:
    """However small, an image is only ever shrunk."""
    for width, height in drawn():
        try:
            found = place(width, height, SDXL)
        except TooSmallError:
            continue
        assert found.resize[0] <= width
        assert found.resize[1] <= height


def test_turning_an_image_turns_its_bucket() -> None:
    """Portrait and landscape are treated alike."""
    for width, height in drawn(500):
        try:
            one, other = place(width, height, SDXL), place(height, width, SDXL)
        except TooSmallError:
            continue
        assert (one.width, one.height) == (other.height, other.width)
        assert one.resize == other.resize[::-1]


@pytest.mark.parametrize(
    ("size", "bucket"),
    [
        ((1024, 1024), (1024, 1024)),
        ((4000, 4000), (1024, 1024)),
        ((1000, 1000), (960, 960)),  # too small for 1024: its own size, rounded down
        ((700, 600), (640, 576)),
        ((1216, 832), (1216, 832)),
        ((1920, 1080), (1344, 768)),
        ((1000, 64), (960, 64)),
        ((8000, 200), (2048, 128)),  # longer than any bucket, and thin
    ],
)
def test_known_images_get_known_buckets(size: tuple[int, int], bucket: tuple[int, int]) -> None:
    """A few sizes worked out by hand."""
    found = place(*size, SDXL)

    assert (found.width, found.height) == bucket
    assert found.original == size


def test_small_image_is_enlarged_with_upscale() -> None:
    """With ``upscale`` a small image gets a bucket of the table."""
    found = place(300, 300, BucketRule(1024, 64, 512, 2048, upscale=True))

    assert (found.width, found.height) == found.resize == (1024, 1024)


@pytest.mark.parametrize("size", [(63, 500), (500, 63), (1, 1), (10_000, 3)])
def test_image_below_one_step_is_refused(size: tuple[int, int]) -> None:
    """Less than one step on a side leaves nothing to train on."""
    with pytest.raises(TooSmallError, match="does not reach one step of 64 px"):
        place(*size, SDXL)


def test_contradicting_numbers_give_no_table() -> None:
    """Nothing fits when the least side is beyond the area."""
    assert BucketRule(256, 64, 512, 2048).sizes() == ()


def test_nearest_changes_once_between_two_shapes() -> None:
    """Along growing widths the chosen buckets only ever get wider: no image between two of a kind is sent elsewhere."""
    ratios = [nearest(width, 1000, SDXL.sizes()) for width in range(250, 4000, 3)]

    assert all(one[0] / one[1] <= other[0] / other[1] for one, other in pairwise(ratios))


def test_cover_keeps_a_size_that_fits() -> None:
    """An image that already is its bucket is not resampled."""
    assert cover(768, 1344, (768, 1344)) == (768, 1344)
