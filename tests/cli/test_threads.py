"""Idle threads of OpenMP sleep after a short spin, unless the user said how they should wait."""

from __future__ import annotations

import os
import sys

import pytest

from loraspec.cli.threads import SPIN, quiet_threads


@pytest.mark.parametrize(
    ("given", "after"),
    [({}, SPIN), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "passive"}, None)],
)
def test_threads_are_quiet_unless_the_user_said_how(given: dict[str, str], after: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before torch is imported, and only then."""
    environment = {key: value for key, value in os.environ.items() if key not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    monkeypatch.setattr(os, "environ", {**environment, **given})
    monkeypatch.setattr(sys, "modules", {name: module for name, module in sys.modules.items() if name != "torch"})
    quiet_threads()
    assert os.environ.get("GOMP_SPINCOUNT") == after

    sys.modules["torch"] = sys
    monkeypatch.setattr(os, "environ", dict(environment))
    quiet_threads()
    assert "GOMP_SPINCOUNT" not in os.environ
