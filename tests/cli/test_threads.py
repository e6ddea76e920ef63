"""Idle threads of OpenMP sleep after a short spin, unless the user said how they should wait."""

from __future__ import annotations

import os
import sys

import pytest

from loraspec.cli.threads import SPIN, SPIN_BUSY, quiet_threads


@pytest.mark.parametrize(
    ("given", "load", "after"),
    [({}, 0.1, SPIN), ({}, 1.2, SPIN), ({}, 1.8, SPIN_BUSY), ({"GOMP_SPINCOUNT": "7"}, 1.8, "7"),
     ({"OMP_WAIT_POLICY": "passive"}, 0.1, None)],
)
def test_threads_are_quiet_unless_the_user_said_how(
    given: dict[str, str], load: float, after: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before torch is imported, and only then; on a machine of two cores without one to spare they spin shorter."""
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 9.0, 9.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    environment = {key: value for key, value in os.environ.items() if key not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    monkeypatch.setattr(os, "environ", {**environment, **given})
    monkeypatch.setattr(sys, "modules", {name: module for name, module in sys.modules.items() if name != "torch"})
    quiet_threads()
    assert os.environ.get("GOMP_SPINCOUNT") == after

    sys.modules["torch"] = sys
    monkeypatch.setattr(os, "environ", dict(environment))
    quiet_threads()
    assert "GOMP_SPINCOUNT" not in os.environ
