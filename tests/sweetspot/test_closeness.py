"""Tests of ``loraspec.sweetspot.readouts.Closeness``: what one line through the features does not see."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from attrs import evolve

from loraspec.randomness import generator
from loraspec.sweetspot.axes import Draws, axes_of
from loraspec.sweetspot.measured import Measured, Scores
from loraspec.sweetspot.readouts import Closeness, Style, distances

D = 8


def cloud(name: str, count: int, *, at: float = 0.0, sideways: float = 0.0, wide: float = 1.0) -> Any:
    """Features of pictures: the style is the first direction, the artist lies at 4 on it; ``sideways`` is the last one."""
    rows = wide * generator(0, "closeness", name).standard_normal((count, D))
    rows[:, 0] += at
    rows[:, -1] += sideways
    return rows


BASE, ARTIST = cloud("base", 120), cloud("artist", 120, at=4.0)
STYLE = Style.fit(BASE, ARTIST[:100], ARTIST[100:])


def close(rows: Any) -> float:
    """Closeness of a cell."""
    assert STYLE.near is not None
    return float(STYLE.near.of(rows).mean())


def test_the_base_is_nought_and_unseen_pictures_of_the_artist_are_one() -> None:
    """The base exactly, new pictures of the artist within what so few can say, and what lies between lies between."""
    found = [close(BASE), *(close(cloud(f"cell {at}", 48, at=at)) for at in (1.0, 2.0, 3.0, 4.0))]
    assert found[0] == pytest.approx(0, abs=1e-9)
    assert found[-1] == pytest.approx(1, abs=0.12)
    assert found == sorted(found)


@pytest.mark.parametrize("change", [{"sideways": 4.0}, {"wide": 0.02}, {"at": 7.0}], ids=["sideways", "all alike", "too far"])
def test_pictures_that_go_elsewhere_are_not_close(change: dict[str, float]) -> None:
    """Progress alone takes the first two for the artist's."""
    rows = cloud("cell 4.0", 48, **{"at": 4.0, **change})
    if "at" not in change:
        assert STYLE.progress(rows).mean() == pytest.approx(1, abs=0.25)
    assert close(rows) < close(cloud("cell 4.0", 48, at=4.0)) - 0.25


def test_the_mean_is_one_less_the_share_of_the_energy_distance() -> None:
    """By the definition, all pairs written out, but for that of each picture and its nearest training picture (the first hundred)."""
    assert STYLE.near is not None
    rows = cloud("cell", 9, at=3.0)

    within = np.sqrt((BASE.var(0) + ARTIST.var(0)) / 2)  # as many of each

    def energy(features: Any) -> float:
        ours, theirs = features / within, ARTIST / within
        pairs = [distances(one, one)[~np.eye(len(one), dtype=bool)].mean() for one in (ours, theirs)]
        away = []
        for row in ours:
            apart = [float(np.linalg.norm(row - other)) for other in theirs]
            apart.pop(int(np.argmin(apart[:100])))
            away.append(np.mean(apart))
        return float(2 * np.mean(away) - sum(pairs))

    assert close(rows) == pytest.approx(1 - energy(rows) / energy(BASE))


def test_copies_are_no_nearer_than_other_works() -> None:
    """A cell of copies of four training pictures, and cells of as many new works: with their originals the copies would win."""
    training, heldout = ARTIST[:4], ARTIST[100:103]
    near = Closeness.fit(BASE, np.concatenate([training, heldout]), 4)
    assert near is not None
    copies = np.repeat(training, 4, axis=0) + 0.05 * cloud("noise", 16)
    works = [float(near.of(cloud(f"works {number}", 16, at=4.0)).mean()) for number in range(20)]
    assert float(near.of(copies).mean()) < np.mean(works) - 0.05


def test_resampled_pictures_move_the_mean_as_measuring_them_again_would() -> None:
    """The spread of 400 resamplings, by the numbers of the pictures and by the distance of the drawn set (no picture with itself)."""
    assert STYLE.near is not None
    rows = cloud("cell", 16, at=3.0)
    near, each = STYLE.near, STYLE.near.of(rows)
    scaled = (rows - near.centre) / near.spread
    to, apart = distances(scaled, near.references), distances(scaled, scaled)
    away = (to.sum(1) - to[:, : near.trained].min(1)) / (to.shape[1] - 1)
    quick, whole = [], []
    for number in range(400):
        counts = np.bincount(generator(0, "closeness", "draw", number).integers(0, 16, 16), minlength=16).astype(float)
        pairs = np.outer(counts, counts)
        np.fill_diagonal(pairs, 0)
        quick.append(float(counts @ each) / 16)
        whole.append(1 - (2 * float(counts @ away) / 16 - float((pairs * apart).sum() / pairs.sum()) - near.within) / near.start)
    assert np.std(quick) == pytest.approx(np.std(whole), rel=0.2)
    assert np.corrcoef(quick, whole)[0, 1] > 0.85


def test_what_was_not_measured_does_not_count() -> None:
    """A row of NaN is no picture; one picture alone has no distance to others."""
    assert STYLE.near is not None
    rows = cloud("cell", 8, at=3.0)
    holed = np.insert(rows, 3, np.nan, axis=0)
    found = STYLE.near.of(holed)
    assert np.isnan(found[3])
    assert np.delete(found, 3) == pytest.approx(STYLE.near.of(rows))
    assert np.isnan(STYLE.near.of(rows[:1])).all()


def test_where_the_base_is_the_artist_there_is_no_way_to_go() -> None:
    """The gates say the rest."""
    assert Closeness.fit(ARTIST[:20], ARTIST[:20], 15) is None


def test_what_tells_base_and_artist_apart_counts_most() -> None:
    """Scaled by what both sets vary together, a style would weigh the less the farther it leads, and a stray direction as much as ever."""
    near, far = cloud("near", 40, at=4.0), cloud("near", 40, at=40.0)
    lost = []
    for at, artist in ((4.0, near), (40.0, far)):
        found = Closeness.fit(BASE[:40], artist, 37)
        assert found is not None
        lost.append(1 - float(found.of(cloud("sideways", 24, at=at, sideways=4.0)).mean()))
    assert lost[1] < lost[0] / 5


def test_a_feature_that_never_moves_says_nothing() -> None:
    """Of the user's and the base's pictures; no division by nothing."""
    flat = [np.insert(rows, 2, 5.0, axis=1) for rows in (BASE, ARTIST, cloud("cell", 9, at=3.0))]
    near = Closeness.fit(flat[0], flat[1], 100)
    assert near is not None
    assert STYLE.near is not None
    assert near.of(flat[2]) == pytest.approx(STYLE.near.of(cloud("cell", 9, at=3.0)))


def test_where_features_lie_does_not_matter() -> None:
    """A feature that hardly moves, far from nought: the distances are of what moves."""
    assert STYLE.near is not None
    offset = 1e6
    far = Closeness.fit(BASE + offset, ARTIST + offset, 100)
    assert far is not None
    assert far.of(cloud("cell", 9, at=3.0) + offset) == pytest.approx(STYLE.near.of(cloud("cell", 9, at=3.0)), abs=1e-6)


def test_a_style_metric_votes_with_closeness() -> None:
    """And still says how far along the style is; without closeness the line votes, and going too far costs like falling short."""
    shape = (1, 1, 2, 2)
    progress = Measured("style", "style", np.full(shape, 1.3), np.zeros((2, 2)))
    draws = Draws.make(2, 2, count=3, seed=0)

    def axes(measured: Measured) -> Any:
        return axes_of(Scores((1,), (1.0,), ("a", "b"), (1, 2), (measured,), 3), draws)

    assert axes(progress).score["style"][0, 0, 0] == pytest.approx(0.7)
    for closeness, score in ((0.6, 0.6), (0.9, 0.9), (1.2, 1.0), (-0.1, 0.0)):
        found = axes(evolve(progress, closeness=np.full(shape, closeness)))
        assert found.score["style"][0, 0, 0] == pytest.approx(score)
        assert found.progress[0, 0, 0] == pytest.approx(1.3)
