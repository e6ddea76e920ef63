"""How OpenMP's threads wait. A module of its own, so that ``--help`` imports nothing else for it."""

from __future__ import annotations

import os
import sys

SPIN, SPIN_BUSY = "10000", "1000"  # rounds of waiting on a machine with a core to spare, and on a busy one; see docs/lock.md


def quiet_threads() -> None:
    """Let idle threads of OpenMP sleep after a short spin, unless the user has said how they should wait.

    GNU's runtime lets them spin for long: beside busy processes a step then takes many times as long. Sleeping at once costs
    more than a third of the speed on free cores. Has no effect once torch is imported; changes no number.
    """
    if "torch" not in sys.modules and not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = SPIN_BUSY if _busy() else SPIN


def _busy() -> bool:
    """Whether no core was to spare in the last minute."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > (os.cpu_count() or 1) - 0.5
