"""Tests of ``loraspec_guide.grid.memory``: diagnostics by epoch, and the nearest pairs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from loraspec_guide.grid.folder import RunData, pair_name
from loraspec_guide.grid.memory import diagnostics, nearest_pairs

from loraspec.sweetspot.measured import Measured, Scores
from loraspec.sweetspot.scorefile import SCORES, ScoreFile


def keep(folder: Path, name: str, rows: Any, facts: dict[str, Any]) -> None:
    values = np.full((len(rows), 2, len(rows[0]), 1), np.nan)
    values[:, 1, :, 0] = rows
    measured = Measured(name, "diagnostic", values, np.full((1, 1), np.nan), facts=facts)
    scores = Scores(tuple(range(1, len(rows) + 1)), (0.8, 1.0), ("p",), (1,), (measured,), 3)
    (folder / SCORES).mkdir(parents=True, exist_ok=True)
    (folder / SCORES / f"{name}.json").write_text(json.dumps(ScoreFile("k", scores).plain()), encoding="utf-8")


def test_losses_are_ratios_with_their_interval(tmp_path: Path) -> None:
    """Logs become ratios to the base; the scatter of held-out pictures becomes the band; training stands beside."""
    rows = [[-0.1, -0.2, -0.3], [-0.4, -0.5, -0.6]]
    keep(tmp_path, "heldout-loss", rows, {"heldout": [-0.2, -0.5], "training": [-0.3, None]})
    [shown] = diagnostics(RunData(tmp_path))
    half, ratio = 1.645 * 0.1 / math.sqrt(3), math.exp(-0.5)
    assert shown["names"] == ["held-out pictures", "training pictures"]
    assert shown["rows"][1] == (2, [f"{ratio:.3f} [{ratio * (1 - half):.3f}, {ratio * (1 + half):.3f}]", ""])
    assert str(shown["drawn"]).count("<polyline") == 2
    assert 'class="band"' in shown["drawn"]


def test_the_other_diagnostics_and_what_is_missing(tmp_path: Path) -> None:
    """AUC and drift are shown as they are; a broken file, one epoch, and no number at all are left out."""
    assert diagnostics(RunData(tmp_path)) == []
    keep(tmp_path, "member-auc", [[0.5], [0.9]], {"auc": [0.5, 0.9]})
    keep(tmp_path, "prior-drift", [[0.1]], {"drift": [0.1]})
    (tmp_path / SCORES / "heldout-loss.json").write_text("[]", encoding="utf-8")
    assert [one["names"] for one in diagnostics(RunData(tmp_path))] == [["auc"]]
    keep(tmp_path, "member-auc", [[math.nan], [math.nan]], {"auc": [None, None]})
    assert diagnostics(RunData(tmp_path)) == []


def test_what_training_captions_give_back(tmp_path: Path) -> None:
    """Shares at the epochs that were asked; rows that are none, or of nothing, are left out."""
    rows = [{"epoch": 1, "asked": 8, "recalled": 0}, {"epoch": 3, "asked": 8, "recalled": 6}, {"epoch": 2, "asked": 0, "recalled": 0}, 5]
    keep(tmp_path, "copy-rate", [[0.1], [0.2], [0.3]], {"self_lock": rows})
    [shown] = diagnostics(RunData(tmp_path))
    assert shown["rows"] == [(1, ["0.000"]), (2, [""]), (3, ["0.750"])]
    assert "given back" in shown["title"]
    keep(tmp_path, "copy-rate", [[0.1], [0.2]], {"pairs": []})
    assert diagnostics(RunData(tmp_path)) == []


def test_pairs_are_of_the_epoch_nearest_first(tmp_path: Path) -> None:
    """Only what belongs to the epoch; pictures that are not there, or lie elsewhere, are left out."""
    (tmp_path / "grid" / "thumbs").mkdir(parents=True)
    (tmp_path / "grid" / "thumbs" / "0123456789abcdef.webp").write_bytes(b"x")
    near = {"epoch": 2, "prompt": "p", "seed": 1, "weight": 1.0, "key": "k", "file": "../../x.png"}
    pairs: list[dict[str, Any]] = [{**near, "distance": apart} for apart in (0.4, 0.2, 0.3)]
    pairs += [{"epoch": 1, "distance": 0.1}, {"epoch": 2, "distance": "near"}]
    data = RunData(tmp_path, manifest=({"key": "k", "thumb": "0123456789abcdef.webp"},))
    found = nearest_pairs(data, pairs, 2, lambda path, _: {"uri": path.name})
    assert [pair["distance"] for pair in found] == ["0.20", "0.30", "0.40"]
    assert found[0]["drawn"] is None
    assert found[0]["trained"] == {"uri": "0123456789abcdef.webp"}
    (tmp_path / "grid" / "thumbs" / pair_name("other")).write_bytes(b"x")
    [other] = nearest_pairs(data, [{**near, "distance": 0.1, "key": "other"}], 2, lambda path, _: {"uri": path.name})
    assert other["trained"] == {"uri": pair_name("other")}
