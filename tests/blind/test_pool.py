"""Which pictures can be compared, of a run that may have been made by a stranger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from finished_run import PROMPTS, SEEDS, finished_run

from loraspec.blind.pool import drawn, pool_of
from loraspec.errors import RunError, SpecError
from loraspec.finished import read


def changed(folder: Path, **changes: Any) -> Path:
    """Change what the index says."""
    path = folder / "grid" / "judged.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}), encoding="utf-8")
    return folder


def test_the_tie_set_is_compared_at_full_weight(tmp_path: Path) -> None:
    """Both epochs, every prompt and seed, at 1.0 and not at the other weights."""
    folder = finished_run(tmp_path / "run")
    pool = pool_of(read(folder))
    assert (pool.epochs, pool.weight) == ((2, 3), 1.0)
    assert pool.scenes == tuple((prompt, seed) for prompt in PROMPTS for seed in SEEDS)
    assert len(pool.files) == 8
    assert pool.files[2, PROMPTS[0], 7] == drawn(folder).files[1.0][2, PROMPTS[0], 7]


def test_other_epochs_can_be_named(tmp_path: Path) -> None:
    """Doubled ones count once; what has no pictures, and one alone, is refused."""
    run = read(finished_run(tmp_path / "run"))
    assert pool_of(run, (4, 1, 4)).epochs == (1, 4)
    with pytest.raises(SpecError, match="there are no pictures of epoch 9; there are of 1, 2, 3 and 4"):
        pool_of(run, (1, 9))
    with pytest.raises(SpecError, match="epoch 2 alone"):
        pool_of(run, (2,))


def test_without_a_ranking_all_are_compared(tmp_path: Path) -> None:
    """Up to eight, spread over the run; the grid's pictures serve where nothing was judged."""
    folder = finished_run(tmp_path / "run", epochs=20, keys={})
    assert pool_of(read(folder)).epochs == (1, 4, 6, 9, 12, 15, 17, 20)
    few = finished_run(tmp_path / "few", epochs=3, keys={})
    (few / "grid" / "judged.json").rename(few / "grid" / "index.json")
    assert pool_of(read(few)).epochs == (1, 2, 3)


def test_a_run_without_pictures_is_told(tmp_path: Path) -> None:
    """None at all, or of one epoch."""
    for folder in (finished_run(tmp_path / "none", pictures=False), finished_run(tmp_path / "one", epochs=1)):
        with pytest.raises(RunError, match="two are needed") as error:
            pool_of(read(folder))
        assert error.value.code == "E-RUN-UNJUDGED"


@pytest.mark.parametrize("name", ["../../secret.png", "/etc/passwd", "a.png", "", None, 7, "0" * 64 + ".png"])
def test_files_outside_the_cells_are_left_out(tmp_path: Path, name: Any) -> None:
    """A name that leads out, is none, or is not there."""
    folder = finished_run(tmp_path / "run")
    (tmp_path / "secret.png").write_bytes(b"secret")
    cells = [{"epoch": epoch, "weight": 1.0, "prompt": 0, "seed": 0, "file": name} for epoch in (1, 2)]
    changed(folder, cells=cells)
    assert drawn(folder).files == {}


def test_links_are_left_out(tmp_path: Path) -> None:
    """A picture that is a link, and a folder of pictures that is one."""
    folder = finished_run(tmp_path / "run")
    path = drawn(folder).files[1.0][2, PROMPTS[0], 7]
    path.rename(tmp_path / "moved.png")
    path.symlink_to(tmp_path / "moved.png")
    assert (2, PROMPTS[0], 7) not in drawn(folder).files[1.0]
    (folder / "grid" / "cells").rename(tmp_path / "cells")
    (folder / "grid" / "cells").symlink_to(tmp_path / "cells")
    assert drawn(folder).files == {}


@pytest.mark.parametrize("changes", [
    {"cells": 1}, {"cells": [1]}, {"cells": [{"epoch": 1}]}, {"prompts": 1}, {"prompts": []}, {"seeds": ["7"]}, {"seeds": [True, None]},
])  # fmt: skip
def test_a_broken_index_is_as_if_it_were_absent(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Whatever it holds, nothing is raised but that there are no pictures."""
    with pytest.raises(RunError, match="two are needed"):
        pool_of(read(changed(finished_run(tmp_path / "run"), **changes)))
