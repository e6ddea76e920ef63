"""Small files of a run that somebody forged: right seals, wrong contents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loraspec.engine import forms
from loraspec.engine.folder import RunFolder
from loraspec.engine.store import sealed, write_json
from loraspec.errors import RunError

ENTRY: dict[str, Any] = {"epoch": 1, "step": 4, "files": [{"path": "a.safetensors", "sha256": "0" * 64}]}


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "", ".", "a\\b", "a\0b", "a\u202eb", 5, None])
def test_names_that_lead_out_are_no_places(name: Any) -> None:
    """What an index names is a plain relative path below its folder."""
    assert not forms.inside(name)
    assert forms.inside("diffusers/a-000001.safetensors")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"epochs": [{**ENTRY, "files": [{"path": "../../x", "sha256": "0" * 64}]}]}, "names '../../x'"),
        ({"epochs": [{**ENTRY, "files": []}]}, "no epoch"),
        ({"epochs": [{**ENTRY, "epoch": [1]}]}, "no epoch"),
        ({"epochs": [{**ENTRY, "epoch": True}]}, "no epoch"),
        ({"epochs": [{**ENTRY, "files": [{"path": "a", "sha256": 5}]}]}, "no epoch"),
        ({"epochs": [ENTRY, ENTRY]}, "an epoch twice"),
        ({"epochs": 5}, "no index"),
        ({"epochs": [], "layout": "new"}, "no index"),
    ],
)
def test_forged_index_is_refused(value: dict[str, Any], said: str, tmp_path: Path) -> None:
    """A seal says that nothing was damaged, not that it is true."""
    write_json(tmp_path / "epochs" / "index.json", sealed({"layout": 1, **value}))

    with pytest.raises(RunError, match=said) as caught:
        _ = RunFolder(tmp_path).index
    assert caught.value.code == "E-RUN-LAYOUT"


@pytest.mark.parametrize("changed", [{"sets": "run.seed=1"}, {"spec": 5}, {"files": {"../x": ["0"]}}, {"headers": [{"from": "1"}]},
                                     {"layout": "2"}, {"profiles": [1]}])  # fmt: skip
def test_forged_facts_are_refused(changed: dict[str, Any], tmp_path: Path) -> None:
    """run.json has types, and names no file outside the run."""
    write_json(tmp_path / "run.json", sealed({"layout": 1, "name": "a", "spec": "../spec.toml", **changed}))

    with pytest.raises(RunError) as caught:
        _ = RunFolder(tmp_path).facts
    assert caught.value.code == "E-RUN-LAYOUT"


def test_lines_of_the_journal_have_forms() -> None:
    """An epoch in the journal is as whole as one in the index, or the line counts as damaged."""
    assert forms.journal_line({"kind": "epoch", **ENTRY})
    assert forms.journal_line({"kind": "done"})
    for wrong in ({}, [], {"kind": 5}, {"kind": "epoch", "epoch": 1}, {"kind": "quarantined", "epoch": []}, {"kind": "started", "sets": 1}):
        assert not forms.journal_line(wrong), wrong
