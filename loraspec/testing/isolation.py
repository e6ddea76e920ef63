"""Run Python code in a process where torch and its friends cannot be imported."""

from __future__ import annotations

import os
import subprocess
import sys

HEAVY = ("torch", "torchvision", "diffusers", "transformers", "peft", "accelerate")

_BLOCK = """
import sys
class _Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {heavy!r}:
            raise ImportError(name + " cannot be imported here")
sys.meta_path.insert(0, _Blocked())
"""


def run_without_torch(code: str, *words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run ``code`` with ``sys.argv[1:] = words`` and this process's import path; any import of ``HEAVY`` raises ImportError."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", _BLOCK.format(heavy=set(HEAVY)) + code, *words],
        capture_output=True, text=True, encoding="utf-8", env=environment, timeout=timeout, check=False,
    )
